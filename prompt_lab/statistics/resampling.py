"""Means of resampled seeds and items: the bootstrap of two crossed samples (Owen 2007, "The pigeonhole bootstrap")."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from prompt_lab.statistics.scored import Floats

RESAMPLES = 2000
_AT_ONCE = 4_000_000


def resampled_means(value_SN: Floats, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Means over seeds drawn with replacement and, for each draw, items drawn with replacement that all of its seeds share.

    A bootstrap of S seeds has (S - 1) / S of the variance that S seeds really have, a third less at S = 3: the seeds' deviations from
    their mean are stretched by the root of S / (S - 1) before they are drawn (Davison and Hinkley 1997, section 3.8).

    Args:
        value_SN: [S, N] whose mean is asked for.
        resamples: how many, R.
        seed: of the draws.

    Returns:
        [R].
    """
    seeds, items = value_SN.shape
    if seeds > 1:
        deviation_S = value_SN.mean(1) - value_SN.mean()
        value_SN = value_SN + ((seeds / (seeds - 1)) ** 0.5 - 1) * deviation_S[:, None]
    drawn_RS = np.random.default_rng(seed).multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples)
    found = []
    for number, part_RS in enumerate(np.array_split(drawn_RS, -(-resamples * items // _AT_ONCE))):
        times_RN = _times(items, len(part_RS), (seed, number))
        found.append(((times_RN @ value_SN.T.astype(np.float32)) * part_RS).sum(1) / (seeds * items))
    return np.concatenate(found).astype(np.float64)


@lru_cache(maxsize=4)
def _times(items: int, resamples: int, seed: tuple[int, int]) -> NDArray[np.float32]:
    """How often each item is drawn, [R, N]. All methods of a task share the draws, which take longer than anything done with them."""
    chosen_RN = np.random.default_rng((*seed, items)).integers(0, items, (resamples, items))
    chosen_RN += items * np.arange(resamples)[:, None]
    return np.bincount(chosen_RN.ravel(), minlength=resamples * items).reshape(resamples, items).astype(np.float32)
