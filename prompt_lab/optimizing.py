"""The optimizer of every fit: AdamW over groups, with warm-up and a schedule."""

from typing import Any, Literal

import lightning.pytorch as pl
import torch

from prompt_lab.errors import LabError

Schedule = Literal["linear", "constant"]


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


def adamw(groups: list[dict[str, Any]], trainer: pl.Trainer, schedule: Schedule, warmup: float, *, fused: bool) -> Any:
    """AdamW (Loshchilov and Hutter 2019) and its schedule, as Lightning takes them.

    Args:
        groups: parameters, each group with its own learning rate.
        trainer: knows how many steps there will be.
        schedule: of the learning rate after warm-up: ``linear`` to zero, or ``constant``.
        warmup: fraction of all steps over which the learning rate rises from zero.
        fused: the fused step takes a fifth of the time; it cannot be had where gradients are scaled (float16).
    """

    def at(step: int) -> float:
        return rate(step, float(trainer.estimated_stepping_batches), schedule, warmup)

    optimizer = torch.optim.AdamW(groups, fused=fused)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, at)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
