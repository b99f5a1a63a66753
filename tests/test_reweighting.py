"""Weights of examples: the products of gradients by hand and against autograd, what they leave out, and that nothing is moved."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from prompt_lab import reweighting
from prompt_lab.errors import LabError


def test_products_by_hand() -> None:
    """Losses 3a + b, -a, b^2 and 5 at a = 1, b = 2: gradients (3, 1), (-1, 0), (0, 4), 0; the known loss a + 2b has (1, 2)."""
    a, b = torch.tensor(1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    found = reweighting.products(lambda: torch.stack([3 * a + b, -a, b**2, 0 * a + 5]), lambda: a + 2 * b, [a, b])
    torch.testing.assert_close(found, torch.tensor([5.0, -1.0, 8.0, 0.0]), atol=1e-3, rtol=1e-3)


def test_a_parameter_that_the_known_loss_does_not_read_counts_for_nothing() -> None:
    a, b = torch.tensor(1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    found = reweighting.products(lambda: torch.stack([3 * a + b]), lambda: 2 * a, [a, b])
    torch.testing.assert_close(found, torch.tensor([6.0]), atol=1e-3, rtol=1e-3)


def test_nothing_to_learn_from_the_known_ones() -> None:
    a = torch.tensor(1.0, requires_grad=True)
    assert reweighting.products(lambda: torch.stack([3 * a, -a]), lambda: 0 * a, [a]).tolist() == [0, 0]


class Bilinear:
    """Logits of twelve examples through two matrices, so that losses bend."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs_BD = torch.randn(12, 6, generator=generator)
        self.first = torch.randn(6, 5, generator=generator).requires_grad_()
        self.second = torch.randn(5, 3, generator=generator).requires_grad_()
        self.label_B = torch.arange(12) % 3
        self.moving = [self.first, self.second]

    def losses(self) -> Tensor:
        return F.cross_entropy(
            (self.inputs_BD @ self.first).tanh() @ self.second, self.label_B, reduction="none"
        )  # [B]


def test_products_of_bent_losses_and_parameters_as_they_were() -> None:
    model = Bilinear()
    before = [p.detach().clone() for p in model.moving]
    found_B = reweighting.products(model.losses, lambda: model.losses()[:4].mean(), model.moving)
    assert all(torch.equal(p, b) for p, b in zip(model.moving, before, strict=True)), "put back to the bit"
    assert all(p.grad is None for p in model.moving)
    known = torch.autograd.grad(model.losses()[:4].mean(), model.moving)
    exact_B = torch.stack(
        [
            sum(
                (g * k).sum()
                for g, k in zip(torch.autograd.grad(loss, model.moving, retain_graph=True), known, strict=True)
            )
            for loss in model.losses()
        ]
    )
    torch.testing.assert_close(found_B, exact_B, atol=2e-3 * float(exact_B.abs().max()), rtol=0)


def test_planted_wrong_labels_weigh_next_to_nothing() -> None:
    """Two clouds of points and a line between them: of two hundred labels a quarter is wrong, and sixteen others are known."""
    generator = torch.Generator().manual_seed(0)
    label_B = torch.arange(216) % 2
    inputs_BD = torch.randn(216, 8, generator=generator)
    inputs_BD[:, 0] += label_B * 4.0 - 2
    wrong_B = (torch.arange(200) % 8) < 2
    line = torch.zeros(8, 2, requires_grad=True)
    said_B = label_B[:200] ^ wrong_B.long()
    product_B = reweighting.products(
        lambda: F.cross_entropy(inputs_BD[:200] @ line, said_B, reduction="none"),
        lambda: F.cross_entropy(inputs_BD[200:] @ line, label_B[200:]),
        [line],
    )
    weight_B = reweighting.weights(product_B)
    assert float(weight_B.sum()) == pytest.approx(200)
    assert float(weight_B[wrong_B].mean()) < 0.05
    assert float((weight_B[wrong_B] == 0).float().mean()) > 0.8


def test_weights_are_the_positive_products_with_mean_one() -> None:
    """Of 3, -2, 1 and 0 the first has three quarters of the whole, which is 4, and the third the rest."""
    assert reweighting.weights(torch.tensor([3.0, -2.0, 1.0, 0.0])).tolist() == [3, 0, 1, 0]


def test_where_all_would_do_harm_none_counts() -> None:
    assert reweighting.weights(torch.tensor([-3.0, 0.0, -1e-9])).tolist() == [0, 0, 0]


def test_small_products_have_weights_like_large_ones() -> None:
    assert reweighting.weights(torch.tensor([3e-20, 1e-20])).tolist() == pytest.approx([1.5, 0.5])


def test_coarse_parameters_are_refused() -> None:
    a = torch.tensor(1.0, dtype=torch.bfloat16, requires_grad=True)
    with pytest.raises(LabError, match=r"parameters in torch.bfloat16 cannot hold.*model.reweight to false"):
        reweighting.products(lambda: a[None], lambda: a, [a])
