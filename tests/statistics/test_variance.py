"""Where the spread comes from, on numbers that were put together by hand."""

import itertools

import numpy as np
import pytest

from prompt_lab.errors import LabError
from prompt_lab.statistics.variance import Run, crossed, one_at_a_time


def test_one_factor_at_a_time_by_hand() -> None:
    """Around (0, 0) with score .5: splits .3 .5 .7 have a variance of .04, orders .4 .5 .6 of .01: four fifths and a fifth."""
    base = {"split": 0, "order": 0, "template": 7}
    runs: list[Run] = [(base, 0.5)]
    runs += [(base | {"split": 1}, 0.3), (base | {"split": 2}, 0.7)]
    runs += [(base | {"order": 1}, 0.4), (base | {"order": 2}, 0.6)]
    split, order = one_at_a_time(runs)
    assert (split.factor, split.levels, order.factor, order.levels) == ("split", 3, "order", 3)
    assert (split.variance, order.variance) == (pytest.approx(0.04), pytest.approx(0.01))
    assert (split.share, order.share) == (pytest.approx(0.8), pytest.approx(0.2))


def test_groups_are_averaged_by_their_degrees_of_freedom() -> None:
    """Orders 1 3 at one split (variance 2) and 0 0 6 at another (12): (1 * 2 + 2 * 12) / 3."""
    runs: list[Run] = [({"split": 0, "order": o}, s) for o, s in ((0, 1.0), (1, 3.0))]
    runs += [({"split": 1, "order": o}, s) for o, s in ((2, 0.0), (3, 0.0), (4, 6.0))]
    (order,) = one_at_a_time(runs)
    assert order.variance == pytest.approx(26 / 3)
    assert (order.low, order.high) == (None, None), "chi-square is of one sample"


def test_factors_that_only_change_together_are_one() -> None:
    runs: list[Run] = [({"split": s, "init": s, "order": o}, float(s + o)) for s in range(3) for o in range(2)]
    assert [c.factor for c in one_at_a_time(runs)] == ["split + init", "order"]
    assert [c.factor for c in crossed(runs)] == ["split + init", "order", "rest"]


@pytest.mark.parametrize("levels", [3, 5])
def test_an_interval_holds_the_true_variance_in_95_of_100(levels: int) -> None:
    draw, held = np.random.default_rng(0), []
    for _ in range(1000):
        (found,) = one_at_a_time([({"seed": i}, float(draw.normal())) for i in range(levels)])
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= 1 <= found.high)
    assert 0.93 < np.mean(held) < 0.97


def test_an_interval_by_hand() -> None:
    """0 and 2 have a variance of 2; chi-square with one degree of freedom is below .000982 and above 5.024 once in 40 times."""
    (found,) = one_at_a_time([({"seed": 0}, 0.0), ({"seed": 1}, 2.0)])
    assert (found.low, found.high) == (pytest.approx(2 / 5.024, rel=1e-3), pytest.approx(2 / 0.000982, rel=1e-3))


def test_scores_that_do_not_vary_have_no_shares() -> None:
    (found,) = one_at_a_time([({"seed": i}, 0.5) for i in range(3)])
    assert (found.variance, found.share, found.low, found.high) == (0.0, 0.0, 0.0, 0.0)


def test_a_crossed_design_by_hand() -> None:
    """Score = 2 split + order, splits -1 1, orders -1 0 1, nothing else: MS 24 / 1 and 4 / 2, no rest."""
    runs: list[Run] = [({"split": s, "order": o}, 2.0 * s + o) for s in (-1, 1) for o in (-1, 0, 1)]
    split, order, rest = crossed(runs)
    assert (split.variance, order.variance, rest.variance) == (pytest.approx(8), pytest.approx(1), pytest.approx(0))
    assert split.share == pytest.approx(8 / 9)
    assert split.low is None


def test_interplay_is_rest_and_no_component_is_negative() -> None:
    """Score = split times order: no main effect at all."""
    split, order, rest = crossed([({"split": s, "order": o}, float(s * o)) for s in (-1, 1) for o in (-1, 1)])
    assert (split.variance, order.variance) == (0.0, 0.0)
    assert rest.share == 1.0


def test_chance_is_taken_off_a_main_effect() -> None:
    """Score = 2 split + split times order: mean squares 16, 0 and 4, two runs a level; (16 - 4) / 2."""
    split, order, rest = crossed([({"split": s, "order": o}, float(2 * s + s * o)) for s in (-1, 1) for o in (-1, 1)])
    assert (split.variance, order.variance, rest.variance) == (pytest.approx(6), 0.0, pytest.approx(4))


def test_planted_components_are_found() -> None:
    draw = np.random.default_rng(1)
    size = {"split": 0.3, "init": 0.1, "order": 0.0}
    effect = {name: draw.normal(0, sd, 30) for name, sd in size.items()}
    runs: list[Run] = []
    for levels in itertools.product(range(30), range(30), range(3)):
        named = dict(zip(size, levels, strict=True))
        runs.append((named, float(sum(effect[n][level] for n, level in named.items()) + draw.normal(0, 0.2))))
    found = {c.factor: c.variance for c in crossed(runs)}
    assert found["split"] == pytest.approx(effect["split"].var(ddof=1), rel=0.05)
    assert found["init"] == pytest.approx(effect["init"].var(ddof=1), rel=0.2)
    assert found["order"] < 0.001
    assert found["rest"] == pytest.approx(0.04, rel=0.1)


def test_designs_that_say_nothing_are_refused() -> None:
    together: list[Run] = [({"split": s, "order": s + (s == 2)}, 0.1 * s) for s in range(3)]
    with pytest.raises(LabError, match="every combination of their levels equally often"):
        crossed(together)
    apart: list[Run] = [
        ({"split": 0, "order": 0}, 0.1),
        ({"split": 1, "order": 1}, 0.2),
        ({"split": 0, "order": 1}, 0.2),
    ]
    with pytest.raises(LabError, match="equally often"):
        crossed(apart)
    never: list[Run] = [({"split": a, "order": b}, 0.1) for a, b in ((0, 0), (1, 1), (2, 2))]
    assert [c.factor for c in one_at_a_time(never)] == ["split + order"]
    with pytest.raises(
        LabError, match="no factor moves while the others stay, among 4 runs that vary in a and b and c"
    ):
        one_at_a_time([({"a": a, "b": b, "c": a ^ b}, 0.1) for a in (0, 1) for b in (0, 1)])
    with pytest.raises(LabError, match="no runs"):
        crossed([])
    with pytest.raises(LabError, match="another one does not"):
        crossed([({"a": 1}, 0.1), ({"b": 1}, 0.1)])
