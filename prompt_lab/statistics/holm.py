"""Many comparisons in one table: Holm's correction, and what is said of a difference."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from prompt_lab.statistics.differences import Difference

ALPHA = 0.05
Verdict = Literal["better", "worse", "tie"]


def holm(p_M: Sequence[float]) -> list[float]:
    """P-values corrected so that one or more false findings among all of them are rarer than alpha (Holm 1979).

    The k-th smallest of M is multiplied by M - k + 1, and none may be smaller than the one before it, nor above 1. What is no number
    (of a run that diverged) counts as 1.
    """
    if not len(p_M):
        return []
    from statsmodels.stats.multitest import multipletests

    return multipletests(np.nan_to_num(np.asarray(p_M, dtype=float), nan=1.0), method="holm")[1].tolist()


def verdict(difference: Difference, corrected: float) -> Verdict:
    """What a table says of a difference: ``better``, ``worse`` or ``tie``.

    A tie is a difference whose corrected p is .05 or more, or that is smaller than ``difference.detectable`` (PROTOCOL rule 9): where
    a design finds differences of that size too rarely, those it does find are exaggerated (Gelman and Carlin 2014). So a true
    difference as large as ``detectable`` is no tie about half the time. A difference that rests on one common seed is a tie, too:
    its p knows nothing of other seeds. A tie does not say that methods are equal, but that this design cannot tell them apart. In
    the simulations of ``difference_of``, 0 to 5 of 100 equal pairs were no tie, before any correction.
    """
    is_found = corrected < ALPHA and abs(difference.difference) >= difference.detectable
    if difference.seeds == 1 or not is_found:
        return "tie"
    return "better" if difference.difference > 0 else "worse"
