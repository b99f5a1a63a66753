"""LM-BFF: a pattern beside one solved example of each label, the whole model trained (Gao et al. 2021)."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded
from prompt_lab.data.encoded import Encodes
from prompt_lab.data.encoding import Encoder
from prompt_lab.demonstrations import Demonstrations
from prompt_lab.demonstrations.encoding import DemonstrationEncoder, Solved
from prompt_lab.ensembling import Combine, combine
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Paradigm
from prompt_lab.tasks import Task
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.full import Full

if TYPE_CHECKING:
    from prompt_lab.data.few_shot import FewShotData


class LmBff(Paradigm):
    """Prompt-based fine-tuning with demonstrations (Gao et al. 2021, section 6); with ``Frozen`` demonstration learning as of GPT-3.

    Beside the text that is asked about stands one training example of each label, solved with its label's word. While training
    they are drawn anew in every pass, from all others of the label or from the half that is most similar to the text; at
    inference the answers beside several sets are combined. A text is never its own demonstration: with K = 1 the label of a
    training text has no other example and is left out of its row, so that what is missing gives the label away; give K = 2 or
    more where this trains. Nothing is trained with ``tuning: Frozen`` (Brown et al. 2020, section 2, with one example of each
    label).

    LM-BFF averages logits over the words of the labels; ``log_probabilities`` averages their log-softmax, which gives the same
    distribution.

    Args:
        template: the task's first pattern by default.
        answer: the task's label words by default; any answer that can say a label in a demonstration.
        tuning: the whole model by default.
        demonstrations: which are chosen, how many sets, how long.
        combine: how the answers beside several sets become one.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    def __init__(
        self,
        template: int | str = 0,
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        demonstrations: Demonstrations | None = None,
        combine: Combine = "log_probabilities",
        warmup: float = 0.1,
    ) -> None:
        super().__init__(template, answer or Words(), tuning or Full(), warmup=warmup)
        self.demonstrations = demonstrations or Demonstrations()
        self.combining: Combine = combine

    def prepare(self, task: Task, reader: Reader) -> Self:
        """As every paradigm does, and find how a demonstration says each label.

        Raises:
            LabError: also if the answer has no words for the labels.
        """
        super().prepare(task, reader)
        words = [self.answer.word_of(label) for label in range(len(task.labels))]
        said = [word for word in words if word is not None]
        if len(said) < len(words):
            raise LabError(
                f"a demonstration shows its label as a word, and the answer {type(self.answer).__name__} has no words for labels. "
                "Use the answer Words, or a paradigm without demonstrations such as fine_tuning."
            )
        self.solved = Solved(str(self.template), task.fields, said)
        return self

    def encoder(self, data: "FewShotData") -> Encodes:
        """Every text with demonstrations out of the training examples.

        Raises:
            LabError: K = 0 gives nothing to show, or rows could become longer than the backbone reads.
        """
        asked = Encoder(self.template, self.answer.plan, self.reader, data.max_length)
        own = self.demonstrations.seed
        seed = data.seed if own is None else own
        return DemonstrationEncoder(asked, self.solved, data.demonstrations(), self.demonstrations, seed)

    def forward(self, batch: Encoded) -> Tensor:
        """Label scores [B, C]: the answer beside one set of demonstrations, or the answers beside S sets combined."""
        rows = len(self.answer.plan.rows) if self.answer.plan else 1
        sets = batch.slots.shape[1] // rows
        if sets == 1:
            return self.answer(self.backbone, batch)
        each = [self.answer(self.backbone, batch.rows(s * rows, (s + 1) * rows)) for s in range(sets)]
        return combine(torch.stack(each), self.combining)

    def facts(self) -> dict[str, Any]:
        """How demonstrations were chosen and combined; share and embedder where they mattered."""
        told = asdict(self.demonstrations)
        if self.demonstrations.select == "random":
            del told["share"], told["embedder"]
        return {**super().facts(), "demonstrations": told, "combine": self.combining}
