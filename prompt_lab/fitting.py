"""How a run trains and predicts with Lightning: what its stages, and the trials of its candidates, have in common."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from prompt_lab.batch import Example
from prompt_lab.callbacks import BestValidation, ProgressCallback, Shares
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.experiment import Experiment
from prompt_lab.paradigms import Paradigm
from prompt_lab.progress import Bars
from prompt_lab.reporting.cost import Meter
from prompt_lab.reporting.tracking import Prefixed
from prompt_lab.selection.regimes import regime
from prompt_lab.staging import Staging
from prompt_lab.trainer import make_trainer


@dataclass(frozen=True)
class Fitting:
    """Trains and predicts for one experiment.

    Attributes:
        experiment: its paradigm has a backbone.
        data: what it is fitted on, validated by, and shown.
        meter: counts what it costs.
        bars: where progress is shown.
        title: what is written beside the bar.
        loggers: where curves go.
    """

    experiment: Experiment
    data: FewShotData
    meter: Meter
    bars: Bars
    title: str
    loggers: Sequence[Logger] = ()

    @cached_property
    def staging(self) -> Staging:
        """The stages of the experiment's paradigm."""
        return Staging(self.experiment, self.data, self.meter, self.trainer, self.predict)

    def trainer(self, stage: str, steps: int | None, parts: int = 1) -> pl.Trainer:
        """The trainer of one stage, whose curves stand under its name, and which steps once all parts of a batch are read."""
        callbacks: list[pl.Callback] = [
            self.meter,
            Shares(),
            ProgressCallback(self.bars, f"{self.title} {stage}".strip()),
        ]
        if regime(self.experiment.run.select).keeps_best:
            callbacks.append(BestValidation())
        given = self.experiment.trainer
        own = given.get("callbacks") or []
        callbacks += copy.deepcopy(
            own if isinstance(own, list) else [own]
        )  # what one fit leaves in them is not the next one's
        named = [Prefixed(logger, stage) for logger in self.loggers] if stage else list(self.loggers)
        ours: dict[str, Any] = {} if steps is None else {"max_steps": steps, "max_epochs": -1}
        parts *= given.get("accumulate_grad_batches", 1)
        if parts > 1:
            ours["accumulate_grad_batches"] = parts
        last = steps or given.get("max_steps") or -1
        if last > 0 and "limit_train_batches" not in given:
            ours["limit_train_batches"] = (
                last * parts
            )  # so that a pass cut short by the last step ends, and is validated
        return make_trainer(
            given, default_root_dir=self.experiment.folder, logger=named or False, callbacks=callbacks, **ours
        )

    def predict(self, module: Paradigm, trainer: pl.Trainer, examples: Sequence[Example]) -> Tensor:
        """Log-probabilities of the labels [N, C], in the order of the examples, gathered from all devices."""
        data = self.data
        logp_NC = torch.empty(len(examples), len(data.task.labels))
        if not examples:
            return logp_NC
        data.trainer = trainer
        loader = data.evaluation(module.encoder(data), examples)
        parts = trainer.predict(module, dataloaders=loader, return_predictions=True) or []
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, parts)
            parts = [p for rank in gathered for p in rank]
        for index_B, logp_BC in parts:
            logp_NC[index_B] = logp_BC
        return logp_NC
