"""Where things can be put in the layers of a model: found by name, in every architecture."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import load_backbone
from prompt_lab.backbones.sites import ROLES, Site, is_linear, layer_ends, plain, sites, sizes, with_role
from prompt_lab.errors import LabError
from prompt_lab.tuning.ia3 import Ia3
from prompt_lab.tuning.lora import Lora

from test_backbones import ALL, SEQ2SEQ, architectures, batch, made

Names = dict[str, list[str]]
QKV = ["query", "key", "value"]
LLAMA: Names = {
    **{f"self_attn.{letter}_proj": [role] for letter, role in zip("qkv", QKV, strict=True)}, "self_attn.o_proj": ["attention_out"],
    "mlp.gate_proj": ["feed_in"], "mlp.up_proj": ["feed_in"], "mlp.down_proj": ["feed_out"],
}  # fmt: skip
T5_ENCODER: Names = {
    **{f"layer.0.SelfAttention.{letter}": [role] for letter, role in zip("qkvo", [*QKV, "attention_out"], strict=True)},
    "layer.1.DenseReluDense.wi": ["feed_in"], "layer.1.DenseReluDense.wo": ["feed_out"],
}  # fmt: skip
T5_CROSS: Names = {n.replace("0.Self", "1.EncDec"): r for n, r in T5_ENCODER.items() if "Attention" in n}
T5_DECODER = T5_CROSS | {n.replace("layer.1.", "layer.2."): r for n, r in T5_ENCODER.items()}
TABLE: dict[str, dict[str, Names]] = {
    "bert": {
        "bert.encoder.layer": {
            **{f"attention.self.{role}": [role] for role in QKV}, "attention.output.dense": ["attention_out"],
            "intermediate.dense": ["feed_in"], "output.dense": ["feed_out"],
        },
    },
    "albert": {
        "albert.encoder.albert_layer_groups": {
            **{f"albert_layers.0.attention.{role}": [role] for role in QKV},
            "albert_layers.0.attention.dense": ["attention_out"],
            "albert_layers.0.ffn": ["feed_in"], "albert_layers.0.ffn_output": ["feed_out"],
        },
    },
    "gpt2": {
        "transformer.h": {
            "attn.c_attn": QKV, "attn.c_proj": ["attention_out"], "mlp.c_fc": ["feed_in"], "mlp.c_proj": ["feed_out"],
        },
    },
    "llama": {"model.layers": LLAMA},
    "t5": {"encoder.block": T5_ENCODER, "decoder.block": T5_DECODER},
    "opt": {
        "model.decoder.layers": {
            **{n.replace("o_proj", "out_proj"): role for n, role in LLAMA.items() if "attn" in n},
            "fc1": ["feed_in"], "fc2": ["feed_out"],
        },
    },
    "modernbert": {
        "model.layers": {"attn.Wqkv": QKV, "attn.Wo": ["attention_out"], "mlp.Wi": ["feed_in"], "mlp.Wo": ["feed_out"]},
    },
}  # fmt: skip
ENDS = {
    "bert": {f"bert.encoder.layer.{i}": ("attention.output.dense", "intermediate.dense", "output.dense") for i in (0, 1)},
    "albert": {
        "albert.encoder.albert_layer_groups.0": tuple(f"albert_layers.0.{n}" for n in ("attention.dense", "ffn", "ffn_output"))
    },
    "gpt2": {f"transformer.h.{i}": ("attn.c_proj", "mlp.c_fc", "mlp.c_proj") for i in (0, 1)},
    "llama": {f"model.layers.{i}": ("self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj") for i in (0, 1)},
    "t5": {
        f"{part}.block.{i}": ("layer.0.SelfAttention.o", f"layer.{n}.DenseReluDense.wi", f"layer.{n}.DenseReluDense.wo")
        for part, n in (("encoder", 1), ("decoder", 2))
        for i in (0, 1)
    },
    "opt": {f"model.decoder.layers.{i}": ("self_attn.out_proj", "fc1", "fc2") for i in (0, 1)},
    "modernbert": {f"model.layers.{i}": ("attn.Wo", "mlp.Wi", "mlp.Wo") for i in (0, 1)},
}  # fmt: skip


def named(found: list[Site]) -> dict[str, list[str]]:
    return {site.name: list(site.roles) for site in found}


class TestByName:
    @pytest.mark.parametrize("name", TABLE)
    def test_roles(self, name: str) -> None:
        """All of them and no others: no head, no embeddings."""
        layers = 1 if name == "albert" else 2
        rows = [(f"{lead}.{i}", n) for lead, n in TABLE[name].items() for i in range(layers)]
        assert named(sites(made(name))) == {f"{layer}.{n}": r for layer, names in rows for n, r in names.items()}
        assert {s.layer for s in sites(made(name))} == {layer for layer, _ in rows}

    @pytest.mark.parametrize("name", ENDS)
    def test_ends(self, name: str) -> None:
        found = {
            e.layer: tuple(s.name for s in (e.attention_out, e.feed_in, e.feed_out)) for e in layer_ends(made(name))
        }
        assert found == {layer: tuple(f"{layer}.{n}" for n in names) for layer, names in ENDS[name].items()}

    def test_sizes(self) -> None:
        """What is read comes first; GPT-2 holds its weights the other way round."""
        bert, gpt2 = ({s.name: s.sizes for s in sites(made(n))} for n in ("bert", "gpt2"))
        assert bert["bert.encoder.layer.1.intermediate.dense"] == (32, 37)
        assert bert["bert.encoder.layer.1.output.dense"] == (37, 32)
        assert gpt2["transformer.h.0.attn.c_attn"] == (32, 96)
        assert gpt2["transformer.h.0.mlp.c_proj"] == (128, 32)
        assert sizes(nn.Linear(3, 5)) == (3, 5)

    def test_a_role_is_found_in_cross_attention_too(self) -> None:
        found = [s.name for s in with_role(made("t5"), "key")]
        own = [f"{part}.block.{i}.layer.0.SelfAttention.k" for part in ("encoder", "decoder") for i in (0, 1)]
        cross = [f"decoder.block.{i}.layer.1.EncDecAttention.k" for i in (0, 1)]
        assert sorted(found) == sorted(own + cross)


def called(name: str) -> list[tuple[Site, torch.Size]]:
    """The sites in the order in which a pass calls them, with the shape of what each reads."""
    backbone, order = made(name).fresh(), []
    for site in sites(backbone):
        site.module.register_forward_pre_hook(lambda m, args, site=site: order.append((site, args[0].shape)))
    with torch.no_grad():
        backbone.slot_logits(batch(name))
    return order


class TestEveryArchitecture:
    @architectures
    def test_every_role_is_there(self, name: str) -> None:
        assert {role for s in sites(made(name)) for role in s.roles} == set(ROLES)

    @architectures
    def test_every_layer_has_ends(self, name: str) -> None:
        found = layer_ends(made(name))
        assert len(found) == (1 if name == "albert" else 4 if name in SEQ2SEQ else 2)
        width = 16 if name == "mobilebert" else 32
        for ends in found:
            assert ends.attention_out.sizes[1] == ends.feed_in.sizes[0] == ends.feed_out.sizes[1] == width
            assert not any(s.is_cross for s in (ends.attention_out, ends.feed_in, ends.feed_out))

    @architectures
    def test_a_pass_calls_them_in_the_order_of_their_roles(self, name: str) -> None:
        """Queries, keys and values; the end of attention; the feed-forward network; then the next layer."""
        order = [site.name for site, _ in called(name)]
        for ends in layer_ends(made(name)):
            own = [s.name for s in sites(made(name)) if s.layer == ends.layer and not s.is_cross]
            made_of = [
                n
                for n in own
                if {"query", "key", "value"} & set(next(s for s in sites(made(name)) if s.name == n).roles)
            ]
            last = max(order.index(n) for n in made_of)
            first, second, third = (order.index(s.name) for s in (ends.attention_out, ends.feed_in, ends.feed_out))
            assert last < first < second < third

    @architectures
    def test_what_ends_attention_comes_behind_what_begins_it(self, name: str) -> None:
        order = [site for site, _ in called(name)]
        for site in order:
            if "attention_out" in site.roles:
                before = order[: order.index(site)]
                assert [s for s in before if s.layer == site.layer and "value" in s.roles], site.name

    @architectures
    def test_cross_attention_is_what_reads_the_encoder(self, name: str) -> None:
        """The text has 7 tokens, what the decoder reads 6."""
        found = {
            s.name
            for s, shape in called(name)
            if shape[1] == 7 and "decoder" in s.name and set(s.roles) & {"key", "value"}
        }
        expected = {s.name for s in sites(made(name)) if s.is_cross and set(s.roles) & {"key", "value"}}
        assert len(expected) == (4 if name in SEQ2SEQ else 0)
        assert expected == found if name in SEQ2SEQ else not expected
        assert sum(s.is_cross for s in sites(made(name))) == 2 * len(expected), "queries and the end besides"


class TestWrapped:
    @pytest.mark.parametrize("name", ["bert", "albert", "gpt2", "llama", "t5", "opt", "modernbert"])
    def test_still_found_when_peft_has_wrapped_layers_twice(self, name: str) -> None:
        backbone = made(name).fresh()
        before, ends = {s.name: s for s in sites(backbone)}, [e.layer for e in layer_ends(backbone)]
        Lora(rank=2).apply(backbone)
        Ia3().apply(backbone)
        after = {s.name: s for s in sites(backbone)}
        assert named([*after.values()]) == named([*before.values()])
        assert [e.layer for e in layer_ends(backbone)] == ends
        for place, site in after.items():
            assert site.module is backbone.model.get_submodule(place)
            assert not is_linear(site.module), "it is peft's"
            assert plain(site.module) is before[place].module
            assert site.sizes == before[place].sizes


class Odd(nn.Module):
    """A model whose layers have names of their own."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleDict({n: nn.Linear(2, 2) for n in names}) for _ in range(2))
        self.head = nn.Linear(2, 5)

    @property
    def base_model(self) -> nn.Module:
        return self


def odd(*names: str) -> Backbone:
    reader: Any = SimpleNamespace(name="odd")
    return Backbone(Odd(*names), reader)


class TestRefused:
    def test_names_that_say_nothing(self) -> None:
        with pytest.raises(LabError) as error:
            with_role(odd("stir", "mix"), "query")
        assert str(error.value) == (
            "no linear layer of Odd has a name that is known for the role 'query'; its layers have mix, stir. Use a tuning that takes "
            "names (Lora with targets), or tell us the model's names."
        )
        with pytest.raises(LabError, match="known for the role 'attention_out'; its layers have mix, stir"):
            layer_ends(odd("stir", "mix"))
        assert sites(odd("stir", "mix")) == []

    def test_a_layer_with_one_end(self) -> None:
        backbone = odd("fc1", "mix")
        assert named(with_role(backbone, "feed_in")) == {f"layers.{i}.fc1": ["feed_in"] for i in (0, 1)}
        with pytest.raises(LabError, match="known for the role 'attention_out'; its layers have fc1, mix"):
            layer_ends(backbone)

    def test_a_model_without_linear_layers(self) -> None:
        with pytest.raises(LabError, match=r"no linear layer of CopyingModel .* its layers have none"):
            layer_ends(load_backbone("copycat"))

    def test_every_role_can_be_asked_for(self) -> None:
        for role in ROLES:
            assert with_role(made("bert"), role)
        assert set(TABLE) <= set(ALL)
