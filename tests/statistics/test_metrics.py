"""Scores by numpy: those of `reporting/scores.py`, on resamples, and as values of items."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from prompt_lab.errors import LabError
from prompt_lab.reporting import scores
from prompt_lab.reporting.regression import Numbers
from prompt_lab.statistics.metrics import item_values, score
from prompt_lab.statistics.scored import Floats, Whole

METRICS = ("acc", "f1", "f1_macro", "mcc")
CORRELATIONS = ("pearson", "spearman")


@dataclass(frozen=True)
class Test:
    __test__ = False
    label_N: Whole
    logp_NC: Floats
    number_N: Floats | None = None


def made(items: int, classes: int, seed: int, labels: int | None = None, *, numbers: bool = False) -> Test:
    draw = np.random.default_rng(seed)
    label_N = draw.integers(0, labels or classes, items)
    score_NC = draw.normal(size=(items, classes)) + np.eye(classes)[label_N]
    logp_NC = score_NC - np.log(np.exp(score_NC).sum(1, keepdims=True))
    number_N = (5 * (label_N * 0.5 + 0.5 * draw.random(items))).round(1) if numbers else None  # some are equal
    return Test(label_N, logp_NC, number_N)


def by_torch(test: Test) -> dict[str, float]:
    numbers = None if test.number_N is None else Numbers(torch.from_numpy(test.number_N), (0.0, 5.0))
    return scores.scores(torch.from_numpy(test.logp_NC), torch.from_numpy(test.label_N), "", numbers)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("classes", "labels"), [(2, 2), (3, 3), (6, 6), (4, 3), (4, 1), (2, 1)])
def test_scores_are_those_of_the_record(metric: str, classes: int, labels: int) -> None:
    test = made(60, classes, 3, labels)
    assert score(metric, test) == pytest.approx(by_torch(test)[metric], abs=2e-6)


def test_a_label_that_neither_occurs_nor_is_predicted_has_no_f1() -> None:
    """One of two right: F1 of 2/3 and 0 over the two labels there are; the third, which is the last one, scores 0 by itself."""
    test = Test(np.array([0, 0]), np.log([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))
    assert score("f1_macro", test) == pytest.approx(1 / 3)
    assert by_torch(test)["f1_macro"] == pytest.approx(1 / 3, abs=1e-6)
    assert score("f1", test) == by_torch(test)["f1"] == 0.0


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_correlations_are_those_of_the_record(metric: str) -> None:
    test = made(80, 2, 5, numbers=True)
    assert score(metric, test) == pytest.approx(by_torch(test)[metric], abs=2e-6)


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_numbers_that_are_all_the_same_go_together_with_nothing(metric: str) -> None:
    test = made(20, 2, 5, numbers=True)
    flat = Test(test.label_N, np.log(np.full((20, 2), 0.5)), test.number_N)
    assert score(metric, flat) == 0.0
    assert item_values(metric, flat).tolist() == [0.0] * 20


@pytest.mark.parametrize("metric", METRICS + CORRELATIONS)
def test_a_resample_scores_as_a_test_set_of_its_own(metric: str) -> None:
    test, index_N = made(50, 2, 7, numbers=True), np.random.default_rng(1).integers(0, 50, 50)
    assert test.number_N is not None
    own = Test(test.label_N[index_N], test.logp_NC[index_N], test.number_N[index_N])
    assert score(metric, test, index_N) == pytest.approx(by_torch(own)[metric], abs=2e-6)


@pytest.mark.parametrize("metric", METRICS + CORRELATIONS)
@pytest.mark.parametrize("classes", [2, 3])
def test_values_of_items_are_the_jackknife_and_their_mean_is_the_score(metric: str, classes: int) -> None:
    test = made(30, 2 if metric in CORRELATIONS else classes, 11, numbers=True)
    everyone = np.arange(30)
    without_N = np.array([score(metric, test, np.delete(everyone, i)) for i in everyone])
    by_hand = score(metric, test) + 29 * (without_N.mean() - without_N)
    assert item_values(metric, test) == pytest.approx(by_hand, abs=1e-9)
    assert item_values(metric, test).mean() == pytest.approx(score(metric, test))


@pytest.mark.parametrize("metric", ["f1_macro", "mcc", "pearson", "spearman"])
def test_the_spread_of_values_is_that_of_the_score_over_resamples(metric: str) -> None:
    test = made(300, 2, 2, numbers=True)
    error = item_values(metric, test).std(ddof=1) / 300**0.5
    draws = np.random.default_rng(0)
    resampled = np.std([score(metric, test, draws.integers(0, 300, 300)) for _ in range(400)])
    assert error == pytest.approx(resampled, rel=0.15)


def test_accuracy_of_items_is_right_or_wrong() -> None:
    logp_NC = np.log([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    assert item_values("acc", Test(np.array([0, 0, 1]), logp_NC)).tolist() == [1.0, 0.0, 1.0]


def test_an_unknown_metric_is_named() -> None:
    with pytest.raises(LabError, match=r"unknown metric 'f1_micro'. Did you mean 'f1_macro'"):
        score("f1_micro", made(5, 2, 0))
