"""What statistics say of a row: its interval, its difference to the baseline, and whether it is ahead."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["better", "worse", "tie"]
BOTH, ITEMS = "seeds and items", "items"
"""What an interval or a difference varies."""


@dataclass(frozen=True)
class Finding:
    """Of one row; scores are fractions. None where there is nothing to say.

    Attributes:
        low: lower end of the mean's 95 % interval.
        high: its upper end.
        over: what the interval varies: ``BOTH``, or ``ITEMS`` where there is one seed or none plays a role.
        difference: mean score minus the baseline's, on the same seeds and test items.
        difference_over: what that varies, and with it its p-values and the smallest difference.
        p: of that difference, by itself.
        p_holm: the same, corrected for all methods of the group (Holm 1979).
        smallest: the true difference that one test at .05, not corrected, finds in 80 of 100 experiments.
        verdict: what may be said of the difference.
        ahead: whether it is better than every other row that was told the same.
    """

    low: float | None = None
    high: float | None = None
    over: str | None = None
    difference: float | None = None
    difference_over: str | None = None
    p: float | None = None
    p_holm: float | None = None
    smallest: float | None = None
    verdict: Verdict | None = None
    ahead: bool = False
