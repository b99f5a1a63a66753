"""A method's runs as numbers, and two methods paired by seed and test item."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prompt_lab.errors import LabError

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scored:
    """What one method scored: a value for each seed and test item, whose mean over items is the seed's score.

    For accuracy a value is 1 where the item was right and 0 where it was wrong; for other metrics see ``metrics.item_values``.

    Attributes:
        value_SN: [S, N] the values; every seed was tested on the same items, in the same order.
        seeds: the split seeds, in the order of the rows; empty for a method that no seed plays a role in (K = 0).

    Raises:
        LabError: the shapes do not fit, or a seed stands twice.
    """

    value_SN: Floats
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.value_SN.ndim != 2 or self.value_SN.shape[1] < 2:
            raise LabError(
                f"scores are a table of seeds by two or more test items; its shape was {self.value_SN.shape}"
            )
        if len(self.value_SN) != max(1, len(self.seeds)):
            raise LabError(f"{len(self.value_SN)} rows of scores cannot be those of the seeds {list(self.seeds)}")
        if len(set(self.seeds)) < len(self.seeds):
            raise LabError(f"a seed stands twice among {list(self.seeds)}: give one run a seed")

    @property
    def score_S(self) -> Floats:
        """[S] each seed's score."""
        return self.value_SN.mean(1)

    @property
    def mean(self) -> float:
        """The mean score over seeds."""
        return float(self.value_SN.mean())


@dataclass(frozen=True, eq=False)
class Pairs:
    """Differences of two methods on the same seeds and items.

    Attributes:
        difference_SN: [S, N] the first method's values minus the second's.
        seeds: the seeds both have; empty where no seed plays a role in either.
    """

    difference_SN: Floats
    seeds: tuple[int, ...]


def paired(one: Scored, other: Scored) -> Pairs:
    """Two methods on the seeds that both have; one without seeds stands beside every seed of the other.

    Raises:
        LabError: they were tested on unlike numbers of items, or have no seed in common.
    """
    if one.value_SN.shape[1] != other.value_SN.shape[1]:
        raise LabError(
            f"methods are paired item by item: one was tested on {one.value_SN.shape[1]} items and the other on "
            f"{other.value_SN.shape[1]}. Run both on the same test set."
        )
    if not (one.seeds and other.seeds):
        return Pairs(one.value_SN - other.value_SN, one.seeds or other.seeds)
    common = tuple(seed for seed in one.seeds if seed in other.seeds)
    if not common:
        raise LabError(
            f"methods are paired seed by seed: {list(one.seeds)} and {list(other.seeds)} have none in common. Run both with one seed."
        )
    at, there = ([method.seeds.index(seed) for seed in common] for method in (one, other))
    return Pairs(one.value_SN[at] - other.value_SN[there], common)
