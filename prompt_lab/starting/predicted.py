"""Label words that a backbone itself says at the mask over the texts of a label (Gao et al. 2021, section 5.1, simplified)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from prompt_lab.backbones.load import load_backbone
from prompt_lab.backbones.reader import Plan
from prompt_lab.batch import Example
from prompt_lab.data.encoded import collate
from prompt_lab.data.encoding import Encoder
from prompt_lab.filling.spelling import Spelling
from prompt_lab.templates import Template

MOST_TEXTS = 512
"""Texts that are read, of all labels together."""
LIKELY = 100
"""How many of a label's most probable words are looked at (k of the paper's equation in section 5.1)."""
_MAX_LENGTH = 128
_BATCH = 32


class Predicted:
    """What a backbone says of each label, best first.

    The paper takes the k words whose log-probability, summed over a label's training texts, is highest, and then the assignment of
    words to labels that is most accurate on them. Here the k words of a label are ordered by how much more probable they are over
    its texts than over those of the other labels, which needs no search.

    Args:
        backbone: its name.
        template: the pattern with the mask.
        examples: some training texts of each label.

    Raises:
        LabError: the backbone cannot be had, or has no language-model head.
    """

    def __init__(self, backbone: str, template: Template, examples: Sequence[Sequence[Example]]) -> None:
        self._backbone = load_backbone(backbone)
        self._backbone.require_head()
        self._spelling = Spelling(self._backbone.reader)
        logp_CV = torch.stack([self._mean(template, own) for own in examples])
        others_CV = (logp_CV.sum(0) - logp_CV) / max(len(logp_CV) - 1, 1)
        self._likely_CV, self._gain_CV = logp_CV, logp_CV - others_CV

    def words(self, label: int) -> Iterator[str]:
        """Words for a label, as the tokenizer writes them: the most telling of its likely ones first, then the others."""
        likely = [
            (token, word)
            for token in self._likely_CV[label].argsort(descending=True, stable=True).tolist()
            if (word := self._spelling.text((token,)).strip()).isalpha()
        ]
        top = sorted(likely[:LIKELY], key=lambda pair: -float(self._gain_CV[label, pair[0]]))
        yield from (word for _, word in [*top, *likely[LIKELY:]])

    def _mean(self, template: Template, examples: Sequence[Example]) -> Tensor:
        """Log-probabilities of the vocabulary [V] at the mask, in the mean over texts."""
        reader = self._backbone.reader
        row = (reader.mask_id,) if reader.kind == "masked" else ()
        encoder = Encoder(template, Plan((row,)), reader, _MAX_LENGTH)
        total: Tensor | float = 0.0
        with torch.inference_mode():
            for start in range(0, len(examples), _BATCH):
                batch = collate(encoder.encode(examples[start : start + _BATCH], labels=False), reader)
                logits_BGNV = self._backbone.slot_logits(replace(batch, slots=batch.slots[..., -1:]))
                total = total + logits_BGNV[:, 0, 0].float().log_softmax(-1).sum(0)
        assert isinstance(total, Tensor)
        return total / len(examples)
