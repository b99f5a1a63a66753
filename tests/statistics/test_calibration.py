"""Reliability curves by hand, and against the error in the record."""

import numpy as np
import pytest
import torch

from prompt_lab.reporting import scores
from prompt_lab.statistics.calibration import reliability


def test_by_hand() -> None:
    """Two bins below and above one half of three labels: .4 wrong; .6 right and .9 wrong."""
    p_NC = np.array([[0.4, 0.3, 0.3], [0.2, 0.6, 0.2], [0.9, 0.1, 0.0]])
    with np.errstate(divide="ignore"):
        found = reliability(np.log(p_NC), np.array([1, 1, 2]), bins=2)
    assert found.count.tolist() == [1, 2]
    assert found.confidence == pytest.approx([0.4, 0.75])
    assert found.accuracy == pytest.approx([0.0, 0.5])
    assert found.ece == pytest.approx((1 * 0.4 + 2 * 0.25) / 3)
    # .16 + .49 + .09; .04 + .16 + .04; .81 + .01 + 1
    assert found.brier == pytest.approx((0.74 + 0.24 + 1.82) / 3)


def test_it_is_the_error_of_the_record_and_empty_bins_have_no_figures() -> None:
    draw = np.random.default_rng(0)
    logp_NC = torch.from_numpy(draw.normal(size=(500, 4))).log_softmax(1)
    label_N = torch.from_numpy(draw.integers(0, 4, 500))
    found = reliability(logp_NC.numpy(), label_N.numpy())
    assert found.ece == pytest.approx(scores.scores(logp_NC, label_N, "")["ece"], abs=1e-5)
    assert found.count.sum() == 500
    assert len(found.edges) == 16
    assert found.count[:3].tolist() == [0, 0, 0], "the most probable of four labels has a fourth at least"
    assert np.isnan(found.accuracy[:3]).all()


def test_a_bin_holds_its_lower_edge() -> None:
    assert reliability(np.log([[0.5, 0.5]]), np.array([1]), bins=2).count.tolist() == [0, 1]


def test_certainty_is_the_error_of_the_record() -> None:
    """Said with certainty and wrong once in two: .5; said with .95 and always right: .05. In one bin they would balance in part."""
    sure, label_N = [0.0, -30.0], np.array([0, 1, 0, 0])
    near = np.log([0.95, 0.05]).tolist()
    nearly = [-1e-9, -20.7]  # which is 1 in 32 bits, as in the record
    for certain in (sure, nearly):
        logp_NC = torch.tensor([certain, certain, near, near])
        found = reliability(logp_NC.double().numpy(), label_N)
        assert found.ece == pytest.approx((2 * 0.5 + 2 * 0.05) / 4, abs=1e-6)
        assert found.ece == pytest.approx(scores.scores(logp_NC, torch.from_numpy(label_N), "")["ece"], abs=1e-6)
        assert (found.count[-1], len(found.count)) == (4, 15)


def test_certainty_stands_in_the_last_bin() -> None:
    found = reliability(np.log(np.array([[1.0, 1e-30]])), np.array([0]))
    assert (found.count[-1], found.ece) == (1, 0.0)
