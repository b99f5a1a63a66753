"""Whether a second passage follows the first: three-way (Gu et al. 2022) or BERT's two-way form (Devlin et al. 2019)."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.errors import LabError
from prompt_lab.pretraining.objective import Learnt, Objective
from prompt_lab.pretraining.passages import Passages

RELATIONS = {2: ("next", "other document"), 3: ("next", "same document", "other document")}
"""What each class of the head means, by how many there are."""


class NextSentence(Objective):
    """Next-sentence prediction, read at the first token through a head of its own.

    BERT asks whether the second passage is the next one or a random one (Devlin et al. 2019, section 3.1), which its code, and
    this, draw from another document. The three-way form asks whether it is the next one, another one of the same document, or
    one of another document; PPT pretrains prompts for sentence pairs with it (Gu et al. 2022, section 3.2.1). The head is kept
    beside the backbone's delta.

    Args:
        weight: of its loss in the sum.
        ways: number of relations to tell apart.
    """

    def __init__(self, weight: float = 1.0, ways: Literal[2, 3] = 3) -> None:
        super().__init__(weight)
        if ways not in RELATIONS:
            raise LabError(f"ways is the number of relations to tell apart, 2 or 3; it was {ways}")
        self.ways: int = ways

    @property
    def relations(self) -> int:
        """2 or 3."""
        return self.ways

    def build(self, backbone: Backbone) -> None:
        """A pooler and a classifier, as in BERT."""
        size = backbone.reader.hidden_size
        self.pooler, self.classifier = nn.Linear(size, size), nn.Linear(size, self.ways)
        for layer in (self.pooler, self.classifier):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def learn(self, backbone: Backbone, hidden_BTD: Tensor, passages: Passages) -> Learnt:
        """Cross-entropy over the relations."""
        assert passages.relation is not None
        scores = self.classifier(self.pooler(hidden_BTD[:, 0]).tanh()).float()
        return Learnt(F.cross_entropy(scores, passages.relation), scores.argmax(-1) == passages.relation)
