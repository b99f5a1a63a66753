"""Where the spread of scores comes from: the draw, the initialisation, the order, the template."""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prompt_lab.errors import LabError
from prompt_lab.statistics.scored import Floats

Run = tuple[Mapping[str, Hashable], float]
"""The level of every factor in a run, such as ``{"split": 13, "order": 1}``, and the run's score."""
LEVEL = 0.95


@dataclass(frozen=True)
class Component:
    """A factor's part of the variance of scores.

    Attributes:
        factor: its name; factors that only ever change together are one, their names joined by `` + ``.
        levels: how many levels it took.
        variance: in squares of the score's unit.
        share: of the sum of all components, a fraction; 0 where nothing varies.
        low: lower end of the variance's 95 % interval; None where the design allows none.
        high: its upper end.
    """

    factor: str
    levels: int
    variance: float
    share: float
    low: float | None = None
    high: float | None = None


def one_at_a_time(runs: Sequence[Run]) -> list[Component]:
    """The variance of scores when one factor moves and all others stay (Zhao et al. 2021 and Lu et al. 2022 show such spreads).

    For each factor: the sample variance (ddof = 1) of the scores of runs that agree in every other one, averaged over such groups with
    their degrees of freedom as weights. It holds what the factor does alone and together with the levels the others are fixed at. A
    share is of the sum of these variances, which need not be the variance of all scores. Of one group there is an interval, by
    chi-square (normal scores); several may share their levels, and so are not independent, as it would have them.

    Raises:
        LabError: no factor ever moves alone.
    """
    factors = _factors(runs)
    found: dict[str, tuple[int, list[Floats]]] = {}
    for factor, level_X in factors.items():
        others = [one for name, one in factors.items() if name != factor]
        groups: dict[tuple[int, ...], list[int]] = {}
        for x in range(len(runs)):
            groups.setdefault(tuple(one[x] for one in others), []).append(x)
        moving = [g for g in groups.values() if len({level_X[x] for x in g}) > 1]
        if moving:
            levels = len({level_X[x] for g in moving for x in g})
            found[factor] = levels, [np.array([runs[x][1] for x in g], dtype=float) for g in moving]
    if not found:
        raise LabError(
            f"no factor moves while the others stay, among {len(runs)} runs that vary in {' and '.join(factors) or 'nothing'}. "
            "Give several runs seeds that differ in one kind only, such as --order_seed."
        )
    pooled = {factor: _pooled(groups) for factor, (_, groups) in found.items()}
    total = sum(pooled.values())
    return [
        Component(factor, levels, pooled[factor], _share(pooled[factor], total), *_ends(groups))
        for factor, (levels, groups) in found.items()
    ]


def crossed(runs: Sequence[Run]) -> list[Component]:
    """Variance components of the main effects of a full crossed design, and of the rest, by analysis of variance.

    Every combination of levels was run equally often. A factor's component is (MS_factor - MS_rest) / (runs a level), 0 where that is
    negative; ``rest`` is MS_rest: all interplay of factors, and chance (Searle, Casella and McCulloch 1992, ch. 4).

    Raises:
        LabError: fewer than two factors vary, or a combination is missing or was run more often than another.
    """
    factors = _factors(runs)
    combined = Counter(zip(*factors.values(), strict=True))
    sizes = {factor: len(set(level_X)) for factor, level_X in factors.items()}
    full = int(np.prod(list(sizes.values())))
    if len(sizes) < 2 or len(combined) != full or len(set(combined.values())) != 1:
        raise LabError(
            f"a crossed design has at least two factors, and every combination of their levels equally often; here there are {sizes} "
            f"levels and {len(combined)} combinations in {len(runs)} runs. Use one_at_a_time, or run those that are missing."
        )
    score_X = np.array([score for _, score in runs], dtype=float)
    deviation_X = score_X - score_X.mean()
    left, df_left, squares = float(deviation_X @ deviation_X), len(runs) - 1, {}
    for factor, level_X in factors.items():
        of_level = np.bincount(level_X, weights=deviation_X)
        per_level = len(runs) // sizes[factor]
        sum_of_squares = float((of_level**2).sum() / per_level)
        left, df_left = left - sum_of_squares, df_left - (sizes[factor] - 1)
        squares[factor] = sum_of_squares / (sizes[factor] - 1), per_level
    rest = max(left, 0.0) / df_left
    variances = {
        factor: max(mean_square - rest, 0.0) / per_level for factor, (mean_square, per_level) in squares.items()
    }
    total = sum(variances.values()) + rest
    main = [Component(factor, sizes[factor], v, _share(v, total)) for factor, v in variances.items()]
    return [*main, Component("rest", len(runs), rest, _share(rest, total))]


def _factors(runs: Sequence[Run]) -> dict[str, list[int]]:
    """The number of each run's level, for every factor that varies; factors that change together are merged."""
    if not runs:
        raise LabError("there are no runs whose scores could vary")
    names = list(runs[0][0])
    if any(set(levels) != set(names) for levels, _ in runs):
        raise LabError(f"every run names the level of each factor; the first names {names}, another one does not")
    numbered = {name: _numbered(levels[name] for levels, _ in runs) for name in names}
    merged: dict[tuple[int, ...], list[str]] = {}
    for name, level_X in numbered.items():
        if max(level_X):
            merged.setdefault(tuple(level_X), []).append(name)
    return {" + ".join(together): list(level_X) for level_X, together in merged.items()}


def _numbered(levels: Iterable[Hashable]) -> list[int]:
    """Levels by number, in the order of their first appearance."""
    seen: dict[Hashable, int] = {}
    return [seen.setdefault(level, len(seen)) for level in levels]


def _pooled(groups: Sequence[Floats]) -> float:
    """The variance within groups, by their degrees of freedom."""
    squares = sum(float(((g - g.mean()) ** 2).sum()) for g in groups)
    return squares / sum(len(g) - 1 for g in groups)


def _ends(groups: Sequence[Floats]) -> tuple[float, float] | tuple[None, None]:
    """The interval of a plain sample variance s^2: df s^2 over quantiles of chi-square."""
    from scipy.stats import chi2

    if len(groups) > 1:
        return None, None
    df = len(groups[0]) - 1
    low, high = df * _pooled(groups) / chi2.ppf([(1 + LEVEL) / 2, (1 - LEVEL) / 2], df)
    return float(low), float(high)


def _share(variance: float, total: float) -> float:
    return variance / total if total > 0 else 0.0
