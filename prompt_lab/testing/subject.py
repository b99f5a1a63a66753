"""A paradigm under test: built on a tiny backbone and the toy task, and run."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from prompt_lab import together
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.encoded import collate
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.experiment import Experiment, Run
from prompt_lab.paradigms import Paradigm
from prompt_lab.progress import Bars
from prompt_lab.reporting import delta
from prompt_lab.running import execute
from prompt_lab.tasks import load_task

TOY = str(Path(__file__).with_name("toy.py"))
FLIPPED = str(Path(__file__).with_name("toy_flipped.py"))
MAX_LENGTH = 64


@dataclass(frozen=True)
class Subject:
    """What a check is run on.

    Attributes:
        make: makes the paradigm anew, such as the class itself.
        backbone: name of a backbone; a tiny one keeps the checks fast.
    """

    make: Callable[[], Paradigm]
    backbone: str = "tiny-masked"
    trainer: Mapping[str, Any] = field(default_factory=dict)
    _finished: dict[Any, "Finished"] = field(default_factory=dict, init=False, repr=False, compare=False)

    def built(self, seed: int = 0, backbone: str | None = None) -> Paradigm:
        """The paradigm on the toy task, in evaluation mode."""
        pl.seed_everything(seed, verbose=False)
        loaded = load_backbone(backbone or self.backbone)
        module = self.make().prepare(load_task(TOY), loaded.reader)
        pl.seed_everything(seed, verbose=False)  # as a run does before it builds
        return module.build(loaded.fresh()).eval()

    def examples(self, number: int = 6) -> list[Example]:
        """Texts of several lengths."""
        pool = load_task(TOY).source.read(load_task(TOY))["train"]
        step = max(1, len(pool) // number)
        return [
            Example({"text_a": e.fields["text_a"] + " and so on" * (i % 3)}, e.label)
            for i, e in enumerate(pool[::step][:number])
        ]

    def batch(self, module: Paradigm, examples: list[Example]) -> Encoded:
        """A batch of them, as the paradigm reads it."""
        return collate(module.encoder(self.data()).encode(examples), module.reader)

    def data(self, task: str = TOY, seed: int = 13) -> FewShotData:
        """What it learns from: K = 2."""
        return FewShotData(task, k=2, seed=seed, batch_size=4, max_length=MAX_LENGTH)

    def scores(self, module: Paradigm, examples: list[Example]) -> Tensor:
        """Label scores [B, C] without gradients."""
        with torch.inference_mode():
            return module(self.batch(module, examples))

    def run(self, *, seed: int = 13, task: str = TOY, **how: Any) -> "Finished":
        """What ``run_anew`` gives, run once for all clauses that ask for the same."""
        key = (seed, task, *sorted(how.items()))
        if key not in self._finished:
            self._finished[key] = self.run_anew(seed=seed, task=task, **how)
        return self._finished[key]

    def run_anew(
        self,
        *,
        seed: int = 13,
        task: str = TOY,
        learning_rate: float | None = None,
        dropout: bool | None = None,
        **trainer: Any,
    ) -> "Finished":
        """A whole experiment with K = 2, its record and the module as it was left."""
        with tempfile.TemporaryDirectory() as folder:
            experiment = self._experiment(folder, seed, task, learning_rate, dropout, trainer)
            return _finished(experiment, execute(experiment, Bars()))

    def run_together(self, seeds: Sequence[int], *, dropout: bool | None = None, **trainer: Any) -> list["Finished"]:
        """What ``run_anew`` gives for each seed, run side by side however much of the backbone is trained.

        Raises:
            Exception: what one of them failed with.
        """
        with tempfile.TemporaryDirectory() as folder:
            experiments = [self._experiment(folder, seed, TOY, None, dropout, trainer) for seed in seeds]
            records = together.execute(experiments, Bars(), most=1.0)
            failed = next((r for r in records if isinstance(r, Exception)), None)
            if failed is not None:
                raise failed
            return [_finished(e, r) for e, r in zip(experiments, records, strict=True) if not isinstance(r, Exception)]

    def _experiment(
        self,
        folder: str,
        seed: int,
        task: str,
        learning_rate: float | None,
        dropout: bool | None,
        trainer: Mapping[str, Any],
    ) -> Experiment:
        module = self.make()
        if learning_rate is not None:
            module.tuning.learning_rate = learning_rate
        if dropout is not None:
            module.tuning.dropout = dropout
        data = self.data(task, seed)
        usual = {"accelerator": "cpu", "max_steps": 2, "log_every_n_steps": 1, "num_sanity_val_steps": 0}
        run = Run(backbone=self.backbone, out=folder, wandb="disabled")
        return Experiment(module, data, run, {**usual, **self.trainer, **trainer})


@dataclass(frozen=True)
class Finished:
    """What a run left: the module, what it was trained on, its record, its metrics as CSV text, its small checkpoint's files."""

    module: Paradigm
    train: tuple[Example, ...]
    record: dict[str, Any]
    metrics: str
    stored: Mapping[Path, bytes]

    def write(self, folder: Path) -> Path:
        """Put the small checkpoint's files into a folder; the path of what ``reporting.delta`` reads."""
        for path, content in self.stored.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        return folder / delta.FILE


def _finished(experiment: Experiment, record: dict[str, Any]) -> Finished:
    metrics = experiment.folder / "metrics.csv"
    stored = {p.relative_to(experiment.folder): p.read_bytes() for p in delta.files(experiment.folder)}
    module, train = experiment.paradigm, experiment.data.drawn.train
    return Finished(module, train, record, metrics.read_text() if metrics.exists() else "", stored)
