"""Weights for examples whose labels may be wrong: how much learning each would help with examples whose labels are known."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from prompt_lab.errors import LabError

STEP = 0.01
"""Length of the step in a finite difference (Liu et al. 2019, DARTS, section 2.3)."""


def products(losses: Callable[[], Tensor], known: Callable[[], Tensor], moving: Sequence[Tensor]) -> Tensor:
    """The product of the gradient of each example's loss with the gradient of the loss on known ones [B].

    A small step of gradient descent on an example's loss lowers the loss on the known ones by this much for each unit of the step.
    By symmetry it is the slope of the example's loss along the known gradient, and is taken as a central difference: two passes
    without gradients for all examples together, whatever the kernels of the model can differentiate.

    Args:
        losses: of the examples [B]. It is called twice and must say the same of the same parameters: no dropout.
        known: the loss on the known examples.
        moving: the parameters; they are moved and put back to the bit.

    Raises:
        LabError: the parameters are too coarse for differences.
    """
    if coarse := {str(p.dtype) for p in moving if torch.finfo(p.dtype).bits < 32}:
        raise LabError(
            f"weights of examples come from small differences, which parameters in {', '.join(sorted(coarse))} cannot hold. "
            "Set trainer.precision to 32-true or bf16-mixed, or model.reweight to false."
        )
    found = torch.autograd.grad(known(), moving, allow_unused=True)
    gradient = [torch.zeros_like(p) if g is None else g for p, g in zip(moving, found, strict=True)]
    length = torch.stack([g.norm() for g in gradient]).norm()
    step = STEP / length.clamp_min(torch.finfo(length.dtype).tiny)
    with torch.no_grad():
        start = [p.clone() for p in moving]
        _place(moving, start, gradient, step)
        after_B = losses()
        _place(moving, start, gradient, -step)
        before_B = losses()
        for parameter, value in zip(moving, start, strict=True):
            parameter.copy_(value)
    return (after_B - before_B) / (2 * step)


def weights(product_B: Tensor) -> Tensor:
    """Weights [B] in proportion to the products that are positive, with mean 1; all 0 where none is (Ren et al. 2018, section 3).

    An example with a negative product is left out: learning it would make the known ones worse. A batch of nothing else is not learnt
    at all, as in that paper and in the code of LiST's authors; to learn all of it alike would be to learn what is known to do harm.
    """
    helpful_B = product_B.clamp_min(0)
    total = helpful_B.sum().clamp_min(torch.finfo(product_B.dtype).tiny)
    return helpful_B / total * len(product_B)


def _place(moving: Sequence[Tensor], start: Sequence[Tensor], gradient: Sequence[Tensor], step: Tensor) -> None:
    for parameter, value, slope in zip(moving, start, gradient, strict=True):
        parameter.copy_(value + step * slope)
