"""The optimizer of every fit: over groups of parameters, with warm-up and a schedule."""

from typing import Any, Literal

import lightning.pytorch as pl
import torch
from torch import nn

from prompt_lab.errors import LabError

Schedule = Literal["linear", "constant"]
Optimizer = Literal["adamw", "adafactor"]
"""AdamW (Loshchilov and Hutter 2019), or Adafactor (Shazeer and Stern 2018) without parameter scaling, as T5's prompts were tuned."""


def check_warmup(warmup: float) -> None:
    """Raise LabError unless ``warmup`` is a fraction of all steps."""
    if not 0 <= warmup < 1:
        raise LabError(f"warmup is the fraction of all steps spent warming up, at least 0 and below 1; it was {warmup}")


def rate(step: int, total: float, schedule: Schedule, warmup: float) -> float:
    """The share of the learning rate that a step of ``total`` is taken with: never zero before the end, and 1 once at least."""
    warm = int(warmup * total)
    if step < warm:
        return (step + 1) / (warm + 1)
    return 1.0 if schedule == "constant" else max(0.0, (total - step) / max(1.0, total - warm))


def keep_rate(module: nn.Module, learning_rate: float) -> None:
    """Give the parameters of a module a learning rate of their own, whatever trains them."""
    for parameter in module.parameters():
        parameter.own_learning_rate = learning_rate  # type: ignore[attr-defined]


def own_rate(parameter: nn.Parameter, otherwise: float) -> float:
    """The rate that ``keep_rate`` gave a parameter, or another one."""
    return getattr(parameter, "own_learning_rate", otherwise)


def configured(
    groups: list[dict[str, Any]],
    trainer: pl.Trainer,
    schedule: Schedule,
    warmup: float,
    optimizer: Optimizer = "adamw",
    *,
    fused: bool,
) -> Any:
    """An optimizer and its schedule, as Lightning takes them.

    Args:
        groups: parameters, each group with its own learning rate and weight decay.
        trainer: knows how many steps there will be.
        schedule: of the learning rate after warm-up: ``linear`` to zero, or ``constant``.
        warmup: fraction of all steps over which the learning rate rises from zero.
        optimizer: which one.
        fused: AdamW's fused step takes a fifth of the time; it cannot be had where gradients are scaled (float16).
    """

    def at(step: int) -> float:
        return rate(step, float(trainer.estimated_stepping_batches), schedule, warmup)

    made: torch.optim.Optimizer
    if optimizer == "adafactor":
        from transformers.optimization import Adafactor  # torch's own always scales steps by the size of the parameter

        made = Adafactor(groups, scale_parameter=False, relative_step=False, warmup_init=False)
    else:
        made = torch.optim.AdamW(groups, fused=fused)
    scheduler = torch.optim.lr_scheduler.LambdaLR(made, at)
    return {"optimizer": made, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
