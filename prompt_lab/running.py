"""Runs an experiment, from its first fit to its record."""

import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Example
from prompt_lab.callbacks import BestValidation, ProgressCallback
from prompt_lab.experiment import Experiment
from prompt_lab.paradigms import Paradigm
from prompt_lab.progress import Bars
from prompt_lab.reporting.cost import Meter
from prompt_lab.reporting.parameter_tree import tree
from prompt_lab.reporting.results import Results
from prompt_lab.reporting.tracking import Prefixed, Tracker, loggers
from prompt_lab.staging import Staging
from prompt_lab.trainer import make_trainer, quiet


def execute(experiment: Experiment, bars: Bars, *, show_parameters: bool = False) -> dict[str, Any]:
    """Run all of an experiment, and write its record, predictions and examples.

    Args:
        experiment: not prepared yet.
        bars: where progress is shown.
        show_parameters: say first what is frozen, trained and added, as a tree of the model's parts.

    Returns:
        The record.

    Raises:
        LabError: its settings cannot be used.
    """
    started = datetime.now(UTC)
    meter = Meter()
    with meter.phase("prepare"), quiet():
        experiment.check()
    with meter.phase("load"):
        backbone = load_backbone(experiment.run.backbone).fresh()
    pl.seed_everything(experiment.init_seed, verbose=False)
    experiment.paradigm.build(backbone)
    del backbone  # a paradigm may build itself anew, and forget this one
    if show_parameters:
        bars.say(tree(experiment.paradigm))
    return Running(experiment, meter, bars, started).record()


class Running:
    """Fits, tests and records an experiment.

    Args:
        experiment: its paradigm has a backbone.
        meter: has been counting since the experiment began.
        bars: where progress is shown.
        started: when it began.
    """

    def __init__(self, experiment: Experiment, meter: Meter, bars: Bars, started: datetime) -> None:
        self.experiment, self.meter, self.bars, self.started = experiment, meter, bars, started
        self.data = experiment.data
        self.identity = experiment.identity()
        run = experiment.run
        self.loggers = loggers(experiment.folder, self.identity, run.wandb, run.wandb_project, experiment.config)
        self.trackers = [one for one in self.loggers if isinstance(one, Tracker)]
        self.staging = Staging(experiment, meter, self._trainer, self._predict)

    def record(self) -> dict[str, Any]:
        """Run the stages, open the test, and store and log what there is to know.

        Returns:
            The record.
        """
        code = 1
        try:
            with quiet():
                module, trainer = self.staging.run()
                results = self._tested(module, trainer)
            self.meter.gather(trainer)
            record = results.record(self.identity, self.experiment, self.meter, self.started)
            results.log(record, self.loggers, self.trackers)
            if record["collapsed"] and record["cost"]["steps"]:
                self.bars.say(
                    f"  {self.experiment.folder}: this run has collapsed, it is no better than naming one label always"
                )
            if trainer.is_global_zero:
                results.store(record, self.experiment)
                self.staging.finish()
            code = 0
        except SystemExit as stop:  # Lightning turns Ctrl-C into an exit, and shuts its ears to the next one
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from stop
        finally:
            for tracker in self.trackers:
                tracker.finish(code)
        return record

    def _trainer(self, stage: str, steps: int | None) -> pl.Trainer:
        """The trainer of one stage, whose curves stand under its name."""
        title = (
            f"{self.identity['task']} {self.identity['paradigm']} seed {self.identity['split_seed']} {stage}".strip()
        )
        callbacks: list[pl.Callback] = [self.meter, ProgressCallback(self.bars, title)]
        if self.experiment.run.select == "dev_k":
            callbacks.append(BestValidation())
        own = self.experiment.trainer.get("callbacks") or []
        callbacks += own if isinstance(own, list) else [own]
        named = [Prefixed(logger, stage) for logger in self.loggers] if stage else self.loggers
        ours: dict[str, Any] = {} if steps is None else {"max_steps": steps, "max_epochs": -1}
        last = steps or self.experiment.trainer.get("max_steps") or -1
        if last > 0 and "limit_train_batches" not in self.experiment.trainer:
            ours["limit_train_batches"] = last  # so that a pass cut short by the last step ends, and is validated
        return make_trainer(
            self.experiment.trainer,
            default_root_dir=self.experiment.folder,
            logger=named,
            callbacks=callbacks,
            **ours,
        )

    def _tested(self, module: Paradigm, trainer: pl.Trainer) -> Results:
        """Predict; the labels of the test stay here."""
        validation, test = self.data.drawn.validation, self.data.sealed_test()
        with self.meter.phase("test"):
            test_logp_NC = self._predict(module, trainer, test)
            validation_logp_NC = self._predict(module, trainer, validation)
        return Results(module, self.data, test_logp_NC, validation_logp_NC, self.staging.done)

    def _predict(self, module: Paradigm, trainer: pl.Trainer, examples: Sequence[Example]) -> Tensor:
        """Log-probabilities of the labels [N, C], in the order of the examples, gathered from all devices."""
        logp_NC = torch.empty(len(examples), len(self.data.task.labels))
        if not examples:
            return logp_NC
        self.data.trainer = trainer
        loader = self.data.evaluation(module.encoder(self.data), examples)
        parts = trainer.predict(module, dataloaders=loader, return_predictions=True) or []
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, parts)
            parts = [p for rank in gathered for p in rank]
        for index_B, logp_BC in parts:
            logp_NC[index_B] = logp_BC
        return logp_NC
