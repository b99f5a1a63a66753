"""Scores by numpy, on any choice of test items, and a score's value for each item.

They are those of ``reporting/scores.py``, which goes by torchmetrics; here they are made for thousands of resamples.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import numpy as np

from prompt_lab.errors import unknown
from prompt_lab.statistics.scored import Floats, Whole

CONSTANT = 1e-6
"""Shares that differ by less are all the same: rounding is no prediction (as in ``reporting/regression.py``)."""


class Tested(Protocol):
    """Test items with what was said of them: the true label [N], label log-probabilities [N, C], true numbers [N] or None."""

    @property
    def label_N(self) -> Whole: ...  # noqa: D102
    @property
    def logp_NC(self) -> Floats: ...  # noqa: D102
    @property
    def number_N(self) -> Floats | None: ...  # noqa: D102


def score(metric: str, tested: Tested, index_N: Whole | None = None) -> float:
    """A score on all test items, or on a choice of them in which an item may stand several times.

    Args:
        metric: ``acc``, ``f1`` (of the last label), ``f1_macro``, ``mcc``, ``pearson`` or ``spearman``.
        tested: the items.
        index_N: numbers of the chosen ones.

    Raises:
        LabError: an unknown metric.
    """
    if metric in CORRELATIONS:
        x_N, y_N = (v_N if index_N is None else v_N[index_N] for v_N in _numbers(tested))
        return _correlation(*map(_ranks, (x_N, y_N))) if metric == "spearman" else _correlation(x_N, y_N)
    cell_N, classes = _cells(tested)
    cell_N = cell_N if index_N is None else cell_N[index_N]
    counts = np.bincount(cell_N, minlength=classes * classes).reshape(1, classes, classes)
    return float(_of_counts(metric)(counts.astype(float))[0])


def item_values(metric: str, tested: Tested) -> Floats:
    """What each test item adds to a score, [N]; their mean is the score.

    For accuracy that is 1 or 0. A score that is no mean over items is made one by the jackknife (Tukey 1958; Efron and Tibshirani
    1993, ch. 11): item i has the value s + (N - 1)(m - s_i), with the score s of all items, s_i without item i, and the mean m of
    the s_i. The variance of such values over items estimates N times the variance of the score.

    Args:
        metric: as in ``score``.
        tested: at least two items.

    Raises:
        LabError: an unknown metric.
    """
    if metric == "acc":
        return (tested.logp_NC.argmax(1) == tested.label_N).astype(float)
    if metric in CORRELATIONS:
        without_N = CORRELATIONS[metric](*_numbers(tested))
    else:
        cell_N, classes = _cells(tested)
        counts = np.bincount(cell_N, minlength=classes * classes).astype(float)
        fewer = (counts - np.eye(classes * classes)).clip(min=0).reshape(-1, classes, classes)
        without_N = _of_counts(metric)(fewer)[cell_N]  # items of one cell are all alike
    return score(metric, tested) + (len(without_N) - 1) * (without_N.mean() - without_N)


# ---------------------------------------------------------------- from counts of (true label, given label), [X, C, C]


def _cells(tested: Tested) -> tuple[Whole, int]:
    classes = tested.logp_NC.shape[1]
    return tested.label_N * classes + tested.logp_NC.argmax(1), classes


def _accuracy(counts: Floats) -> Floats:
    return np.trace(counts, axis1=1, axis2=2) / counts.sum((1, 2))


def _f1(counts: Floats, macro: bool) -> Floats:
    """2 tp / (true + given) of each label; one that neither occurs nor is given has none, and is 0 if it is the last."""
    hit, both = np.diagonal(counts, axis1=1, axis2=2), counts.sum(1) + counts.sum(2)
    f1 = 2 * hit / np.maximum(both, 1)
    return f1.sum(1) / np.maximum((both > 0).sum(1), 1) if macro else f1[:, -1]


def _mcc(counts: Floats) -> Floats:
    """Matthews' correlation of several classes (Gorodkin 2004); 0 where all labels, true or given, are the same."""
    true, given, all_ = counts.sum(2), counts.sum(1), counts.sum((1, 2))
    together = np.trace(counts, axis1=1, axis2=2) * all_ - (true * given).sum(1)
    apart = np.sqrt((all_**2 - (true**2).sum(1)) * (all_**2 - (given**2).sum(1)))
    return np.divide(together, apart, out=np.zeros_like(together), where=apart > 0)


_COUNTED: dict[str, Callable[[Floats], Floats]] = {
    "acc": _accuracy,
    "f1": partial(_f1, macro=False),
    "f1_macro": partial(_f1, macro=True),
    "mcc": _mcc,
}


def _of_counts(metric: str) -> Callable[[Floats], Floats]:
    if metric not in _COUNTED:
        raise unknown("metric", metric, [*_COUNTED, *CORRELATIONS])
    return _COUNTED[metric]


# ---------------------------------------------------------------- correlations of numbers


def _numbers(tested: Tested) -> tuple[Floats, Floats]:
    """The true numbers, and the shares of the upper pole; the task's units do not matter to a correlation."""
    assert tested.number_N is not None, "numbers are scored where a task has them"
    logp_NC = tested.logp_NC - tested.logp_NC.max(1, keepdims=True)
    return tested.number_N, np.exp(logp_NC[:, 1]) / np.exp(logp_NC).sum(1)


def _correlation(x_N: Floats, y_N: Floats) -> float:
    """Pearson's; 0 where the numbers of one side are all the same."""
    if min(np.ptp(x_N), np.ptp(y_N)) < CONSTANT:
        return 0.0
    x_N, y_N = x_N - x_N.mean(), y_N - y_N.mean()
    return float(x_N @ y_N / np.sqrt((x_N @ x_N) * (y_N @ y_N)))


def _ranks(x_N: Floats) -> Floats:
    """From 1; equal numbers share the mean of theirs. Numbers that are all the same stay so, however little they differ."""
    from scipy.stats import rankdata

    return np.zeros_like(x_N) if np.ptp(x_N) < CONSTANT else rankdata(x_N)


def _from_sums(count: int, x: Floats, y: Floats, xx: Floats, yy: Floats, xy: Floats) -> Floats:
    """Pearson's correlation from sums of numbers, squares and products; 0 where one side does not vary."""
    spread = (count * xx - x * x).clip(min=0) * (count * yy - y * y).clip(min=0)
    root = np.sqrt(spread)
    return np.divide(count * xy - x * y, root, out=np.zeros_like(root), where=root > 0)


def _pearson_without(x_N: Floats, y_N: Floats) -> Floats:
    """Pearson's correlation without each item, [N]."""
    if min(np.ptp(x_N), np.ptp(y_N)) < CONSTANT:
        return np.zeros_like(x_N)
    x_N, y_N = x_N - x_N.mean(), y_N - y_N.mean()
    sums = (v_N.sum() - v_N for v_N in (x_N, y_N, x_N * x_N, y_N * y_N, x_N * y_N))
    return _from_sums(len(x_N) - 1, *sums)


def _spearman_without(x_N: Floats, y_N: Floats) -> Floats:
    """Spearman's correlation without each item, [N]: whoever stands above it moves down by one, its equals by a half."""
    if min(np.ptp(x_N), np.ptp(y_N)) < CONSTANT:
        return np.zeros_like(x_N)
    rank_N, other_N = _ranks(x_N), _ranks(y_N)
    found = np.empty_like(rank_N)
    for i in range(len(rank_N)):
        a, b = (r_N - 0.5 * (1 + np.sign(r_N - r_N[i])) for r_N in (rank_N, other_N))
        a[i] = b[i] = 0.0  # ranks from 1: its own adds nothing to any sum
        found[i] = _from_sums(len(a) - 1, *map(np.asarray, (a.sum(), b.sum(), a @ a, b @ b, a @ b)))
    return found


CORRELATIONS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "pearson": _pearson_without,
    "spearman": _spearman_without,
}
