"""Lightning's trainer as every experiment uses it, and its quiet."""

import logging
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from prompt_lab.allocating import keep_freed
from prompt_lab.errors import LabError

OWNED = (
    "enable_checkpointing",
    "enable_progress_bar",
    "enable_model_summary",
    "use_distributed_sampler",
    "default_root_dir",
    "logger",
    "callbacks",
)
"""Arguments of the trainer that an experiment sets itself; further callbacks may be given."""


def make_trainer(given: Mapping[str, Any], **ours: Any) -> pl.Trainer:
    """Lightning's trainer, without the parts that an experiment has its own of.

    Raises:
        LabError: the trainer refuses an argument, or would never stop.
    """
    keep_freed()
    try:
        trainer = pl.Trainer(
            **{name: value for name, value in given.items() if name not in (*OWNED, *ours)},
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            **{"enable_checkpointing": False, **ours},
        )
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise LabError(f"the settings of the trainer cannot be used: {error}") from error
    if trainer.max_steps == trainer.max_epochs == -1:
        raise LabError("training would never end: set trainer.max_steps or trainer.max_epochs")
    return trainer


def slow_bfloat16(given: Mapping[str, Any]) -> str:
    """What to do where a trainer would compute in bfloat16 on a CPU to which that is no help; empty where all is well.

    Without such arithmetic PyTorch multiplies matrices number by number: 0.9 against 125 GFLOP/s in float32 on two cores with AVX2
    alone. With vectors of it but no matrix units (AVX-512 without AMX) a whole run took 1.5 times as long as in float32: what is won
    where matrices are multiplied is lost where numbers are turned into others.
    """
    is_cpu = given.get("accelerator", "auto") == "cpu" or not torch.accelerator.is_available()
    if not is_cpu or not str(given.get("precision")).startswith("bf16"):
        return ""
    if not _multiplies_bfloat16():
        slow = "this CPU has no arithmetic for bfloat16", "many times as long as"
    elif platform.machine().lower() in ("x86_64", "amd64") and not torch.cpu._is_amx_tile_supported():
        slow = "this CPU has no matrix units for bfloat16 (AMX)", "longer than"
    else:
        return ""
    return (
        f"{slow[0]}: {given['precision']} takes {slow[1]} float32 here. "
        "Use --trainer.precision 32-true (of a suite: --with trainer.precision=32-true)."
    )


@cache
def _multiplies_bfloat16() -> bool:
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) if torch.backends.mkldnn.is_available() else False


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's notes on devices, workers and intervals: they are known here, and hide what matters."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    loud = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loud]
    for logger in loud:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        for logger, level in zip(loud, levels, strict=True):
            logger.setLevel(level)
