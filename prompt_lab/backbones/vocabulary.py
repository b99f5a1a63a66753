"""Cross-entropy over a whole vocabulary that never holds the logits of more than a few tokens."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 64
"""Tokens whose logits are held at a time: 8 MB for BERT's vocabulary, which stays in a processor's cache."""


class ChunkedCrossEntropy(torch.autograd.Function):
    """``F.cross_entropy(F.linear(hidden, weight, bias), target)`` and whether the best token is the target, chunk by chunk.

    The gradients are computed on the way forward, so that nothing of size [M, V] is kept for the way back. On two CPU cores
    a step of a small masked LM takes about three quarters of the time that it takes with the logits at once.
    There is no second derivative.
    """

    @staticmethod
    def forward(ctx: Any, hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_M: Tensor) -> Any:
        """Mean loss, and [M] whether each token is right; the mean over no token is zero."""
        ctx.count = max(len(target_M), 1)
        device = hidden_MD.device.type
        mixed = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if mixed else hidden_MD.dtype
        weight, bias = weight_VD.to(dtype), None if bias_V is None else bias_V.to(dtype)
        needs_hidden, needs_weight, needs_bias, _ = ctx.needs_input_grad
        # of the sum, not the mean, and in float32: nothing is too small for float16
        grad_hidden = torch.empty_like(hidden_MD, dtype=torch.float32) if needs_hidden else None
        grad_weight = torch.zeros_like(weight_VD, dtype=torch.float32) if needs_weight else None
        grad_bias = torch.zeros_like(weight_VD[:, 0], dtype=torch.float32) if needs_bias else None
        right_M = torch.empty(len(target_M), dtype=torch.bool, device=hidden_MD.device)
        total = hidden_MD.new_zeros((), dtype=torch.float32)
        with torch.autocast(device, enabled=False):
            for start in range(0, len(target_M), CHUNK):
                part = slice(start, start + CHUNK)
                target, hidden = target_M[part, None], hidden_MD[part].to(dtype)
                logits = F.linear(hidden, weight, bias).float()
                right_M[part] = logits.argmax(-1) == target[:, 0]
                norm = logits.logsumexp(-1, keepdim=True)
                total += (norm - logits.gather(1, target)).sum()
                error = logits.sub_(norm).exp_()
                error.scatter_add_(1, target, -torch.ones_like(target, dtype=error.dtype))
                if grad_bias is not None:
                    grad_bias += error.sum(0)
                error = error.to(dtype)
                if grad_hidden is not None:
                    grad_hidden[part] = error @ weight
                if grad_weight is not None:
                    grad_weight += error.T @ hidden
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.mark_non_differentiable(right_M)
        return total / ctx.count, right_M

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        """What was computed on the way forward, scaled."""
        return *(None if g is None else g * (grad / ctx.count) for g in ctx.saved_tensors), None


def cross_entropy(
    hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, target_M: Tensor
) -> tuple[Tensor, Tensor]:
    """``ChunkedCrossEntropy``, which computes no gradients where none are wanted: mean loss, [M] whether each token is right."""
    given = (hidden_MD, weight_VD, bias_V)
    if not torch.is_grad_enabled():  # a Function cannot see that
        given = (hidden_MD.detach(), weight_VD.detach(), None if bias_V is None else bias_V.detach())
    return ChunkedCrossEntropy.apply(*given, target_M)
