"""Several answers become one: worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prompt_lab import ensembling
from prompt_lab.ensembling import combine
from prompt_lab.errors import LabError

TWO = torch.tensor([[[0.9, 0.1]], [[0.2, 0.8]]]).log()  # two members, one example, two labels


def probabilities(how: str, weights: list[float] | None = None, logp: torch.Tensor = TWO) -> list[float]:
    return combine(logp, how, weights).exp()[0].tolist()  # type: ignore[arg-type]


def test_mean_of_probabilities() -> None:
    assert probabilities("probabilities") == pytest.approx([0.55, 0.45])
    assert probabilities("probabilities", [3, 1]) == pytest.approx([0.725, 0.275])


def test_mean_of_log_probabilities_is_a_product() -> None:
    one, other = math.sqrt(0.9 * 0.2), math.sqrt(0.1 * 0.8)
    assert probabilities("log_probabilities") == pytest.approx([one / (one + other), other / (one + other)])
    one, other = 0.9**0.75 * 0.2**0.25, 0.1**0.75 * 0.8**0.25
    assert probabilities("log_probabilities", [3, 1]) == pytest.approx([one / (one + other), other / (one + other)])


def test_they_differ_where_one_member_is_sure() -> None:
    """A member that all but excludes a label has a veto in the product, and one voice in the mean."""
    sure = torch.tensor([[[1e-9, 1 - 1e-9]], [[0.8, 0.2]], [[0.8, 0.2]]]).log()
    assert probabilities("log_probabilities", logp=sure)[0] < 0.01
    assert probabilities("probabilities", logp=sure)[0] > 0.5


def test_votes_count_and_probabilities_decide_a_tie() -> None:
    three = torch.tensor([[[0.51, 0.49]], [[0.51, 0.49]], [[0.01, 0.99]]]).log()
    assert probabilities("vote", logp=three)[0] == pytest.approx(2 / 3, abs=1e-3)
    assert probabilities("probabilities", logp=three)[0] < 0.5, "the mean says the opposite"
    assert probabilities("vote")[0] > 0.5, "a tie goes to the higher mean"
    assert probabilities("vote", [1, 3])[1] == pytest.approx(0.75, abs=1e-3)


def test_members_without_any_weight_count_alike() -> None:
    assert probabilities("probabilities", [0, 0]) == pytest.approx([0.55, 0.45])


def test_a_label_nobody_votes_for_keeps_a_finite_score() -> None:
    certain = torch.tensor([[[0.0, -1e4]], [[0.0, -1e4]]])
    for how in ("vote", "probabilities", "log_probabilities"):
        assert combine(certain, how).isfinite().all()  # type: ignore[arg-type]


@given(
    st.integers(1, 4), st.integers(1, 3), st.integers(2, 4), st.sampled_from(["log_probabilities", "probabilities", "vote"]),
    st.integers(0, 1000),
)  # fmt: skip
def test_any_answers_become_a_distribution(members: int, size: int, labels: int, how: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = 5 * torch.randn(members, size, labels, generator=generator)
    weights = torch.rand(members, generator=generator)
    found = combine(scores, how, weights)  # type: ignore[arg-type]
    assert found.shape == (size, labels)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(size))
    shifted = combine(scores + torch.randn(members, size, 1, generator=generator), how, weights)  # type: ignore[arg-type]
    torch.testing.assert_close(found, shifted, atol=1e-4, rtol=1e-4)
    if how != "vote":
        alone = combine(scores[:1], how)  # type: ignore[arg-type]
        torch.testing.assert_close(alone, scores[0].log_softmax(-1), atol=1e-4, rtol=1e-4)


def test_accuracy() -> None:
    assert ensembling.accuracy(torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), [1, 1, 1]) == pytest.approx(2 / 3)


def test_accuracy_of_nothing_is_refused() -> None:
    with pytest.raises(LabError, match="K = 0 draws none: set weighting uniform"):
        ensembling.refuse_accuracy_without_labels("accuracy", 0)
    ensembling.refuse_accuracy_without_labels("uniform", 0)
