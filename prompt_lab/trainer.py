"""Lightning's trainer as every experiment uses it, and its quiet."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
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
