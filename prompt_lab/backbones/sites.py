"""Where in a backbone's layers things can be put: its queries, keys and values, and the two ends of its feed-forward network."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.errors import LabError

Role = Literal["query", "key", "value", "attention_out", "feed_in", "feed_out"]
"""What a linear layer does: makes queries, keys or values; ends attention; begins or ends the feed-forward network."""
ROLES: tuple[Role, ...] = get_args(Role)

_FUSED = {"c_attn", "in_proj", "query_key_value", "qkv_proj", "Wqkv"}
"""Queries, keys and values in one."""
_ATTENTION: dict[Role, set[str]] = {
    "query": {"query", "query_proj", "q", "q_proj", "q_lin", *_FUSED},
    "key": {"key", "key_proj", "k", "k_proj", "k_lin", *_FUSED},
    "value": {"value", "value_proj", "v", "v_proj", "v_lin", *_FUSED},
    "attention_out": {"dense", "o", "o_proj", "out_proj", "out_lin", "c_proj", "Wo"},
}
_FEED: dict[Role, set[str]] = {
    "feed_in": {
        "intermediate.dense", "ffn", "lin1", "fc1", "c_fc", "dense_h_to_4h", "up_proj", "gate_proj", "gate_up_proj", "wi",
        "wi_0", "wi_1", "Wi",
    },
    "feed_out": {"output.dense", "ffn_output", "lin2", "fc2", "c_proj", "dense_4h_to_h", "down_proj", "wo", "Wo"},
}  # fmt: skip
_CROSS = re.compile(r"EncDecAttention|encoder_attn|crossattention", re.IGNORECASE)
_LAYER = re.compile(r"(.*?\.\d+)\.(.+)")


class Site(NamedTuple):
    """A linear layer, or what a library has put in its place.

    Attributes:
        name: in the model.
        module: the layer.
        layer: name of the transformer layer that it stands in, such as ``bert.encoder.layer.3``.
        roles: what it does.
        is_cross: whether it attends to an encoder from a decoder.
    """

    name: str
    module: nn.Module
    layer: str
    roles: tuple[Role, ...]
    is_cross: bool

    @property
    def sizes(self) -> tuple[int, int]:
        """Of what it reads and of what it gives."""
        return sizes(self.module)


@dataclass(frozen=True)
class Ends:
    """Where the two halves of one transformer layer end, and where the second begins.

    Attributes:
        layer: its name.
        attention_out: the last linear layer of self-attention.
        feed_in: what first reads the input of the feed-forward network.
        feed_out: the network's last linear layer.
    """

    layer: str
    attention_out: Site
    feed_in: Site
    feed_out: Site


def sites(backbone: Backbone) -> list[Site]:
    """The linear layers of a backbone whose roles are known by their names, in the model's order."""
    inside = {id(m) for body in backbone.bodies() for m in body.modules()}
    return [site for n, m in backbone.model.named_modules() if id(m) in inside and (site := _site(n, m))]


def with_role(backbone: Backbone, role: Role) -> list[Site]:
    """Those with a role, in cross-attention too.

    Raises:
        LabError: there are none.
    """
    found = [s for s in sites(backbone) if role in s.roles]
    if not found:
        raise _nameless(backbone, role)
    return found


def layer_ends(backbone: Backbone) -> list[Ends]:
    """The ends of every transformer layer.

    Raises:
        LabError: the names of the layers say nothing.
    """
    found = []
    layers: dict[str, list[Site]] = {}
    for site in sites(backbone):
        if not site.is_cross:
            layers.setdefault(site.layer, []).append(site)
    for layer, own in layers.items():
        roles = {role: [s for s in own if role in s.roles] for role in ("attention_out", "feed_in", "feed_out")}
        for role, there in roles.items():
            if not there:
                raise _nameless(backbone, role)
        found.append(Ends(layer, *(there[0] for there in roles.values())))
    if not found:
        raise _nameless(backbone, "attention_out")
    return found


def _site(name: str, module: nn.Module) -> Site | None:
    numbered = _LAYER.fullmatch(name)
    if numbered is None or not is_linear(plain(module)):
        return None
    layer, inner = numbered.groups()
    *path, last = inner.split(".")
    if "bottleneck" in path:  # MobileBERT narrows what its attention reads by layers that are called like its own
        return None
    of_attention = any("att" in part.lower() for part in path)
    known = _ATTENTION if of_attention else _FEED
    tails = {last, ".".join(inner.split(".")[-2:])}
    roles = tuple(role for role, names in known.items() if names & tails)
    return Site(name, module, layer, roles, bool(_CROSS.search(inner))) if roles else None


def _nameless(backbone: Backbone, role: str) -> LabError:
    names = sorted({m.group(2) for m in map(_LAYER.fullmatch, _linear(backbone)) if m})
    return LabError(
        f"no linear layer of {type(backbone.model).__name__} has a name that is known for the role {role!r}; its layers have "
        f"{', '.join(names) or 'none'}. Use a tuning that takes names (Lora with targets), or tell us the model's names."
    )


def _linear(backbone: Backbone) -> Iterator[str]:
    return (n for n, m in backbone.model.named_modules() if is_linear(m))


def plain(module: nn.Module) -> nn.Module:
    """The layer inside what a library has put in its place."""
    while isinstance(inner := getattr(module, "base_layer", None), nn.Module):
        module = inner
    return module


def sizes(linear: nn.Module) -> tuple[int, int]:
    """Of what a linear layer reads and of what it gives."""
    weight: Tensor = plain(linear).weight  # type: ignore[assignment]
    out, into = weight.shape if isinstance(plain(linear), nn.Linear) else weight.shape[::-1]
    return into, out


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear layer, GPT-2's transposed one too."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
