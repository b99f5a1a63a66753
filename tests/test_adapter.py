"""Adapters: h + s f(h W_down + b_down) W_up + b_up, worked out by hand on the plain model; what moves, and what a copy has."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tuned import BEFORE, by_hand, drawn, gap, moving, numbers, plainly, read, same, says, tuned, without_gradient

from prompt_lab.errors import LabError
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.adapter import Adapter, Bottleneck
from prompt_lab.tuning.mixture import Mixture

from test_backbones import architectures

KINDS = ("houlsby", "pfeiffer", "parallel")
kinds = pytest.mark.parametrize("kind", KINDS)
ENDS = {
    "bert": [
        tuple(f"bert.encoder.layer.{i}.{n}" for n in ("attention.output.dense", "intermediate.dense", "output.dense"))
        for i in (0, 1)
    ],
    "gpt2": [tuple(f"transformer.h.{i}.{n}" for n in ("attn.c_proj", "mlp.c_fc", "mlp.c_proj")) for i in (0, 1)],
    "t5": [
        (f"{part}.block.{i}.layer.0.SelfAttention.o", *(f"{part}.block.{i}.layer.{n}.DenseReluDense.{w}" for w in ("wi", "wo")))
        for part, n in (("encoder", 1), ("decoder", 2))
        for i in (0, 1)
    ],
    "opt": [tuple(f"model.decoder.layers.{i}.{n}" for n in ("self_attn.out_proj", "fc1", "fc2")) for i in (0, 1)],
}  # fmt: skip
"""Where attention ends, and where the feed-forward network begins and ends, in each layer."""
families = pytest.mark.parametrize("name", ENDS)


def added(
    backbone: Any, kind: str, place: str, scale: float, f: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """What the adapter at a place adds to what it gives, when it reads h: s f(h W_down + b_down) W_up + b_up."""
    own = getattr(backbone, f"{kind}_adapters")[place.replace(".", " ")]
    values = [p.detach().clone() for p in (own.down.weight, own.down.bias, own.up.weight, own.up.bias)]
    down_WD, down_W, up_DW, up_D = values
    return lambda h: scale * (f(h @ down_WD.T + down_W) @ up_DW.T + up_D)


def changed(backbone: Any, kind: str, name: str, scale: float, f: Any) -> dict[str, Any]:
    """By hand: what changes in the plain model."""
    changes: dict[str, Any] = {}
    for attention, feed_in, feed_out in ENDS[name]:
        add = added(backbone, kind, feed_out, scale, f)
        if kind == "parallel":
            held: list[Tensor] = []
            changes[BEFORE + feed_in] = lambda h, held=held: held.append(h) or h
            changes[feed_out] = lambda h, held=held, add=add: h + add(held.pop())
        else:
            changes[feed_out] = lambda h, add=add: h + add(h)
        if kind == "houlsby":
            first = added(backbone, kind, attention, scale, f)
            changes[attention] = lambda h, add=first: h + add(h)
    return changes


class TestByHand:
    @families
    @kinds
    def test_what_is_read_and_where_it_is_added(self, kind: Any, name: str) -> None:
        backbone = drawn(tuned(Adapter(kind, width=3, activation="relu", scale=0.5), name))
        assert len(getattr(backbone, f"{kind}_adapters")) == len(ENDS[name]) * (2 if kind == "houlsby" else 1)
        found = says(backbone, name)
        same(found, by_hand(name, changed(backbone, kind, name, 0.5, F.relu)))
        assert gap(found, plainly(name)) > 0.02
        assert gap(found, by_hand(name, changed(backbone, kind, name, 1.0, F.relu))) > 0.01, "the scale matters"

    @pytest.mark.parametrize(
        ("activation", "f"), [("relu", F.relu), ("gelu", F.gelu), ("tanh", torch.tanh), ("silu", F.silu)]
    )
    def test_activations(self, activation: Any, f: Callable[[Tensor], Tensor]) -> None:
        backbone = drawn(tuned(Adapter("pfeiffer", width=2, activation=activation), "bert"))
        same(says(backbone, "bert"), by_hand("bert", changed(backbone, "pfeiffer", "bert", 1.0, f)))

    def test_numbers(self) -> None:
        """h = (1, 2), W_down = (3, -1), b_down = 1, so 2; f(2) = 2; W_up = (1, -1, 2), b_up = (0, 0, 1), so (2, -2, 5); times 4."""
        made = Bottleneck((2, 3), 1, nn.ReLU(), 4.0)
        values = {"down": ([[3.0, -1.0]], [1.0]), "up": ([[1.0], [-1.0], [2.0]], [0.0, 0.0, 1.0])}
        for name, (weight, bias) in values.items():
            layer = made.get_submodule(name)
            layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
        assert made(torch.tensor([[[1.0, 2.0]]])).tolist() == [[[8.0, -8.0, 20.0]]]
        assert made(torch.tensor([[[0.0, 2.0]]])).tolist() == [[[0.0, 0.0, 4.0]]], "f(-1) = 0"

    def test_two_kinds_at_once(self) -> None:
        """Both stand at the end of the feed-forward network; the one that is listed second reads what the first gives."""
        parts = [
            Adapter("parallel", width=3, activation="relu", scale=2.0),
            Adapter("pfeiffer", width=2, activation="tanh"),
        ]
        backbone = drawn(tuned(Mixture([*parts]), "bert"))
        first = changed(backbone, "parallel", "bert", 2.0, F.relu)
        second = changed(backbone, "pfeiffer", "bert", 1.0, torch.tanh)
        both = first | {n: lambda h, a=first[n], b=second[n]: b(a(h)) for n in second}
        same(says(backbone, "bert"), by_hand("bert", both))
        other = drawn(tuned(Mixture(parts[::-1]), "bert"))
        assert list(dict(other.named_children()))[-2:] == ["pfeiffer_adapters", "parallel_adapters"]


class TestAtFirst:
    @architectures
    @kinds
    def test_nothing_changes_and_then_everything_is_reached(self, kind: Any, name: str) -> None:
        backbone = tuned(Adapter(kind, width=4), name)
        same(says(backbone, name), plainly(name))
        drawn(backbone)
        assert gap(says(backbone, name), plainly(name)) > 0.01
        assert without_gradient(backbone, name) == []

    def test_what_begins_as_zero(self) -> None:
        found = moving(tuned(Adapter(width=16), "bert"))
        assert {n.rpartition("dense.")[2] for n, p in found.items() if not p.any()} == {
            "down.bias",
            "up.weight",
            "up.bias",
        }
        drawn_at_first = torch.cat([p.flatten() for n, p in found.items() if n.endswith("down.weight")])
        assert float(drawn_at_first.std()) == pytest.approx(0.02, rel=0.1)


class TestWhatMoves:
    @pytest.mark.parametrize(
        ("name", "kind", "places"),
        [
            ("bert", "houlsby", 4), ("bert", "pfeiffer", 2), ("bert", "parallel", 2), ("gpt2", "houlsby", 4), ("opt", "parallel", 2),
            ("albert", "houlsby", 2), ("t5", "houlsby", 8), ("t5", "pfeiffer", 4), ("bart", "parallel", 4),
        ],
    )  # fmt: skip
    def test_counts(self, name: str, kind: Any, places: int) -> None:
        """32 x 4 + 4 and 4 x 32 + 32 at each place; ALBERT's layers share theirs; cross-attention has none."""
        assert numbers(tuned(Adapter(kind, width=4), name)) == places * (132 + 160)

    def test_a_narrow_model(self) -> None:
        """MobileBERT's layers are 16 wide inside."""
        assert numbers(tuned(Adapter("pfeiffer", width=4), "mobilebert")) == 2 * (16 * 4 + 4 + 4 * 16 + 16)

    def test_gates_besides(self) -> None:
        assert numbers(tuned(Adapter("pfeiffer", width=4, gated=True), "bert")) == 2 * (292 + 33)

    def test_the_model_stays(self) -> None:
        found = moving(tuned(Adapter(), "bert"))
        assert all(n.startswith("houlsby_adapters.") for n in found)

    @pytest.mark.parametrize("gated", [False, True])
    def test_a_decoder_that_is_not_read_has_none_that_move(self, gated: bool) -> None:
        module = Subject(lambda: FineTuning(tuning=Adapter("pfeiffer", gated=gated)), "tiny-seq2seq").built()
        assert [n for n in moving(module.backbone) if "decoder" in n] == []


class TestRefused:
    @kinds
    def test_the_same_kind_twice(self, kind: Any) -> None:
        with pytest.raises(LabError, match=f"has {kind} adapters already; list that tuning once in a Mixture"):
            tuned(Mixture([Adapter(kind), Adapter(kind, width=4)]), "bert")

    @pytest.mark.parametrize("width", [0, -3])
    def test_width(self, width: int) -> None:
        with pytest.raises(LabError, match=f"bottleneck must be at least 1; it was {width}"):
            Adapter(width=width)


COPIES: dict[str, Callable[[Any], Any]] = {"deepcopy": copy.deepcopy, "fresh": lambda backbone: backbone.fresh()}
copies = pytest.mark.parametrize("how", COPIES)


def independent(one: Any, two: Any, name: str) -> None:
    """Each keeps what it says when the other's adapters are changed."""
    before = says(one, name)
    same(says(two, name), before)
    drawn(two, seed=5)
    assert gap(says(two, name), before) > 0.01
    assert torch.equal(says(one, name), before)
    after = says(two, name)
    drawn(one, seed=6)
    assert torch.equal(says(two, name), after)
    assert gap(says(one, name), before) > 0.01
    assert without_gradient(two, name) == [], "its own adapters are what it reads"


class TestCopies:
    @copies
    @kinds
    @pytest.mark.parametrize("gated", [False, True])
    def test_have_adapters_of_their_own(self, kind: Any, how: str, gated: bool) -> None:
        one = drawn(tuned(Adapter(kind, width=4, gated=gated), "bert"))
        independent(one, COPIES[how](one), "bert")

    @copies
    @kinds
    @pytest.mark.parametrize("name", ["bert", "opt"])
    def test_in_the_middle_of_a_pass(self, kind: Any, how: str, name: str) -> None:
        """Between what an adapter reads and what it adds to; gradients are being followed."""
        one = drawn(tuned(Adapter(kind, width=4, gated=True), name))
        found: list[Any] = []
        _, middle, _ = ENDS[name][1]

        def take(*_: Any) -> None:
            if not found:
                found.append(None)
                found.append(COPIES[how](one))

        hook = one.model.get_submodule(middle).register_forward_hook(take)
        one.hidden(read(name, "key_values"))
        hook.remove()
        two = found[1]
        two.model.get_submodule(middle)._forward_hooks.clear()
        independent(one, two, name)
