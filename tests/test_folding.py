"""Folded tensors: trained through an encoder, kept without it, and stored under one name either way."""

import pytest
import torch
from torch import Tensor, nn

from prompt_lab.folding import Folded, fold, moved
from prompt_lab.tuning.encoders import encoder


class Doubled(nn.Module):
    """Says twice its two numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Parameter(torch.tensor([1.0, 3.0]))
        self.still = nn.Parameter(torch.tensor(5.0), requires_grad=False)

    def forward(self) -> Tensor:
        return 2 * self.part


def through() -> Folded:
    return Folded(torch.zeros(2), Doubled())


class Two(nn.Module):
    """A folded tensor with an encoder, one without, a layer that moves and one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.ModuleDict({"a": through()})
        self.plain = Folded(torch.tensor([7.0]))
        self.bias = nn.Parameter(torch.tensor([9.0]))
        self.frozen = nn.Parameter(torch.tensor([0.0]), requires_grad=False)


def test_without_an_encoder_it_is_its_weight() -> None:
    plain = Folded(torch.tensor([7.0]))
    assert plain().tolist() == [7.0]
    assert plain() is plain.weight
    assert plain.weight.requires_grad
    plain.fold()
    assert plain() is plain.weight


def test_with_an_encoder_it_is_what_that_says() -> None:
    folded = through()
    assert folded().tolist() == folded.weight.tolist() == [2.0, 6.0]
    folded().sum().backward()
    assert folded.encoder.part.grad.tolist() == [2.0, 2.0]
    assert folded.weight.grad is None
    assert [n for n, p in folded.named_parameters() if p.requires_grad] == ["encoder.part"]


def test_folding_keeps_what_it_last_said() -> None:
    folded = through()
    with torch.no_grad():
        folded.encoder.part.copy_(torch.tensor([4.0, 5.0]))
    assert folded.weight.tolist() == [2.0, 6.0], "what it said first, until it is folded"
    assert folded().tolist() == [8.0, 10.0]
    folded.fold()
    assert folded().tolist() == [8.0, 10.0]
    assert [n for n, p in folded.named_parameters() if p.requires_grad] == ["weight"]
    assert folded.encoder is None
    folded().sum().backward()
    assert folded.weight.grad.tolist() == [1.0, 1.0], "it can be trained on"


def test_what_moved_has_the_same_names_before_and_after_folding() -> None:
    module = Two()
    with torch.no_grad():
        module.deep["a"].encoder.part.add_(1)
    expected = {"deep.a.weight": [4.0, 8.0], "plain.weight": [7.0], "bias": [9.0]}
    assert {n: v.tolist() for n, v in moved(module).items()} == expected
    assert not any(v.requires_grad for v in moved(module).values())
    fold(module)
    assert {n: v.tolist() for n, v in moved(module).items()} == expected
    assert [n for n, _ in module.named_parameters() if "encoder" in n] == []


def test_only_the_encoders_own_parameters_are_left_out() -> None:
    module = nn.Module()
    module.part = through()
    module.part_encoder = nn.Parameter(torch.tensor([1.0]))
    module.encoder = nn.Linear(1, 1)
    assert set(moved(module)) == {"part.weight", "part_encoder", "encoder.weight", "encoder.bias"}


def test_one_that_is_the_module_itself() -> None:
    """Its names have no path in front of them."""
    assert {n: v.tolist() for n, v in moved(Folded(torch.tensor([7.0]))).items()} == {"weight": [7.0]}


def test_an_encoder_computes_in_full_precision() -> None:
    torch.manual_seed(0)
    folded = Folded(torch.zeros(3, 8), encoder("mlp", torch.randn(3, 8), 8))
    exact = folded().detach()
    with torch.autocast("cpu", torch.bfloat16):
        found = folded()
    assert found.dtype == torch.float32
    assert torch.equal(found, exact)


class TestEncoders:
    def test_none(self) -> None:
        assert encoder("none", torch.zeros(2, 4), 4) is None

    def test_a_network_of_two_layers_by_hand(self) -> None:
        """W2 tanh(W1 x) with W1 = 1 and W2 = 2."""
        made = encoder("mlp", torch.tensor([[0.5, -1.0]]), 2)
        assert made is not None
        for layer, value in ((made.layers[0], 1.0), (made.layers[2], 2.0)):
            nn.init.zeros_(layer.bias)
            layer.weight.data = value * torch.eye(2)
        torch.testing.assert_close(made(), 2 * torch.tensor([[0.5, -1.0]]).tanh())

    @pytest.mark.parametrize("size", [8, 7])
    def test_vectors_depend_on_each_other_through_an_lstm_alone(self, size: int) -> None:
        """An odd size as well: the two directions share it."""
        torch.manual_seed(0)
        start = torch.randn(3, size)
        for kind, depends in (("lstm", True), ("mlp", False)):
            made = encoder(kind, start, 5)  # type: ignore[arg-type]
            assert made is not None
            before = made().detach()
            assert before.shape == (3, 5)
            with torch.no_grad():
                made.inputs[2] += 1
            changed = (made() - before).abs().amax(1) > 1e-6
            assert changed.tolist() == [depends, depends, True]

    @pytest.mark.parametrize("kind", ["mlp", "lstm"])
    def test_all_of_it_is_trained(self, kind: str) -> None:
        torch.manual_seed(0)
        made = encoder(kind, torch.randn(3, 8), 8)  # type: ignore[arg-type]
        assert made is not None
        made().square().sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in made.parameters())
