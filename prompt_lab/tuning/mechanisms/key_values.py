"""Trained keys and values in front of a layer's own, put in through transformers' attention interface."""

import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.errors import LabError
from prompt_lab.folding import Folded
from prompt_lab.tuning.gating import Gate
from prompt_lab.tuning.mechanisms.layered import Layered

PREFIX = "prompted_"
"""Our attention functions are called as the ones they wrap, with this in front."""


class Call(NamedTuple):
    """One call of a self-attention layer: its module, and its own keys and values [1, H, T, d]."""

    module: nn.Module
    key: Tensor
    value: Tensor


_CALLS: ContextVar[list[Call] | None] = ContextVar("calls", default=None)


class KeyValues(Layered):
    """Keys and values of P prompt vectors in some layers (Li and Liang 2021, section 4.2; Liu et al. 2022, section 3.2).

    They are seen from every position. The text keeps the positions that it has without a prompt, so that nothing else changes; the
    papers' code counts its positions from P on.

    Args:
        vectors: [P, E], the keys and values of the layers after one another.
        calls: calls of attention layers, as ``attention_calls`` finds them.
        chosen: which of the calls have prompts.
        gates: one for each of the chosen, if gates are to hold the prompts back; each reads what its attention layer reads.
    """

    def __init__(
        self, vectors: Folded, calls: Sequence[Call], chosen: Sequence[int], gates: Sequence[Gate] = ()
    ) -> None:
        parts = [part for i in chosen for part in (calls[i].key, calls[i].value)]
        super().__init__(vectors, [part.shape[1] * part.shape[3] for part in parts])
        self._heads = [part.shape[1] for part in parts]
        number = {i: n for n, i in enumerate(chosen)}
        for i, call in enumerate(calls):  # past nn.Module's own bookkeeping: a prompt is no part of a layer
            _, turns = call.module.__dict__.setdefault("deep_prompt", (self, []))
            turns.append(number.get(i))
        self._gates = list(gates)  # no parts of this module: their places in the backbone have names
        if gates:
            for module in {call.module for call in calls}:
                module.register_forward_pre_hook(self._remember, with_kwargs=True)

    def of(self, module: nn.Module, turns: Sequence[int | None]) -> tuple[Tensor, Tensor] | None:
        """Key and value [1, H, P, d] of a layer, which may be called several times in a pass (ALBERT); None where it has none.

        With gates, and where rows of several runs are read at once, they are [B, H, P, d].
        """
        n = self.turn(module, turns)
        if n is None:
            return None
        key, value = self._part(2 * n), self._part(2 * n + 1)
        if not self._gates:
            return key, value
        assert self._read is not None
        gate = self._gates[n](self._read)[..., None]
        return gate * key, gate * value

    def __getstate__(self) -> dict[str, Any]:
        """A copy has nothing of a pass that is under way."""
        return {**super().__getstate__(), "_read": None}

    def _remember(self, module: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        self._read: Tensor | None = args[0] if args else given["hidden_states"]

    def _part(self, number: int) -> Tensor:
        part_BPE = self._now[number]
        return part_BPE.view(*part_BPE.shape[:2], self._heads[number], -1).transpose(1, 2)


def attention_calls(backbone: Backbone, run: Callable[[], Any], stacks: Sequence[nn.Module]) -> list[list[Call]]:
    """What the self-attention layers of each stack are called with, in the order of their calls, while ``run`` runs.

    From now on the backbone computes attention through functions that prompts can be put in front of.

    Raises:
        LabError: the model does not pass its attention through transformers' interface.
    """
    usual = backbone.model.config._attn_implementation
    if usual not in ("sdpa", "eager", *_names()):
        usual = "sdpa"  # flash attention takes no mask of its own
    if usual not in _names():
        backbone.model.set_attn_implementation(_name(usual))
    found: list[Call] = []
    mark = _CALLS.set(found)
    try:
        with torch.no_grad():
            run()
    finally:
        _CALLS.reset(mark)
    inside = [{id(m) for m in stack.modules()} for stack in stacks]
    calls = [[call for call in found if id(call.module) in modules] for modules in inside]
    if not all(calls):
        raise LabError(
            f"{type(backbone.model).__name__} does not compute its attention through transformers' AttentionInterface, so no keys and "
            "values can be put in front of it. Use mechanism: hidden_states."
        )
    return calls


def _prompted(inner: Callable[..., Any] | None) -> Callable[..., Any]:
    """An attention function that puts the layer's prompt in front of its keys and values."""

    def attention(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **given: Any
    ) -> Any:
        calls = _CALLS.get()
        if calls is not None and query.shape[2] == key.shape[2]:  # in cross-attention they differ
            calls.append(Call(module, key, value))
        prompt, turns = module.__dict__.get("deep_prompt", (None, ()))
        parts = None if prompt is None else prompt.of(module, turns)
        if parts is not None:
            front_key, front_value = (part.to(key.dtype).expand(len(key), -1, -1, -1) for part in parts)
            length = front_key.shape[2]
            if attention_mask is None and _is_causal(module, given) and (new := query.shape[2]) > 1:
                old = key.shape[2] - new
                attention_mask = torch.ones(new, old + new, dtype=torch.bool, device=key.device).tril(old)[None, None]
            if attention_mask is not None:
                seen = True if attention_mask.dtype == torch.bool else 0.0
                attention_mask = F.pad(attention_mask, (length, 0), value=seen)
            if given.get("position_bias") is not None:
                given["position_bias"] = F.pad(given["position_bias"], (length, 0))
            given["is_causal"] = False
            key, value = torch.cat([front_key, key], 2), torch.cat([front_value, value], 2)
        own = inner or sys.modules[type(module).__module__].eager_attention_forward
        return own(module, query, key, value, attention_mask, **given)

    return attention


def _is_causal(module: nn.Module, given: dict[str, Any]) -> bool:
    said = given.get("is_causal")
    return bool(getattr(module, "is_causal", True) if said is None else said)


def _name(usual: str) -> str:
    """The name of our function around transformers' own one, which is registered if it is not yet."""
    _register()
    return PREFIX + usual


def _names() -> tuple[str, ...]:
    return tuple(PREFIX + usual for usual in ("sdpa", "eager"))


@cache
def _register() -> None:
    """Register attention and mask functions; without the latter padding would be attended to."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    for usual, inner in (("sdpa", sdpa_attention_forward), ("eager", None)):
        AttentionInterface.register(PREFIX + usual, _prompted(inner))
        AttentionMaskInterface.register(PREFIX + usual, ALL_MASK_ATTENTION_FUNCTIONS[usual])
