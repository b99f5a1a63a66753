"""Pairs, their tests, and Holm's correction: by hand, and by simulation."""

import itertools

import numpy as np
import pytest

from prompt_lab.errors import LabError
from prompt_lab.statistics.crossed import crossed_mean
from prompt_lab.statistics.differences import Difference, bootstrap_p, compare, difference_of, sign_flip_p
from prompt_lab.statistics.holm import holm, verdict
from prompt_lab.statistics.scored import Floats, Pairs, Scored, paired

SEEDS = (13, 21, 42, 87, 100)


def table(draw: np.random.Generator, seeds: int, items: int, seed_sd: float, mean: float = 0.0) -> Floats:
    """Differences with a part of seeds, one of items, and noise."""
    of_seed, of_item = draw.normal(0, seed_sd, (seeds, 1)), draw.normal(0, 0.3, items)
    return mean + of_seed + of_item + draw.normal(0, 0.3, (seeds, items))


# ------------------------------------------------------------------------------------------------- pairs


def test_methods_are_paired_on_the_seeds_both_have() -> None:
    one = Scored(np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), (13, 21, 42))
    other = Scored(np.array([[0.0, 1.0], [1.0, 0.0]]), (42, 13))
    pairs = paired(one, other)
    assert pairs.seeds == (13, 42)
    assert pairs.difference_SN.tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_a_method_without_seeds_stands_beside_every_seed() -> None:
    shots, none = Scored(np.array([[1.0, 0.0], [1.0, 1.0]]), (13, 21)), Scored(np.array([[0.0, 1.0]]))
    assert paired(shots, none).difference_SN.tolist() == [[1.0, -1.0], [1.0, 0.0]]
    assert paired(none, shots).seeds == (13, 21)
    assert compare(none, Scored(np.array([[0.0, 0.0]]))).over == "items"


def test_what_cannot_be_paired_is_refused() -> None:
    one = Scored(np.zeros((1, 3)), (13,))
    with pytest.raises(LabError, match="tested on 3 items and the other on 2"):
        compare(one, Scored(np.zeros((1, 2)), (13,)))
    with pytest.raises(LabError, match=r"\[13\] and \[21\] have none in common"):
        compare(one, Scored(np.zeros((1, 3)), (21,)))
    with pytest.raises(LabError, match="a seed stands twice"):
        Scored(np.zeros((2, 3)), (13, 13))
    with pytest.raises(LabError, match="2 rows of scores cannot be those of the seeds"):
        Scored(np.zeros((2, 3)), (13,))
    with pytest.raises(LabError, match="two or more test items"):
        Scored(np.zeros((2, 1)), (13, 21))


# ------------------------------------------------------------------------------------------------- the crossed mean


def test_the_error_worked_out_by_hand() -> None:
    """Rows 0 2 4 and 2 4 12: mean 4; seeds 2 and 6, items 1, 3 and 8; rest 1 1 -2 and -1 -1 2.

    Mean squares: seeds 3 (4 + 4) / 1 = 24, items 2 (9 + 1 + 16) / 2 = 26, rest (1 + 1 + 4 + 1 + 1 + 4) / 2 = 6. Each by the six
    values: 4, 13 / 3, 1.
    """
    crossed = crossed_mean(np.array([[0.0, 2.0, 4.0], [2.0, 4.0, 12.0]]))
    assert crossed.mean == 4.0
    assert crossed.error**2 == pytest.approx(4 + 13 / 3 - 1)
    assert crossed.df == pytest.approx((22 / 3) ** 2 / (4**2 / 1 + (13 / 3) ** 2 / 2 + 1 / 2))


def test_no_component_of_variance_is_negative() -> None:
    """Seeds with equal scores add nothing; they do not take away from what items add."""
    value_SN = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0]])  # seeds 1/2, 1/2; items 1/2, 1/2, 0, 1
    # items: 2 (2 / 4) / 3 = 1/3; rest: 4 / 4 / 3 = 1/3; by 8 values: 1/24 each
    assert crossed_mean(value_SN).error ** 2 == pytest.approx(1 / 24)


def test_one_seed_is_a_sample_of_items() -> None:
    crossed = crossed_mean(np.array([[0.0, 1.0, 1.0, 1.0]]))
    assert (crossed.error, crossed.df) == (pytest.approx(0.25), 3)


# ------------------------------------------------------------------------------------------------- differences


def test_identical_methods_are_a_tie() -> None:
    value_SN = np.random.default_rng(0).integers(0, 2, (3, 50)).astype(float)
    found = compare(Scored(value_SN, SEEDS[:3]), Scored(value_SN.copy(), SEEDS[:3]))
    assert (found.difference, found.low, found.high, found.p, found.detectable) == (0.0, 0.0, 0.0, 1.0, 0.0)
    assert verdict(found, found.p) == "tie"


def test_a_planted_gap_is_found_and_has_a_direction() -> None:
    draw = np.random.default_rng(1)
    better = Scored((draw.random((5, 400)) < 0.85).astype(float), SEEDS)
    worse = Scored((draw.random((5, 400)) < 0.70).astype(float), SEEDS)
    found, turned = compare(better, worse), compare(worse, better)
    assert found.difference == pytest.approx(better.mean - worse.mean)
    assert found.low < 0.15 < found.high
    assert found.p < 1e-4
    assert found.detectable < 0.1
    assert (verdict(found, found.p), verdict(turned, turned.p)) == ("better", "worse")
    assert (found.seeds, found.items, found.over) == (5, 400, "seeds and items")


def test_a_gap_of_one_lucky_seed_is_none() -> None:
    """Item by item the gap is huge; seed by seed it is one of three."""
    gap = np.zeros((3, 1000))
    gap[0, :150] = 1.0
    assert difference_of(Pairs(gap, SEEDS[:3])).p > 0.2
    assert difference_of(Pairs(gap.mean(0, keepdims=True), ())).p < 1e-6, "what items alone would say"


def test_a_certain_gap_on_few_items_is_not_certain() -> None:
    """Three items that all point one way do so by chance once in four times."""
    assert compare(Scored(np.ones((1, 3))), Scored(np.zeros((1, 3)))).p == pytest.approx(0.25)


def test_the_shown_p_finds_nothing_in_equal_methods_more_often_than_it_says() -> None:
    draw, runs = np.random.default_rng(3), 600
    for seeds, seed_sd in ((3, 0.02), (5, 0.02), (5, 0.08), (10, 0.05)):
        found = [difference_of(Pairs(table(draw, seeds, 100, seed_sd), SEEDS[:seeds])).p < 0.05 for _ in range(runs)]
        assert np.mean(found) < 0.07, (seeds, seed_sd)


def test_detectable_is_what_eighty_of_a_hundred_experiments_find() -> None:
    draw = np.random.default_rng(4)
    size = float(np.median([difference_of(Pairs(table(draw, 8, 100, 0.04), ())).detectable for _ in range(200)]))
    found = [difference_of(Pairs(table(draw, 8, 100, 0.04, size), ())).p < 0.05 for _ in range(400)]
    assert 0.72 < np.mean(found) < 0.88


def test_a_table_finds_half_of_the_differences_that_are_as_large_as_the_detectable_one() -> None:
    """Observed gaps that are smaller are ties, and half of them are."""
    draw = np.random.default_rng(4)
    size = float(np.median([difference_of(Pairs(table(draw, 8, 100, 0.04), ())).detectable for _ in range(200)]))
    found = [difference_of(Pairs(table(draw, 8, 100, 0.04, size), SEEDS)) for _ in range(400)]
    assert 0.4 < np.mean([verdict(one, one.p) == "better" for one in found]) < 0.6


# ------------------------------------------------------------------------------------------------- two other tests


def test_sign_flips_are_those_of_every_choice() -> None:
    """Differences 3 1 -1: sums of 3 or more in size are +-5, +-3 (twice each), of 8 in all: 6; those of 5 only: 2."""
    assert sign_flip_p(np.array([3.0, 1.0, -1.0])) == pytest.approx(6 / 8)
    assert sign_flip_p(np.array([3.0, 1.0, 1.0])) == pytest.approx(2 / 8)
    difference_S = np.random.default_rng(0).normal(0.4, 1, 7)
    sums = [abs(np.dot(signs, difference_S)) for signs in itertools.product((1, -1), repeat=7)]
    assert sign_flip_p(difference_S) == pytest.approx(np.mean([s >= abs(difference_S.sum()) - 1e-9 for s in sums]))
    assert sign_flip_p(np.zeros(5)) == 1.0


def test_many_seeds_are_flipped_at_random_and_alike_every_time() -> None:
    difference_S = np.random.default_rng(1).normal(0.6, 1, 14)
    sums = [abs(np.dot(signs, difference_S)) for signs in itertools.product((1, -1), repeat=14)]
    exact = np.mean([s >= abs(difference_S.sum()) - 1e-9 for s in sums])
    assert sign_flip_p(difference_S) == pytest.approx(exact, abs=0.01)
    assert sign_flip_p(difference_S) == sign_flip_p(difference_S)


def test_the_bootstrap_sees_a_gap_and_no_gap() -> None:
    draw = np.random.default_rng(5)
    assert bootstrap_p(Pairs(table(draw, 5, 200, 0.02, 0.3), SEEDS)) < 0.01
    assert bootstrap_p(Pairs(table(draw, 5, 200, 0.02), SEEDS)) > 0.05
    assert bootstrap_p(Pairs(np.zeros((3, 10)), SEEDS[:3])) == 1.0


# ------------------------------------------------------------------------------------------------- many comparisons


def test_holm_by_hand() -> None:
    # sorted .005 .01 .03 .04 times 4 3 2 1: .02 .03 .06 .04, and none below the one before it
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.02, float("nan")]) == pytest.approx([0.04, 1.0])


@pytest.mark.parametrize(
    ("difference", "p", "detectable", "said"),
    [
        (0.1, 0.01, 0.05, "better"),
        (-0.1, 0.01, 0.05, "worse"),
        (0.1, 0.05, 0.05, "tie"),
        (0.04, 0.01, 0.05, "tie"),
        (float("nan"), 1.0, float("nan"), "tie"),
    ],
)
def test_a_verdict(difference: float, p: float, detectable: float, said: str) -> None:
    assert verdict(Difference(difference, 0, 0, 0.5, detectable, 5, 100, "seeds and items"), p) == said


@pytest.mark.parametrize(("seeds", "said"), [(0, "better"), (1, "tie"), (2, "better")])
def test_one_common_seed_is_a_tie_and_none_is_not(seeds: int, said: str) -> None:
    over = "seeds and items" if seeds > 1 else "items"
    assert verdict(Difference(0.4, 0.3, 0.5, 1e-9, 0.1, seeds, 200, over), 1e-9) == said
