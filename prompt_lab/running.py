"""Runs an experiment, from its first fit to its record."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import lightning.pytorch as pl

from prompt_lab.backbones.load import load_backbone
from prompt_lab.experiment import Experiment
from prompt_lab.fitting import Fitting
from prompt_lab.paradigms import Paradigm
from prompt_lab.progress import Bars
from prompt_lab.reporting.cost import Meter
from prompt_lab.reporting.parameter_tree import tree
from prompt_lab.reporting.results import Results
from prompt_lab.reporting.tracking import Tracker, loggers
from prompt_lab.selection import choosing
from prompt_lab.selection.regimes import regime
from prompt_lab.trainer import quiet, slow_bfloat16


class Beside(Protocol):
    """A run's place among others that are run side by side with it (``together``)."""

    @property
    def size(self) -> int:
        """How many runs there are."""

    def clock(self) -> float:
        """Seconds that the run has had of the machine."""

    def sit(self, paradigm: Paradigm) -> None:
        """Begin to read together; the paradigm has its backbone."""


def execute(
    experiment: Experiment, bars: Bars, *, show_parameters: bool = False, beside: Beside | None = None
) -> dict[str, Any]:
    """Run all of an experiment, and write its record, predictions and examples.

    Args:
        experiment: not prepared yet.
        bars: where progress is shown.
        show_parameters: say first what is frozen, trained and added, as a tree of the model's parts.
        beside: the runs that it reads together with, if there are some.

    Returns:
        The record.

    Raises:
        LabError: its settings cannot be used.
    """
    started = datetime.now(UTC)
    meter = Meter() if beside is None else Meter(beside.size, beside.clock)
    with meter.phase("prepare"), quiet():
        experiment.check()
    if advice := slow_bfloat16(experiment.trainer):
        bars.say_once(advice)
    with quiet(), interruptible():
        experiment = choosing.chosen(experiment, meter, bars)
    with meter.phase("load"):
        backbone = load_backbone(experiment.run.backbone).fresh()
    pl.seed_everything(experiment.init_seed, verbose=False)
    experiment.paradigm.build(backbone)
    experiment.save_memory(experiment.paradigm)
    del backbone  # a paradigm may build itself anew, and forget this one
    if beside is not None:
        beside.sit(experiment.paradigm)
    if show_parameters:
        bars.say(tree(experiment.paradigm))
    return Running(experiment, meter, bars, started).record()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C be what it is: Lightning turns it into an exit, and shuts its ears to the next one."""
    try:
        yield
    except SystemExit as stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from stop


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
        title = f"{self.identity['task']} {self.identity['paradigm']} seed {self.identity['split_seed']}"
        last = regime(run.select).last(self.data)
        self.fitting = Fitting(experiment, last, meter, bars, title, self.loggers)

    def record(self) -> dict[str, Any]:
        """Run the stages, open the test, and store and log what there is to know.

        Returns:
            The record.
        """
        code = 1
        try:
            with quiet(), interruptible():
                module, trainer = self.fitting.staging.run()
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
                self.fitting.staging.finish()
                choosing.forget(self.experiment)
            code = 0
        finally:
            for tracker in self.trackers:
                tracker.finish(code)
        return record

    def _tested(self, module: Paradigm, trainer: pl.Trainer) -> Results:
        """Predict; the labels of the test stay here."""
        validation, test = self.data.drawn.validation, self.data.sealed_test()
        with self.meter.phase("test"):
            test_logp_NC = self.fitting.predict(module, trainer, test)
            validation_logp_NC = self.fitting.predict(module, trainer, validation)
        return Results(module, self.data, test_logp_NC, validation_logp_NC, self.fitting.staging.done)
