"""Runs the stages of a paradigm one after another. What a stage came to is kept on disk until its run is finished."""

import gc
import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from prompt_lab.batch import Example
from prompt_lab.data.batching import mixed
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.data.sampling import fingerprint
from prompt_lab.errors import LabError
from prompt_lab.experiment import Experiment
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.base import Stage
from prompt_lab.reporting.cost import Meter
from prompt_lab.reporting.files import write_tensors
from prompt_lab.trees import digest

FOLDER = "stages"
SCORES, TEST = "scores", "test"
"""Names of a stage's tensors: what it gave back, and what it says of the test texts."""

MakeTrainer = Callable[[str, int | None, int], pl.Trainer]
Predict = Callable[[Paradigm, pl.Trainer, Sequence[Example]], Tensor]


@dataclass
class Done:
    """A finished stage.

    Attributes:
        name: as its paradigm called it; ``fit`` for one without a name.
        examples: how many it was fitted on.
        texts: how many different texts these are.
        counted: what it cost: steps, seconds, model calls, tokens; and what its module says of the fit.
        before: whether an earlier process had finished it.
        test_logp: [N, C] what it says of the test texts, if that was asked for.
    """

    name: str
    examples: int
    texts: int
    counted: dict[str, Any]
    before: bool = False
    test_logp: Tensor | None = None

    def entry(self) -> dict[str, Any]:
        """What the record says of it."""
        fitted_on = {"examples": self.examples, "texts": self.texts}
        return {"name": self.name, **fitted_on, "finished_before": self.before, **self.counted}


@dataclass
class Staging:
    """Runs the stages of an experiment's paradigm.

    Attributes:
        experiment: its paradigm has a backbone.
        data: what it learns from.
        meter: counts what each stage costs.
        trainer: makes Lightning's trainer for a stage of that name and number of steps, whose batches are read in so many parts.
        predict: label log-probabilities of texts.
        done: the stages that are finished.
        parts: how many a batch was last read in.
    """

    experiment: Experiment
    data: FewShotData
    meter: Meter
    trainer: MakeTrainer
    predict: Predict
    done: list[Done] = field(default_factory=list)
    parts: int = 1

    def run(self) -> tuple[Paradigm, pl.Trainer]:
        """Run all stages.

        Returns:
            The module that is to be tested, and a trainer to do it with.

        Raises:
            LabError: a stage has nothing to be fitted on.
        """
        experiment, kept = self.experiment, self._kept()
        tested, result = experiment.paradigm, None
        trainer: pl.Trainer | None = None
        stages = experiment.paradigm.stages(self.data)
        for number in range(1_000_000):
            if number:
                pl.seed_everything(mixed(experiment.init_seed, number) % 2**32, verbose=False)
            try:
                stage = Stage(*stages.send(result))
            except StopIteration:
                break
            path = kept.path(number, stage)
            result = kept.read(path, stage, self.done, self.meter)
            trainer = None
            if not self.done[number:]:
                trainer, result = self._execute(stage, path, kept)
            is_over = bool(stage.score)
            if is_over:
                trainer = self.data.trainer = None
            else:
                tested = stage.module
            del stage
            if is_over:
                gc.collect()  # modules and trainers refer to each other: without this, teachers pile up in memory
        return tested, trainer or self.trainer("", None, 1)

    def finish(self) -> None:
        """Forget what was kept: the run's record is written."""
        shutil.rmtree(self.experiment.folder / FOLDER, ignore_errors=True)

    def _execute(self, stage: Stage, path: Path, kept: "_Kept") -> tuple[pl.Trainer, Tensor | None]:
        before = self.meter.counted()
        examples: Sequence[Example] = ()
        if stage.data is not None:
            examples = (*stage.data.drawn.train, *stage.data.beside)
            if not stage.data.drawn.train:
                raise LabError(
                    f"{type(stage.module).__name__} learns from labelled examples, and k={stage.data.k} gives none. "
                    "Use --data.k 1 or more, or a paradigm that trains nothing, such as zero_shot."
                )
            self.experiment.save_memory(stage.module)  # a student has a backbone of its own
            with self.meter.phase("fit"):
                trainer = self._fitted(stage, stage.data)
        else:
            trainer = self.trainer(stage.name, stage.steps, 1)
        tensors = {}
        if stage.score:
            with self.meter.phase("score"):
                tensors[SCORES] = self.predict(stage.module, trainer, stage.score)
            if self.experiment.run.score_stages and stage.data is not None:
                with self.meter.phase("test"):
                    tensors[TEST] = self.predict(stage.module, trainer, self.data.sealed_test())
        texts = len({e.key for e in examples})
        counted = self.meter.since(before) | (stage.module.fit_facts() if stage.data is not None else {})
        if self.parts > 1:
            counted["micro_batches"] = self.parts
        done = Done(stage.name or "fit", len(examples), texts, counted, test_logp=tensors.get(TEST))
        self.done.append(done)
        if stage.name and trainer.is_global_zero:
            kept.write(path, stage, tensors or stage.module.moved_state(), done)
        trainer.strategy.barrier()
        return trainer, tensors.get(SCORES)

    def _fitted(self, stage: Stage, data: FewShotData) -> pl.Trainer:
        """Fit, in as many parts of a batch as are asked for, or as there must be."""
        wanted = self.experiment.run.micro_batches
        self.parts = self.parts if wanted == "auto" else wanted
        moving = [p for p in stage.module.parameters() if p.requires_grad]
        before = [p.detach().to("cpu", copy=True) for p in moving] if wanted == "auto" else []
        while True:
            data.parts = self.parts
            trainer = self.trainer(stage.name, stage.steps, self.parts)
            try:
                trainer.fit(stage.module, datamodule=data)
                return trainer
            except torch.OutOfMemoryError as error:
                if wanted != "auto" or data.batch_size % (2 * self.parts * trainer.world_size):
                    raise LabError(
                        f"the GPU has not enough memory for batches of {data.batch_size // self.parts} examples of "
                        f"{data.max_length} tokens; set micro_batches: auto, gradient_checkpointing, a lower data.max_length, or "
                        "another tuning"
                    ) from error
            self.parts *= 2
            with torch.no_grad():
                for parameter, value in zip(moving, before, strict=True):
                    parameter.copy_(value)
            gc.collect()
            torch.cuda.empty_cache()

    def _kept(self) -> "_Kept":
        experiment = self.experiment
        key = digest(experiment.settings, self.data.facts(), experiment.identity())
        return _Kept(experiment.folder / FOLDER, key)


@dataclass(frozen=True)
class _Kept:
    """Files of finished stages, each of which knows the run it belongs to.

    A stage is known by the settings of its run and by the texts it learns from and scores, whatever files these were read from. The
    unnamed stage, which is tested, is not kept: what follows it is short, and what it came to is large.
    """

    folder: Path
    key: str

    def path(self, number: int, stage: Stage) -> Path:
        return self.folder / f"{number:03d} {stage.name.replace('/', ' ')}.safetensors"

    def write(self, path: Path, stage: Stage, tensors: dict[str, Tensor], done: Done) -> None:
        told = [done.name, done.examples, done.texts, done.counted]
        said = {"run": self.key, "texts": _texts(stage), "stage": json.dumps(told)}
        write_tensors(path, {name: value.cpu().contiguous().clone() for name, value in tensors.items()}, said)

    def read(self, path: Path, stage: Stage, done: list[Done], meter: Meter) -> Tensor | None:
        """What a finished stage gave back; it is added to ``done``, unless it is not there or cannot be used."""
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                said, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if said.get("run") != self.key or said.get("texts") != _texts(stage):
                return None
            if not stage.score:
                stage.module.load_moved(tensors)
            name, examples, texts, counted = json.loads(said["stage"])
            found = tensors[SCORES] if stage.score else None
        except (OSError, SafetensorError, LabError, KeyError, ValueError) as error:
            warnings.warn(f"{path} cannot be used ({error}); the stage is run again", stacklevel=2)
            return None
        meter.add(counted)
        done.append(Done(name, examples, texts, counted, True, tensors.get(TEST)))
        return found


def _texts(stage: Stage) -> str:
    """A fingerprint of what a stage reads."""
    learnt = () if stage.data is None else (stage.data.drawn.train, stage.data.drawn.validation, stage.data.beside)
    return fingerprint(*learnt, stage.score or ())
