"""Ranks over tasks, against the worked example of the paper they come from."""

import numpy as np
import pytest
from scikit_posthocs import posthoc_nemenyi_friedman

from prompt_lab.errors import LabError
from prompt_lab.statistics.ranks import ranks

NAMES = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967], [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931], [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875], [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.97501, 0.975], [0.957, 0.978, 0.946, 0.970],
    ]
).T  # fmt: skip
"""Demsar 2006, table 6: area under the curve of four decision trees on 14 data sets.

Of two .975 on one set it ranks the third tree higher.
"""


def test_the_example_of_demsar() -> None:
    found = ranks(DEMSAR, NAMES)
    assert dict(zip(found.methods, found.mean_rank, strict=True)) == pytest.approx(
        {"C4.5+m+cf": 1.964, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5": 3.143}, abs=5e-4
    )
    assert found.methods[0] == "C4.5+m+cf"
    assert found.critical == pytest.approx(1.25, abs=0.005)
    assert found.tasks == 14
    tied = (60 + 3 * 6) / (14 * 60)  # four trees alike on one set, two on three sets; of 14 sets
    assert found.statistic == pytest.approx(9.28 / (1 - tied), abs=0.01), "9.28 in the paper, not corrected for ties"
    assert found.p < 0.05
    assert found.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),), "the largest gap is 1.179"


def test_groups_are_stretches_no_longer_than_the_critical_difference() -> None:
    """Always in one order on 4 tasks: ranks 1 to 5; q(5) sqrt(5 * 6 / 24) = 2.728 * 1.118 = 3.05."""
    found = ranks(np.tile(np.arange(5.0)[::-1, None], 4), "abcde")
    assert found.mean_rank == (1, 2, 3, 4, 5)
    assert found.critical == pytest.approx(3.05, abs=0.005)
    assert found.groups == (("a", "b", "c", "d"), ("b", "c", "d", "e"))
    p = posthoc_nemenyi_friedman(np.tile(np.arange(5.0)[::-1, None], 4).T).to_numpy()
    assert p[0, 4] < 0.05 < p[0, 3], "as pair by pair"


def test_equal_scores_share_a_rank_and_equal_methods_are_one_group() -> None:
    found = ranks(np.ones((3, 2)), "abc")
    assert (found.mean_rank, found.p, found.groups) == ((2, 2, 2), 1.0, (("a", "b", "c"),))
    assert ranks(np.array([[1.0, 1.0], [1.0, 0.5], [0.0, 0.1]]), "abc").mean_rank == (1.25, 1.75, 3.0)


def test_methods_far_apart_are_in_no_group() -> None:
    assert ranks(np.tile([[3.0], [2.0], [1.0]], 40), "abc").groups == ()


@pytest.mark.parametrize("shape", [(2, 5), (5, 1)])
def test_too_few_are_refused_with_the_reason(shape: tuple[int, int]) -> None:
    with pytest.raises(LabError, match=f"there are {shape[0]} on {shape[1]}: two methods are compared directly"):
        ranks(np.zeros(shape), "abcde"[: shape[0]])


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(LabError, match="needs a score on every task"):
        ranks(np.array([[1.0, np.nan], [1.0, 2.0], [1.0, 2.0]]), "abc")
