"""The mean of a table of seeds by items, and how far it may be off: two crossed samples (Cornfield and Tukey 1956)."""

from dataclasses import dataclass

import numpy as np

from prompt_lab.statistics.scored import Floats


@dataclass(frozen=True)
class CrossedMean:
    """A mean over seeds and items.

    Attributes:
        mean: of all values.
        error: its standard error.
        df: degrees of freedom of the error; infinite where nothing varies.
        seeds: number of seeds.
        items: number of items.
    """

    mean: float
    error: float
    df: float
    seeds: int
    items: int

    def quantile(self, probability: float) -> float:
        """Of Student's distribution with these degrees of freedom."""
        from scipy.stats import norm, t

        return float(t.ppf(probability, self.df) if np.isfinite(self.df) else norm.ppf(probability))

    def two_sided(self) -> float:
        """The probability of a mean as far from 0 as this one if the true one is 0.

        It is never less than 2^(1 - N): whatever their values, N items that all point one way do so by chance as often.
        """
        from scipy.stats import norm, t

        if self.mean == 0.0:
            return 1.0
        with np.errstate(divide="ignore"):
            ratio = abs(np.float64(self.mean) / self.error)
        p = 2 * (t.sf(ratio, self.df) if np.isfinite(self.df) else norm.sf(ratio))
        return float(max(p, 2.0 ** max(1 - self.items, -1000)))


def crossed_mean(value_SN: Floats) -> CrossedMean:
    """The mean of x[s, i] = m + a_s + b_i + c_si, where seeds s and items i are both samples of many.

    Its variance is (MS_seeds + MS_items - MS_rest) / (S N), with the mean squares of a two-way analysis of variance without
    replicates. No component of variance counts as negative, so it is never below that of seeds alone, of items alone, or of the
    rest. Its degrees of freedom are Satterthwaite's (1946). With one seed only items vary, and nothing is known of other seeds.

    Args:
        value_SN: [S, N], two items or more.
    """
    seeds, items = value_SN.shape
    mean = float(value_SN.mean())
    if seeds == 1:
        return CrossedMean(mean, float(value_SN.std(ddof=1)) / items**0.5, items - 1, seeds, items)
    of_seed_S, of_item_N = value_SN.mean(1) - mean, value_SN.mean(0) - mean
    rest_SN = value_SN - mean - of_seed_S[:, None] - of_item_N
    df = np.array([seeds - 1, items - 1, (seeds - 1) * (items - 1)])
    squares = np.array([items * (of_seed_S**2).sum(), seeds * (of_item_N**2).sum(), (rest_SN**2).sum()]) / df
    parts = squares / value_SN.size
    variance = float((parts[:2] - parts[2]).clip(min=0).sum() + parts[2])
    freedom = variance**2 / float((parts**2 / df).sum()) if variance > 0 else np.inf
    return CrossedMean(mean, variance**0.5, max(freedom, 1.0), seeds, items)
