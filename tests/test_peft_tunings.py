"""(IA)^3, LayerNorm, and the variants of LoRA: what peft puts in is what the papers define, worked out on the plain model."""

from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
from test_lora import applied, layers
from torch import Tensor, nn
from tuned import BEFORE, by_hand, drawn, gap, moving, numbers, plainly, same, says, tuned, without_gradient

from prompt_lab.backbones.load import load_backbone
from prompt_lab.errors import LabError
from prompt_lab.tuning.ia3 import Ia3
from prompt_lab.tuning.layer_norm import LayerNorm
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.mixture import Mixture

from test_backbones import SEQ2SEQ, architectures, made

BERT = [f"bert.encoder.layer.{i}." for i in (0, 1)]
GPT2 = [f"transformer.h.{i}." for i in (0, 1)]
T5 = [f"{part}.block.{i}.layer." for part in ("encoder", "decoder") for i in (0, 1)]
CROSS = [f"decoder.block.{i}.layer.1.EncDecAttention." for i in (0, 1)]
IA3: dict[str, tuple[list[str], list[str]]] = {
    "bert": ([lead + f"attention.self.{n}" for lead in BERT for n in ("key", "value")], [lead + "output.dense" for lead in BERT]),
    "gpt2": ([lead + "attn.c_attn" for lead in GPT2], [lead + "mlp.c_proj" for lead in GPT2]),
    "t5": (
        [f"{lead}0.SelfAttention.{n}" for lead in T5 for n in "kv"] + [f"{lead}{n}" for lead in CROSS for n in "kv"],
        [f"{lead}{2 if 'decoder' in lead else 1}.DenseReluDense.wo" for lead in T5],
    ),
}  # fmt: skip
"""Layers whose outputs are multiplied (keys and values), and layers whose inputs are (the last of the feed-forward network)."""
FAMILIES = pytest.mark.parametrize("name", IA3)


class TestIa3:
    @FAMILIES
    def test_by_hand(self, name: str) -> None:
        """softmax(Q (l_k * K)^T) (l_v * V), and (l_ff * f(W_1 x)) W_2 (Liu et al. 2022, section 3.3)."""
        backbone = drawn(tuned(Ia3(), name), spread=2.0)
        outputs, inputs = IA3[name]

        def times(place: str) -> Callable[[Tensor], Tensor]:
            layer: Any = backbone.model.get_submodule(place)
            vector = layer.ia3_l["ia3"].detach().flatten()
            return lambda h: vector * h

        changes = {place: times(place) for place in outputs} | {BEFORE + place: times(place) for place in inputs}
        assert len(moving(backbone)) == len(changes), "and no other layer has a vector"
        same(says(backbone, name), by_hand(name, changes))
        assert gap(says(backbone, name), plainly(name)) > 0.02

    @architectures
    def test_ones_change_nothing(self, name: str) -> None:
        backbone = tuned(Ia3(), name)
        assert all((p == 1).all() for p in moving(backbone).values())
        same(says(backbone, name), plainly(name))
        assert without_gradient(backbone, name) == []

    @pytest.mark.parametrize(
        ("name", "each"),
        [
            ("bert", 32 + 32 + 37), ("gpt2", 96 + 128), ("llama", 16 + 16 + 37), ("modernbert", 96 + 37),
            ("t5", 2 * (32 + 32 + 37) + 2 * 32), ("bart", 2 * (32 + 32 + 37) + 2 * 32),
        ],
    )  # fmt: skip
    def test_counts(self, name: str, each: int) -> None:
        """Of a layer; of an encoder's layer and a decoder's with its cross-attention. Llama's keys and values are 16 wide."""
        assert numbers(tuned(Ia3(), name)) == 2 * each

    def test_twice_is_refused(self) -> None:
        with pytest.raises(LabError, match="has 'ia3' already; list that tuning once in a Mixture"):
            tuned(Mixture([Ia3(), Ia3()]), "bert")


class TestLayerNorm:
    @pytest.mark.parametrize(
        ("name", "norms", "each"),
        [
            ("bert", 1 + 2 * 2, 64),
            ("gpt2", 2 * 2 + 1, 64),
            ("llama", 2 * 2 + 1, 32),
            ("t5", (2 * 2 + 1) + (2 * 3 + 1), 32),
        ],
    )
    def test_copies_of_gains_and_biases_move(self, name: str, norms: int, each: int) -> None:
        """Those of the body: BERT's head has one of its own, which stays. Llama and T5 have no biases."""
        backbone = tuned(LayerNorm(), name)
        found = moving(backbone)
        assert numbers(backbone) == norms * each
        assert all(".ln_tuning_layers.layer_norm." in n for n in found)
        same(says(backbone, name), plainly(name))
        assert without_gradient(backbone, name) == []
        drawn(backbone)
        assert gap(says(backbone, name), plainly(name)) > 0.02
        own = {n.replace(".base_layer", ""): v for n, v in backbone.model.state_dict().items() if "ln_tuning" not in n}
        assert own.keys() == made(name).model.state_dict().keys()
        assert all(torch.equal(v, own[n]) for n, v in made(name).model.state_dict().items()), "the model's own stay"

    @architectures
    def test_everywhere(self, name: str) -> None:
        backbone = tuned(LayerNorm(), name)
        same(says(backbone, name), plainly(name))
        assert without_gradient(backbone, name) == []
        assert moving(backbone)

    def test_a_model_without_any(self) -> None:
        with pytest.raises(LabError, match="CopyingModel has no normalisation layers with weights to train"):
            LayerNorm().apply(load_backbone("copycat").fresh())


QUERY = "bert.encoder.layer.0.attention.self.query"


def parts(backbone: Any, place: str = QUERY) -> tuple[Any, Any, Any]:
    """A layer with its A and B."""
    layer: Any = backbone.model.get_submodule(place)
    return layer, layer.lora_A["lora"].weight, layer.lora_B["lora"].weight


class TestVariantsOfLora:
    @pytest.mark.parametrize(("rslora", "scale"), [(False, 6 / 4), (True, 6 / 2)])
    def test_rslora_divides_by_the_root_of_the_rank(self, rslora: bool, scale: float) -> None:
        backbone = drawn(applied("bert", rank=4, alpha=6, targets=[QUERY], rslora=rslora))
        layer, a, b = parts(backbone)
        x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
        plain = made("bert").model.get_submodule(QUERY)
        torch.testing.assert_close(layer(x), plain(x) + scale * x @ (b @ a).T)

    def test_dora_by_hand(self) -> None:
        """m (W + s B A) / |W + s B A|, a length for each output (Liu et al. 2024, equation 5; as in the authors' code)."""
        backbone = drawn(applied("bert", rank=2, alpha=6, targets=[QUERY], dora=True))
        layer, a, b = parts(backbone)
        plain: Any = made("bert").model.get_submodule(QUERY)
        whole = plain.weight + 3 * b @ a
        length = layer.lora_magnitude_vector["lora"].weight
        assert length.shape == (32,)
        x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
        expected = x @ (length[:, None] * whole / whole.norm(dim=1, keepdim=True)).T + plain.bias
        torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)

    @FAMILIES
    def test_dora_is_pefts_own(self, name: str) -> None:
        backbone = tuned(Lora(rank=2, alpha=6, dora=True), name)
        same(says(backbone, name), plainly(name))
        assert sorted({n.split(".")[-3] for n in moving(backbone)}) == ["lora_A", "lora_B", "lora_magnitude_vector"]
        drawn(backbone)
        other, targets = made(name).fresh(), [n for n, m in backbone.model.named_modules() if hasattr(m, "lora_A")]
        is_transposed = name == "gpt2"
        peft.get_peft_model(
            other.model,
            peft.LoraConfig(r=2, lora_alpha=6, target_modules=targets, use_dora=True, fan_in_fan_out=is_transposed),
        )
        own = dict(other.model.named_parameters())
        for place, value in backbone.model.named_parameters():
            own[place.replace(".lora.", ".default.")].data.copy_(value)
        same(says(backbone, name), says(other, name))
        assert gap(says(backbone, name), plainly(name)) > 0.02

    @pytest.mark.parametrize("how", [{"rslora": True}, {"dora": True}])
    @architectures
    def test_nothing_changes_at_first(self, name: str, how: dict[str, bool]) -> None:
        backbone = tuned(Lora(rank=2, **how), name)
        same(says(backbone, name), plainly(name))
        drawn(backbone)
        assert without_gradient(backbone, name) == []

    def test_dora_beside_a_gate_is_refused(self) -> None:
        with pytest.raises(LabError, match="DoRA adds nothing that a gate could hold back"):
            Lora(dora=True, gated=True)


class TestRolesAsTargets:
    @pytest.mark.parametrize(
        ("name", "targets", "expected"),
        [
            ("bert", ["query", "value"], {f"{lead}attention.self.{n}" for lead in BERT for n in ("query", "value")}),
            ("bert", ["feed_out"], {lead + "output.dense" for lead in BERT}),
            ("gpt2", ["query"], {lead + "attn.c_attn" for lead in GPT2}),
            ("gpt2", ["query", "value", "key"], {lead + "attn.c_attn" for lead in GPT2}),
            ("gpt2", ["attention_out"], {lead + "attn.c_proj" for lead in GPT2}),
            ("t5", ["query", "value"], {f"{lead}0.SelfAttention.{n}" for lead in T5 for n in "qv"}
             | {lead + n for lead in CROSS for n in "qv"}),
            ("t5", ["feed_in", "0.SelfAttention.o"], {f"{lead}{2 if 'dec' in lead else 1}.DenseReluDense.wi" for lead in T5}
             | {f"{lead}0.SelfAttention.o" for lead in T5}),
            ("llama", ["feed_in"], {f"model.layers.{i}.mlp.{n}_proj" for i in (0, 1) for n in ("up", "gate")}),
        ],
    )  # fmt: skip
    def test_which_layers(self, name: str, targets: list[str], expected: set[str]) -> None:
        assert layers(applied(name, targets=targets)) == expected

    @architectures
    def test_roles_are_known_everywhere(self, name: str) -> None:
        backbone = drawn(tuned(Lora(rank=2, targets=["query", "value"]), name))
        found = {n.partition(".lora_")[0] for n in moving(backbone)}
        assert any("decoder" in n for n in found) or name not in SEQ2SEQ
        assert without_gradient(backbone, name) == []

    def test_an_ending_comes_before_a_role(self) -> None:
        """BERT has layers that end in ``key``; a model in which another layer does would get that one."""
        backbone = made("bert").fresh()
        layer: Any = backbone.model.get_submodule("bert.encoder.layer.0")
        layer.key = nn.Linear(32, 32)
        Lora(rank=2, targets=["key"]).apply(backbone)
        assert "bert.encoder.layer.0.key" in layers(backbone)
