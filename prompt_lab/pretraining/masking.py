"""Masked language modelling: what its kinds share. They differ in the units that are masked together."""

from dataclasses import replace

import torch
from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError
from prompt_lab.masking import Hiding, choose
from prompt_lab.pretraining.objective import Learnt, Objective
from prompt_lab.pretraining.passages import Passages


class Masking(Objective):
    """Asks for tokens that were masked (Devlin et al. 2019, section 3.1 and appendix A.1).

    Of every passage, units are drawn until they hold ``rate`` of the tokens that may be chosen. Of the chosen tokens, most are
    replaced by the mask, some by a random token, and the rest stay as they are.

    Args:
        weight: of its loss in the sum.
        rate: share of the tokens that are chosen.
        masked: share of the chosen tokens that the mask replaces.
        random: share of the chosen tokens that a random token of the vocabulary (never a special one) replaces.
    """

    predicts_words = True

    def __init__(self, weight: float = 1.0, rate: float = 0.15, masked: float = 0.8, random: float = 0.1) -> None:
        super().__init__(weight)
        if not 0 < rate < 1:
            raise LabError(f"rate is the share of tokens to choose, above 0 and below 1; it was {rate}")
        if min(masked, random) < 0 or masked + random > 1:
            raise LabError(
                f"masked and random are shares of the chosen tokens and at most 1 together; they were {masked} and {random}"
            )
        self.rate, self.masked, self.random = rate, masked, random

    def prepare(self, reader: Reader) -> None:
        """Look up the mask and the ordinary tokens."""
        super().prepare(reader)
        self.hiding = Hiding(reader, self.masked, self.random)

    def hide(self, passages: Passages, generator: torch.Generator) -> Passages:
        """Choose, and hide what is chosen."""
        taken = torch.zeros_like(passages.input_ids, dtype=torch.bool)
        for other in passages.chosen.values():
            taken |= other
        chosen = choose(passages.units[self.name], taken, self.rate, generator)
        ids = self.hiding(passages.input_ids, chosen, generator)
        return replace(passages, input_ids=ids, chosen={**passages.chosen, self.name: chosen})

    def learn(self, backbone: Backbone, hidden_BTD: Tensor, passages: Passages) -> Learnt:
        """Cross-entropy of the chosen tokens, over all of them alike."""
        chosen = passages.chosen[self.name]
        return Learnt(*backbone.word_loss(hidden_BTD[chosen], passages.original_ids[chosen]))
