"""Whether one method is better than another on the same seeds and test items (PROTOCOL rule 9)."""

from dataclasses import dataclass

import numpy as np

from prompt_lab.statistics.crossed import crossed_mean
from prompt_lab.statistics.resampling import RESAMPLES, resampled_means
from prompt_lab.statistics.scored import Floats, Pairs, Scored, paired

LEVEL = 0.95
POWER = 0.8
EXACT = 12
"""Up to so many seeds every choice of signs is tried."""


@dataclass(frozen=True)
class Difference:
    """The first method's mean score minus the second's.

    Attributes:
        difference: of the means.
        low: lower end of its 95 % interval.
        high: upper end.
        p: probability of a difference as large if there is none, two-sided, not corrected for other comparisons.
        detectable: the true difference for which this p is below .05 in 80 of 100 experiments.
        seeds: how many seeds were paired; 0 where none plays a role in either method.
        items: how many test items were paired.
        over: what the p-value speaks for: ``seeds and items``, or ``items`` alone, where there is one seed or none.
    """

    difference: float
    low: float
    high: float
    p: float
    detectable: float
    seeds: int
    items: int
    over: str


def compare(one: Scored, other: Scored) -> Difference:
    """Two methods, paired by seed and item; see ``difference_of``.

    Raises:
        LabError: they cannot be paired.
    """
    return difference_of(paired(one, other))


def difference_of(pairs: Pairs) -> Difference:
    """The mean difference, tested as a mean of two crossed samples, seeds and items (``crossed_mean``).

    Of the tests here it is the one whose p a table should show. In 500 simulated experiments with equal methods, for each of 18
    designs (3, 5 or 10 seeds; 200 or 1,000 items; seeds that vary by 1, 3 or 5 points), at .05 it found a difference in 3 to 8 of
    100 (3 to 7 from 5 seeds on). A t-test over seeds found one in 4 to 38, since it takes these test items for all there are; one
    over items in 4 to 55, since it takes these seeds for all; the paired bootstrap in 1 to 12. The sign-flip test can find nothing
    with 3 or 5 seeds, and found 5 to 37 with 10, for the same reason as the t-test over seeds.

    ``detectable`` is (t_.975 + t_.80) standard errors (Bloom 1995), for this test alone and without a correction. Methods that say
    the same of every item are equal: the difference is 0 and p is 1.
    """
    crossed = crossed_mean(pairs.difference_SN)
    reach = crossed.quantile((1 + LEVEL) / 2) * crossed.error
    return Difference(
        crossed.mean,
        crossed.mean - reach,
        crossed.mean + reach,
        crossed.two_sided(),
        reach + crossed.quantile(POWER) * crossed.error,
        len(pairs.seeds),
        crossed.items,
        "seeds and items" if len(pairs.seeds) > 1 else "items",
    )


def bootstrap_p(pairs: Pairs, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """The paired hierarchical bootstrap: twice the share of resampled mean differences beyond 0 (Efron and Tibshirani 1993)."""
    means_R = resampled_means(pairs.difference_SN, resamples, seed)
    beyond = min(int((means_R <= 0).sum()), int((means_R >= 0).sum()))
    return min(1.0, 2 * (beyond + 1) / (resamples + 1))


def sign_flip_p(difference_S: Floats, draws: int = 10_000, seed: int = 0) -> float:
    """The paired permutation test over seeds: how often their mean is as large when each sign is as good as the other.

    All 2^S choices of signs are tried up to S = 12, and ``draws`` of them beyond (Fisher 1935; Good 2005). With S seeds p cannot be
    less than 2^(1 - S): .25 with 3 seeds, .0625 with 5.

    Args:
        difference_S: [S] the differences of the seeds' scores.
        draws: of signs, where there are too many to try them all.
        seed: of the draws.
    """
    seeds = len(difference_S)
    if seeds <= EXACT:
        signs_XS = 1 - 2 * (np.arange(2**seeds)[:, None] >> np.arange(seeds) & 1)
    else:
        signs_XS = np.random.default_rng(seed).choice([-1, 1], (draws, seeds))
        signs_XS[0] = 1  # what was seen is one of the choices
    sums_X = np.abs(signs_XS @ difference_S)
    return float((sums_X >= sums_X[0] * (1 - 1e-9)).mean())
