"""Intervals of a mean score: how often they hold the true one, and what they speak for."""

import numpy as np
import pytest

from prompt_lab.statistics.intervals import interval
from prompt_lab.statistics.resampling import resampled_means
from prompt_lab.statistics.scored import Floats, Scored

SEEDS = (13, 21, 42, 87, 100)


def table(draw: np.random.Generator, seeds: int, items: int, seed_sd: float, item_sd: float) -> Floats:
    of_seed, of_item = draw.normal(0, seed_sd, (seeds, 1)), draw.normal(0, item_sd, items)
    return 0.5 + of_seed + of_item + draw.normal(0, 0.2, (seeds, items))


@pytest.mark.parametrize(("seed_sd", "item_sd"), [(0.2, 0.1), (0.05, 0.1), (0.02, 0.3)])
def test_ninety_five_of_a_hundred_intervals_hold_the_true_mean(seed_sd: float, item_sd: float) -> None:
    draw = np.random.default_rng(0)
    found = [interval(Scored(table(draw, 5, 80, seed_sd, item_sd), SEEDS), resamples=300, seed=n) for n in range(400)]
    assert 0.92 < np.mean([i.low <= 0.5 <= i.high for i in found]) < 0.98


def test_resampled_seeds_vary_as_much_as_seeds_do() -> None:
    """Scores 0, 1, 2 on items that are all alike: the variance of their mean is 1 / 3; a plain bootstrap has two thirds of that."""
    means_R = resampled_means(np.repeat([[0.0], [1.0], [2.0]], 4, axis=1), 40_000)
    assert means_R.var() == pytest.approx(1 / 3, rel=0.03)
    assert means_R.mean() == pytest.approx(1.0, abs=0.01)


def test_items_are_shared_by_the_seeds_of_a_resample() -> None:
    """Seeds that say the same of each item are one seed; were items drawn for each apart, the variance would be a fourth."""
    value_SN = np.tile([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0], (4, 1))
    assert resampled_means(value_SN, 20_000).var() == pytest.approx(0.25 / 8, rel=0.05)


def test_large_tests_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    value_SN = np.random.default_rng(0).random((3, 50))
    whole = resampled_means(value_SN)
    monkeypatch.setattr("prompt_lab.statistics.resampling._AT_ONCE", 5000)
    parts = resampled_means(value_SN)
    assert parts.shape == whole.shape
    assert parts.mean() == pytest.approx(whole.mean(), abs=0.005)
    assert parts.std() == pytest.approx(whole.std(), rel=0.1)
    assert len(set(parts)) > 1900, "each part has draws of its own"


def test_one_seed_or_none_speaks_for_items_alone() -> None:
    value_SN = np.random.default_rng(0).integers(0, 2, (1, 400)).astype(float)
    one, none = interval(Scored(value_SN, (13,))), interval(Scored(value_SN))
    assert (one.over, one.seeds, none.over, none.seeds) == ("items", 1, "items", 0)
    half = 1.96 * value_SN.std() / 20
    assert one.high - one.low == pytest.approx(2 * half, rel=0.08)
    assert interval(Scored(np.repeat(value_SN, 2, axis=0), (13, 21))).over == "seeds and items"


def test_an_interval_ends_where_scores_do_and_is_the_same_every_time() -> None:
    scored = Scored(np.array([[1.0] * 19 + [0.0], [1.0] * 20, [1.0] * 20]), SEEDS[:3])
    assert interval(scored).high == 1.0
    assert interval(scored) == interval(scored)
    assert interval(scored, limits=(-1.0, 2.0)).high > 1.0


def test_the_interval_stands_around_the_mean() -> None:
    scored = Scored(np.random.default_rng(2).random((5, 100)), SEEDS)
    found = interval(scored)
    assert found.low < scored.mean < found.high
    assert found.items == 100
