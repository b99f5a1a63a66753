"""Which test items every method misses, and on which ones methods disagree."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from prompt_lab.errors import LabError
from prompt_lab.statistics.scored import Floats, Whole


@dataclass(frozen=True, eq=False)
class Agreement:
    """How often each method is right about each item.

    Attributes:
        methods: their names, in the order of the rows.
        share_MN: [M, N] share of a method's runs that were right.
        missed: numbers of the items that no run of any method got right.
        disputed: numbers of the items on which methods disagree, most first.
        spread_N: [N] how much: the standard deviation (ddof = 0) of the methods' shares, from 0 to .5.
    """

    methods: tuple[str, ...]
    share_MN: Floats
    missed: Whole
    disputed: Whole
    spread_N: Floats


def agreement(right: Mapping[str, Floats]) -> Agreement:
    """Compare methods item by item.

    Args:
        right: for each method, [S, N] 1 where the run of a seed was right and 0 elsewhere. Methods may have unlike numbers of seeds.

    Raises:
        LabError: there is no method, or they were tested on unlike numbers of items.
    """
    if len({value_SN.shape[1] for value_SN in right.values()}) != 1:
        raise LabError(
            f"methods are compared on the same items; given: { {name: v.shape[1] for name, v in right.items()} } (items by method)"
        )
    share_MN = np.stack([value_SN.mean(0) for value_SN in right.values()])
    spread_N = share_MN.std(0)
    order = np.lexsort((np.arange(len(spread_N)), -spread_N.round(9)))
    return Agreement(
        tuple(right), share_MN, np.flatnonzero(share_MN.max(0) == 0), order[spread_N[order] > 1e-9], spread_N
    )
