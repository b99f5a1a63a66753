"""One experiment, end to end: stages, fit, test, record."""

import logging
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from prompt_lab.backbones.load import checkpoint, load_backbone
from prompt_lab.callbacks import BestValidation, ProgressCallback, Selection
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.progress import Bars
from prompt_lab.reporting import delta, files, scores
from prompt_lab.reporting.cost import Meter
from prompt_lab.reporting.environment import environment
from prompt_lab.reporting.tracking import Tracker, WandbMode, loggers

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


@dataclass
class Run:
    """Settings of a run that belong to none of its parts.

    Attributes:
        backbone: a packaged backbone, the folder of a local one, or a hub id with an optional ``@revision``.
        name: what the run is called in paths and tables; the paradigm's file name by default.
        select: which state is tested: the last (``fixed``), or the best on validation (``dev_k``).
        init_seed: seeds new parameters and dropout; the split's seed by default.
        order_seed: seeds the order of training examples; the split's seed by default.
        save_model: keep what moved as ``delta.safetensors`` beside the record.
        out: folder of all results.
        wandb: ``auto`` is online when somebody is logged in, and offline otherwise.
        wandb_project: W&B project.
    """

    backbone: str = "minilm-mlm"
    name: str | None = None
    select: Selection = "fixed"
    init_seed: int | None = None
    order_seed: int | None = None
    save_model: bool = True
    out: str = "runs"
    wandb: WandbMode = "auto"
    wandb_project: str = "prompt_lab"


@dataclass
class Experiment:
    """One run: a paradigm, its data, a backbone, and how Lightning trains it.

    Attributes:
        paradigm: made from settings, not yet prepared.
        data: not yet drawn.
        run: everything else.
        trainer: arguments of ``lightning.pytorch.Trainer``.
        settings: the settings that differ from the defaults: what makes this run the one it is.
        config: all settings.
    """

    paradigm: Paradigm
    data: FewShotData
    run: Run = field(default_factory=Run)
    trainer: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.run.name or type(self.paradigm).__module__.rpartition(".")[2]

    @property
    def folder(self) -> Path:
        """``<out>/<task>/<paradigm>/<backbone>/k<K>/seed<S>``."""
        return files.cell_folder(
            self.run.out, self.data.task.name, self.name, self.run.backbone, self.data.k, self.data.seed
        )

    def check(self) -> None:
        """Refuse, before any weights are loaded, all that can be refused.

        Raises:
            LabError: texts, template, label words, backbone or output folder cannot be used.
        """
        files.check_writable(Path(self.run.out))
        self.data.order_seed = self.data.seed if self.run.order_seed is None else self.run.order_seed
        _ = self.data.drawn, self.data.sealed_test()
        pl.seed_everything(self._init_seed, verbose=False)
        reader = checkpoint(self.run.backbone).reader
        self.paradigm.prepare(self.data.task, reader)
        # one example shows whether the pattern leaves room for the text
        self.paradigm.encoder(self.data.max_length).encode(self.data.sealed_test()[:1])

    def execute(self, bars: Bars) -> dict[str, Any]:
        """Run all of it and write the record, its predictions and its examples.

        Returns:
            The record.

        Raises:
            LabError: the settings cannot be used.
        """
        started = datetime.now(UTC)
        meter = Meter()
        with meter.phase("prepare"), _quiet():
            self.check()
        with meter.phase("load"):
            backbone = load_backbone(self.run.backbone).fresh()
        pl.seed_everything(self._init_seed, verbose=False)
        self.paradigm.build(backbone)
        return _Running(self, meter, bars, started).record()

    @property
    def _init_seed(self) -> int:
        return self.data.seed if self.run.init_seed is None else self.run.init_seed

    def identity(self) -> dict[str, Any]:
        """The flat facts at the head of the record, and what W&B filters on."""
        return {
            "paradigm": self.name,
            "strategy": self.paradigm.strategy,
            "task": self.data.task.name,
            "backbone": self.run.backbone,
            "backbone_revision": self.paradigm.backbone.reader.revision,
            "k": self.data.k,
            "split_seed": self.data.seed,
            "init_seed": self._init_seed,
            "order_seed": self.data.order_seed,
            "selection": self.run.select,
            "template": str(self.paradigm.template),
            "answer": type(self.paradigm.answer).__name__,
            "tuning": type(self.paradigm.tuning).__name__,
        }


class _Running:
    """An experiment whose parts are built, from its first fit to its record."""

    def __init__(self, experiment: Experiment, meter: Meter, bars: Bars, started: datetime) -> None:
        self.experiment, self.meter, self.bars, self.started = experiment, meter, bars, started
        self.data = experiment.data
        self.identity = experiment.identity()
        run = experiment.run
        self.loggers = loggers(experiment.folder, self.identity, run.wandb, run.wandb_project, experiment.config)
        self.trackers = [one for one in self.loggers if isinstance(one, Tracker)]

    def record(self) -> dict[str, Any]:
        code = 1
        try:
            with _quiet():
                module, trainer = self._fit()
                record = self._tested(module, trainer)
            code = 0
        except SystemExit as stop:  # Lightning turns Ctrl-C into an exit, and shuts its ears to the next one
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from stop
        finally:
            for tracker in self.trackers:
                tracker.finish(code)
        return record

    def _fit(self) -> tuple[Paradigm, pl.Trainer]:
        """Run the stages; the last module is the one that is tested."""
        module, trainer = self.experiment.paradigm, self._trainer()
        with self.meter.phase("fit"):
            for number, (stage, data) in enumerate(module.stages(self.data)):
                if not data.drawn.train:
                    raise LabError(
                        f"{type(stage).__name__} learns from labelled examples, and k={data.k} gives none. "
                        "Use --data.k 1 or more, or a paradigm that trains nothing, such as zero_shot."
                    )
                trainer = trainer if number == 0 else self._trainer()
                trainer.fit(stage, datamodule=data)
                module = stage
        return module, trainer

    def _trainer(self) -> pl.Trainer:
        given = {k: v for k, v in self.experiment.trainer.items() if k not in OWNED}
        callbacks: list[pl.Callback] = [self.meter, ProgressCallback(self.bars, self._title())]
        if self.experiment.run.select == "dev_k":
            callbacks.append(BestValidation())
        return pl.Trainer(
            **given,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=self.experiment.folder,
            logger=self.loggers,
            callbacks=[*callbacks, *(self.experiment.trainer.get("callbacks") or [])],
        )

    def _title(self) -> str:
        return f"{self.identity['task']} {self.identity['paradigm']} seed {self.identity['split_seed']}"

    def _tested(self, module: Paradigm, trainer: pl.Trainer) -> dict[str, Any]:
        """Predict, open the test labels, and write what there is to know."""
        validation, test = self.data.drawn.validation, self.data.sealed_test()
        with self.meter.phase("test"):
            logp_NC = self._predict(module, trainer, test)
            validation_logp = self._predict(module, trainer, validation) if validation else None
        label_N = torch.tensor([e.label for e in test])
        found = scores.scores(logp_NC, label_N, "test/")
        if validation_logp is not None:
            found |= scores.scores(validation_logp, torch.tensor([e.label for e in validation]), "val/")
        return self._write(module, logp_NC, label_N, found)

    def _predict(self, module: Paradigm, trainer: pl.Trainer, examples: Any) -> Tensor:
        """Log-probabilities of the labels [N, C], in the order of the examples, gathered from all devices."""
        self.data.trainer = trainer
        loader = self.data.evaluation(module.encoder(self.data.max_length), examples)
        parts = trainer.predict(module, dataloaders=loader, return_predictions=True) or []
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, parts)
            parts = [p for rank in gathered for p in rank]
        logp_NC = torch.empty(len(examples), len(self.data.task.labels))
        for index_B, logp_BC in parts:
            logp_NC[index_B] = logp_BC
        return logp_NC

    def _write(self, module: Paradigm, logp_NC: Tensor, label_N: Tensor, found: dict[str, float]) -> dict[str, Any]:
        experiment, task = self.experiment, self.data.task
        majority = scores.trivial(label_N, len(task.labels))
        stored = sum(v.numel() * v.element_size() for v in module.moved_state().values())
        record = {
            "schema": files.SCHEMA,
            **self.identity,
            "metric": task.primary,
            "scores": found,
            "recall_per_class": scores.recall_per_class(logp_NC, label_N, task.labels),
            "trivial": majority,
            "collapsed": scores.collapsed(found["test/acc"], majority["majority"]),
            "data": self.data.facts(),
            "budget": self._budget(),
            "cost": self.meter.cost(module, stored),
            "environment": environment(),
            "trials": 1,
            "started": self.started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "settings": dict(experiment.settings),
            "config": dict(experiment.config),
        }
        self._log(record, logp_NC, label_N)
        if rank_zero_only.rank == 0:
            self._store(record, module, logp_NC)
        return record

    def _budget(self) -> dict[str, int]:
        budget = self.data.budget()
        if self.experiment.run.select == "dev_k":
            budget["labels_validation"] = len(self.data.drawn.validation)
        return budget | {"model_calls": sum(self.meter.calls.values())}

    def _store(self, record: dict[str, Any], module: Paradigm, logp_NC: Tensor) -> None:
        """The record goes last: where it stands, everything else is there too."""
        folder, test = self.experiment.folder, self.data.sealed_test()
        labels = self.data.task.labels
        rows = [
            {
                "key": e.key[:16],
                "label": labels[e.label or 0],
                "predicted": labels[int(p.argmax())],
                "log_probabilities": p.tolist(),
            }
            for e, p in zip(test, logp_NC.double(), strict=True)
        ]
        files.write_lines(folder / "predictions.jsonl", rows)
        drawn = {"train": self.data.drawn.train, "validation": self.data.drawn.validation}
        examples = [
            {"split": split, "key": e.key[:16], "label": labels[e.label or 0], "origin": e.origin, **e.fields}
            for split, part in drawn.items()
            for e in part
        ]
        files.write_lines(folder / "examples.jsonl", examples)
        if self.experiment.run.save_model and module.moved_state():
            delta.save(folder / delta.FILE, module)
        files.write_json(folder / files.RECORD, record)
        (folder / files.FAILURE).unlink(missing_ok=True)

    def _log(self, record: dict[str, Any], logp_NC: Tensor, label_N: Tensor) -> None:
        test, labels = self.data.sealed_test(), self.data.task.labels
        for logger in self.loggers:
            logger.log_metrics(record["scores"])
        columns = [*self.data.task.fields, "label", "predicted", "probability"]
        rows = [
            [*e.fields.values(), labels[y], labels[int(p.argmax())], float(p.max().exp())]
            for e, y, p in zip(test, label_N.tolist(), logp_NC, strict=True)
        ]
        for tracker in self.trackers:
            tracker.summarize(
                {
                    **record["scores"],
                    "cost": record["cost"],
                    "budget": record["budget"],
                    "collapsed": record["collapsed"],
                }
            )
            tracker.table("test/predictions", columns, rows)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's notes on devices, workers and intervals: they are known here, and hide what matters."""
    loud = [
        logging.getLogger(name)
        for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    ]
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
