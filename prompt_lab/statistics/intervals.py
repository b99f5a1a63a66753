"""The 95 % interval of a mean score, over other draws of training examples and over other test items."""

from dataclasses import dataclass

import numpy as np

from prompt_lab.statistics.crossed import CrossedMean, crossed_mean
from prompt_lab.statistics.resampling import RESAMPLES, resampled_means
from prompt_lab.statistics.scored import Floats, Scored

LEVEL = 0.95
NORMAL = 1.959964
"""The .975 quantile of the normal distribution."""


@dataclass(frozen=True)
class Interval:
    """Where the true mean lies in 95 of 100 such experiments.

    Attributes:
        low: its lower end.
        high: its upper end.
        seeds: how many seeds it knows of; 0 where none plays a role.
        items: number of test items.
        over: what it speaks for: ``seeds and items``, or ``items`` alone, where there is one seed or none.
    """

    low: float
    high: float
    seeds: int
    items: int
    over: str


def interval(
    scored: Scored, *, limits: tuple[float, float] = (0.0, 1.0), resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The interval of a method's mean score by a hierarchical bootstrap: seeds are drawn, then test items, which all seeds share.

    Few seeds make such intervals too narrow, for two reasons: resampled seeds vary too little, which ``resampled_means`` puts right,
    and the variance of few seeds is itself uncertain, for which the ends' distances from the mean are multiplied by t / z: the .975
    quantiles of Student's distribution, with Satterthwaite's degrees of freedom (``crossed_mean``), and of the normal one.

    Measured on 500 simulated experiments for each of 18 designs (3, 5 or 10 seeds; 200 or 1,000 items; seeds that vary by 1, 3 or 5
    points; accuracy 80 %): intervals so made held the true mean in 92 to 97 of 100, without the two corrections in 82 to 96.

    With one seed, or K = 0, only test items are drawn: the interval says nothing of other training examples, and ``over`` says so.

    Args:
        scored: the method's runs.
        limits: the least and the highest score that there can be; the interval ends there.
        resamples: how often to draw.
        seed: of the draws.
    """
    low, high = _ends(scored.value_SN, crossed_mean(scored.value_SN), resamples, seed)
    over = "seeds and items" if len(scored.seeds) > 1 else "items"
    items = scored.value_SN.shape[1]
    return Interval(max(low, limits[0]), min(high, limits[1]), len(scored.seeds), items, over)


def _ends(value_SN: Floats, crossed: CrossedMean, resamples: int, seed: int) -> tuple[float, float]:
    means_R = resampled_means(value_SN, resamples, seed)
    wider = crossed.quantile((1 + LEVEL) / 2) / NORMAL
    low, high = np.quantile(means_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - crossed.mean
    return crossed.mean + wider * float(low), crossed.mean + wider * float(high)
