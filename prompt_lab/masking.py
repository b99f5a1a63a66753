"""Which tokens of a text a masked language model is asked for, and what stands in their place (Devlin et al. 2019)."""

import torch
from torch import Tensor

from prompt_lab.backbones.reader import Reader

NO_UNIT = -1
"""The unit of a token that is never chosen."""
RATE, MASKED, RANDOM = 0.15, 0.8, 0.1
"""BERT's share of tokens that are chosen, and of these that become the mask, and a random token."""


class Hiding:
    """Hides chosen tokens: most become the mask, some a random token, the rest stay as they are (Devlin et al. 2019, appendix A.1).

    Args:
        reader: of a masked backbone.
        masked: share of the chosen tokens that the mask replaces.
        random: share of the chosen tokens that a random token of the vocabulary, never a special one, replaces.
    """

    def __init__(self, reader: Reader, masked: float = MASKED, random: float = RANDOM) -> None:
        self._mask_id, self._masked, self._random = reader.mask_id, masked, random
        special = set(reader.tokenizer.convert_tokens_to_ids(reader.special_tokens))
        size = min(len(reader.tokenizer), reader.config.vocab_size)
        self.ordinary = torch.tensor([i for i in range(size) if i not in special])

    def __call__(self, ids_BT: Tensor, chosen_BT: Tensor, generator: torch.Generator) -> Tensor:
        """The token ids [B, T] with the chosen ones hidden."""
        fate = torch.rand(chosen_BT.shape, generator=generator)
        hidden = torch.where(chosen_BT & (fate < self._masked), self._mask_id, ids_BT)
        drawn = torch.randint(len(self.ordinary), chosen_BT.shape, generator=generator)
        to_random = chosen_BT & (fate >= self._masked) & (fate < self._masked + self._random)
        return torch.where(to_random, self.ordinary[drawn], hidden)


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
