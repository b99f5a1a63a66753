"""Methods ranked over several tasks: Friedman's test and Nemenyi's critical difference (Demsar 2006)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prompt_lab.errors import LabError
from prompt_lab.statistics.scored import Floats

ALPHA = 0.05
METHODS, TASKS = 3, 2
"""The fewest that can be ranked."""


@dataclass(frozen=True)
class Ranks:
    """Mean ranks, the best first.

    Attributes:
        methods: names, from the best mean rank to the worst.
        mean_rank: of each; 1 would be the best method of every task.
        tasks: number of tasks.
        statistic: Friedman's chi-square, corrected for ties.
        p: probability of ranks that differ so much if all methods are equal (Friedman's test).
        critical: Nemenyi's critical difference at .05: mean ranks further apart than this differ.
        groups: sets of methods that are not told apart, largest ones only, each from best to worst.
    """

    methods: tuple[str, ...]
    mean_rank: tuple[float, ...]
    tasks: int
    statistic: float
    p: float
    critical: float
    groups: tuple[tuple[str, ...], ...]


def ranks(score_MT: Floats, methods: Sequence[str]) -> Ranks:
    """Ranks of M methods within each of T tasks, and their means; 1 is the highest score, and equal scores share the mean of theirs.

    Friedman's test is that of scipy (chi-square with M - 1 degrees of freedom; rough below ten tasks or so, Demsar 2006, 3.2.2).
    The critical difference is q sqrt(M (M + 1) / (6 T)), q being the .95 quantile of the studentized range divided by sqrt 2 (equation
    and table 5 there).

    Args:
        score_MT: [M, T] the mean score of each method on each task.
        methods: the methods' names.

    Raises:
        LabError: fewer than three methods or two tasks, or a method without a score on some task.
    """
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    count, tasks = score_MT.shape
    if count < METHODS or tasks < TASKS:
        raise LabError(
            f"ranks over tasks are compared for {METHODS} methods or more on {TASKS} tasks or more; there are {count} on {tasks}: two "
            "methods are compared directly, and one task has no spread of ranks"
        )
    if not np.isfinite(score_MT).all():
        raise LabError("every method that is ranked needs a score on every task; leave out those that lack one")
    rank_MT = rankdata(-score_MT, axis=0)
    mean_M = rank_MT.mean(1)
    order = np.argsort(mean_M, kind="stable")
    tied = bool((np.ptp(rank_MT, axis=0) == 0).all())
    statistic, p = (0.0, 1.0) if tied else friedmanchisquare(*-score_MT)
    critical = float(
        studentized_range.ppf(1 - ALPHA, count, np.inf) / 2**0.5 * (count * (count + 1) / (6 * tasks)) ** 0.5
    )
    names, means = [methods[m] for m in order], mean_M[order]
    return Ranks(
        tuple(names),
        tuple(means.tolist()),
        tasks,
        float(statistic),
        float(p),
        critical,
        _groups(names, means, critical),
    )


def _groups(names: Sequence[str], mean_M: Floats, critical: float) -> tuple[tuple[str, ...], ...]:
    """Stretches of the order that span no more than the critical difference, and lie in no longer one."""
    found: list[tuple[int, int]] = []
    for first in range(len(names)):
        after = int(np.searchsorted(mean_M, mean_M[first] + critical, side="right"))
        if after - first > 1 and (not found or after > found[-1][1]):
            found.append((first, after))
    return tuple(tuple(names[first:after]) for first, after in found)
