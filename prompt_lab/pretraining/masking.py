"""Masked language modelling: what its kinds share. They differ in the units that are masked together."""

from dataclasses import replace

import torch
from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError
from prompt_lab.pretraining.objective import Learnt, Objective
from prompt_lab.pretraining.passages import NO_UNIT, Passages


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
        self._mask_id = 0
        self._ordinary = torch.empty(0, dtype=torch.long)

    def prepare(self, reader: Reader) -> None:
        """Look up the mask and the ordinary tokens."""
        super().prepare(reader)
        self._mask_id = reader.mask_id
        special = set(reader.tokenizer.convert_tokens_to_ids(reader.special_tokens))
        size = min(len(reader.tokenizer), reader.config.vocab_size)
        self._ordinary = torch.tensor([i for i in range(size) if i not in special])

    def hide(self, passages: Passages, generator: torch.Generator) -> Passages:
        """Choose, and hide what is chosen."""
        taken = torch.zeros_like(passages.input_ids, dtype=torch.bool)
        for other in passages.chosen.values():
            taken |= other
        chosen = choose(passages.units[self.name], taken, self.rate, generator)
        fate = torch.rand(chosen.shape, generator=generator)
        ids = torch.where(chosen & (fate < self.masked), self._mask_id, passages.input_ids)
        drawn = torch.randint(len(self._ordinary), chosen.shape, generator=generator)
        to_random = chosen & (fate >= self.masked) & (fate < self.masked + self.random)
        ids = torch.where(to_random, self._ordinary[drawn], ids)
        return replace(passages, input_ids=ids, chosen={**passages.chosen, self.name: chosen})

    def learn(self, backbone: Backbone, hidden_BTD: Tensor, passages: Passages) -> Learnt:
        """Cross-entropy of the chosen tokens, over all of them alike."""
        chosen = passages.chosen[self.name]
        return Learnt(*backbone.word_loss(hidden_BTD[chosen], passages.original_ids[chosen]))


def choose(units_BT: Tensor, taken_BT: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Draw whole units of each row, in random order, up to a share of the tokens that may be chosen.

    A unit is a run of tokens with the same number; one with a token that is already taken is left out. The share is kept
    on average, whatever the sizes: the unit that crosses it is in with a probability that is the part of it on this side.

    Args:
        units_BT: the unit of each token, -1 for tokens that are never chosen.
        taken_BT: tokens that are taken already.
        rate: share of the tokens with a unit, taken ones included.
        generator: draws.

    Returns:
        [B, T] the chosen tokens.
    """
    rows, length = units_BT.shape
    starts = torch.ones_like(units_BT, dtype=torch.bool)
    starts[:, 1:] = units_BT[:, 1:] != units_BT[:, :-1]
    run_BT = starts.cumsum(1) - 1  # which run of its row each token is in
    barred = torch.zeros(rows, length, dtype=torch.bool)
    barred = barred.scatter_reduce(1, run_BT, taken_BT | (units_BT == NO_UNIT), "amax")
    size = torch.zeros(rows, length).scatter_add_(1, run_BT, torch.ones(rows, length))
    wanted = rate * (units_BT != NO_UNIT).sum(1, keepdim=True)
    order = torch.rand(rows, length, generator=generator).masked_fill(barred | (size == 0), 2.0).argsort(1)
    sizes = size.gather(1, order)
    before = sizes.cumsum(1) - sizes
    part = torch.rand(rows, 1, generator=generator)
    kept = (before + part * sizes < wanted) & ~(barred | (size == 0)).gather(1, order)
    return torch.zeros_like(barred).scatter(1, order, kept).gather(1, run_BT)
