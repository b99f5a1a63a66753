"""Scores that can be worked out by hand."""

import pytest
import torch

from prompt_lab.reporting.scores import recall_per_class, scores


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


def certain(predicted: list[int], classes: int) -> torch.Tensor:
    """Log-probabilities of a model that is nearly sure."""
    return torch.eye(classes)[predicted].add(0.01).log().log_softmax(1)


@pytest.mark.parametrize(
    ("predicted", "label"), [([1] * 10, [0] + [1] * 9), ([0, 1] * 5, [1] * 10), ([1] * 10, [1] * 10)]
)
def test_labels_that_are_all_the_same_go_together_with_nothing(predicted: list[int], label: list[int]) -> None:
    assert scores(certain(predicted, 2), torch.tensor(label), "")["mcc"] == 0.0


def test_f1_of_each_label_by_hand_and_its_macro_and_weighted_means() -> None:
    label = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    found = scores(certain([0, 0, 0, 1, 1, 2, 2, 0], 3), label, "test/")
    each = [2 * 3 / (4 + 4), 2 * 1 / (2 + 2), 2 * 1 / (2 + 2)]  # 2 hits / (named + there)
    assert found["test/f1"] == pytest.approx(each[2])
    assert found["test/f1_macro"] == pytest.approx(sum(each) / 3, abs=1e-6)
    assert found["test/f1_weighted"] == pytest.approx((4 * each[0] + 2 * each[1] + 2 * each[2]) / 8)
    assert found["test/f1_macro"] != pytest.approx(found["test/f1_weighted"], abs=0.01)


def test_a_label_that_neither_occurs_nor_is_predicted_has_no_f1() -> None:
    """Here the last two labels; in Chinese comments, a label without a training text in a part of the validation texts."""
    label = torch.tensor([0, 1, 1])
    found = scores(certain([0, 0, 1], 4), label, "")
    assert found["f1_macro"] == pytest.approx((2 / 3 + 2 / 3) / 2, abs=1e-6)
    assert found["f1_weighted"] == pytest.approx(2 / 3, abs=1e-6)
    assert scores(certain([0, 1, 1], 4), label, "")["f1_macro"] == 1.0


def test_a_label_that_is_predicted_and_does_not_occur_has_an_f1_of_zero() -> None:
    found = scores(certain([0, 2, 1], 4), torch.tensor([0, 1, 1]), "")
    assert found["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3, abs=1e-6)
    assert found["f1_weighted"] == pytest.approx((1 * 1 + 2 * 2 / 3) / 3, abs=1e-6)


def test_recall_of_labels_that_occur() -> None:
    found = recall_per_class(certain([0, 0, 1, 3], 4), torch.tensor([0, 1, 1, 1]), ("a", "b", "c", "d"))
    assert found == pytest.approx({"a": 1.0, "b": 1 / 3})
