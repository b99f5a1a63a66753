"""Quick ways on a CPU of what a backbone computes in bfloat16 and while it trains."""

from collections.abc import Callable, Iterable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from prompt_lab.backbones.precision import multiplied_in

SHORT = 192
"""Texts of up to so many tokens are short: about where the two ways to compute attention take as long."""

_HALVES: MutableMapping[Tensor, tuple[tuple[Any, ...], Tensor]] = WeakTensorKeyDictionary()
"""Frozen weights in bfloat16, each with what it was made of; gone when the weight is."""


def quick(device: torch.device) -> AbstractContextManager[Any]:
    """The quick ways, where there are any: on a CPU, in bfloat16 or with gradients. The numbers differ by rounding.

    Not for what is computed a second time on the way back (gradient checkpointing): that happens outside of this context.

    - Dropout draws sixteen bits for a number, not one float (a probability is rounded to 1/65,536): 713 us to 160 us for [8, 40, 384].
    - Attention over short texts that will be differentiated is not fused. PyTorch's fused one goes backwards slowly in bfloat16: eight
      rows of 40 tokens, twelve heads of 32, took 15.6 ms against 2.6 ms without fusion (512 tokens: 140 and 417).
    - A frozen weight is turned into bfloat16 once, not in every pass; autocast remembers only those of trained ones.
    """
    if device.type == "cpu" and (torch.is_grad_enabled() or _is_half()):
        return _Quick()
    return nullcontext()


def forget() -> None:
    """Forget frozen weights in bfloat16: they may have been changed in ways that leave no trace, such as through ``weight.data``."""
    _HALVES.clear()


class _Quick(TorchFunctionMode):
    """Computes some functions of torch in ways of our own."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _OWN.get(func, func)(*args, **kwargs or {})


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if not training or inplace or not 0 < p < 1 or not input.is_floating_point():
        return F.dropout(input, p, training, inplace)
    return input * _noise(input, p)


def _noise(like: Tensor, p: float) -> Tensor:
    """What dropout multiplies with: zero with probability p, else 1 / (1 - p)."""
    count = like.numel()
    drawn = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
    least = round(p * 2**16) - 2**15
    kept = torch.empty(like.shape, dtype=like.dtype)
    torch.ge(drawn.view(torch.int16)[:count].view(like.shape), least, out=kept)
    return kept.mul_(1 / (1 - p))


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attention over short texts; [..., H, T, d] as for torch's own, whose equations these are."""
    if enable_gqa or not (dropout_p > 0 or _is_short(query, key, value)):
        return F.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores = scores + attn_mask.to(scores.dtype)
    shares = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
    return _dropout(shares, dropout_p, training=dropout_p > 0) @ value


def _is_short(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether attention is quicker when it is not fused."""
    has_way_back = torch.is_grad_enabled() and any(part.requires_grad for part in (query, key, value))
    return has_way_back and query.dtype == torch.bfloat16 and key.shape[-2] <= SHORT


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if isinstance(weight, nn.Parameter) and weight.dtype == torch.float32 and not weight.requires_grad and _is_half():
        weight = _half(weight)
    return F.linear(input, weight, bias)


def _half(weight: Tensor) -> Tensor:
    """A frozen weight in bfloat16, turned into it again only when it has changed."""
    state = (weight._version, weight.data_ptr(), weight.shape)
    kept = _HALVES.get(weight)
    if kept is None or kept[0] != state:
        with torch.inference_mode(False), torch.no_grad():
            kept = state, weight.to(torch.bfloat16)
        _HALVES[weight] = kept
    return kept[1]


def _is_half() -> bool:
    return multiplied_in("cpu") == torch.bfloat16


_OWN: dict[Callable[..., Any], Callable[..., Any]] = {
    F.dropout: _dropout,
    F.linear: _linear,
    F.scaled_dot_product_attention: _attention,
}
