"""Scores that can be worked out by hand."""

import pytest
import torch

from prompt_lab.reporting.scores import scores


def test_auc_is_the_share_of_pairs_in_the_right_order_whatever_the_bias() -> None:
    margin = torch.tensor([3.0, 2.0, 1.5, 1.0, 0.5]) + 10  # all are called the second label
    label = torch.tensor([1, 0, 1, 1, 0])
    logp = torch.stack([torch.zeros(5), margin], 1).log_softmax(1)
    found = scores(logp, label, "test/")
    assert found["test/acc"] == pytest.approx(0.6)
    assert found["test/auc"] == pytest.approx(4 / 6), "of 3 x 2 pairs, (1.5, 2.0) and (1.0, 2.0) are in the wrong order"
    assert scores(logp + torch.tensor([7.0, 0.0]), label, "test/")["test/auc"] == pytest.approx(4 / 6)


def test_auc_of_several_labels_is_the_mean_of_each_against_the_rest() -> None:
    logp = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]).log()
    label = torch.tensor([0, 1, 1, 2])
    each = [3 / 3, 3.5 / 4, 3 / 3]  # the third example's 0.3 for label 1 ties with the fourth's
    assert scores(logp, label, "")["auc"] == pytest.approx(sum(each) / 3)


def test_no_auc_where_a_label_never_occurs() -> None:
    assert "auc" not in scores(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([1]), "")
