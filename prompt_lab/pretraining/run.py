"""One pretraining run end to end: read, check, train with checkpoints, measure, and write delta and card."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from prompt_lab.backbones import delta
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import checkpoint, load_backbone
from prompt_lab.callbacks import ProgressCallback
from prompt_lab.errors import LabError
from prompt_lab.pretraining import card, curves
from prompt_lab.pretraining.data import PlainText
from prompt_lab.pretraining.module import Pretraining
from prompt_lab.pretraining.probe import Followed, Probe
from prompt_lab.progress import Bars
from prompt_lab.reporting import files
from prompt_lab.reporting.cost import Meter
from prompt_lab.reporting.environment import environment
from prompt_lab.reporting.tracking import Tracker, WandbMode, loggers
from prompt_lab.trainer import make_trainer, quiet
from prompt_lab.trees import difference

RECORD = "pretraining.json"
SETTINGS = "settings.json"
CHECKPOINTS = "checkpoints"
INSIDE = "backbone.model."
"""What stands before a backbone's parameter in the names of the module."""


@dataclass
class Run:
    """Settings of a pretraining run that belong to none of its parts.

    Attributes:
        name: what the run is called; its folder is ``<out>/pretraining/<name>``.
        backbone: what is pretrained: a packaged backbone, the folder of a local one, or a hub id.
        probe: a prompt whose zero-shot scores are followed.
        checkpoint_every: steps between two checkpoints; a killed run goes on from the last one.
        int8: store differences in 8 bits.
        licence: of the delta.
        out: folder of all results.
        wandb: ``auto`` is online when somebody is logged in, and offline otherwise.
        wandb_project: W&B project.
    """

    name: str = "pretrained"
    backbone: str = "minilm"
    probe: Probe = field(default_factory=Probe)
    checkpoint_every: int = 200
    int8: bool = False
    licence: str = "that of the base and of the texts"
    out: str = "runs"
    wandb: WandbMode = "auto"
    wandb_project: str = "prompt_lab"

    @property
    def folder(self) -> Path:
        """Where everything about the run lies."""
        if not self.name or "/" in self.name or self.name in (".", ".."):
            raise LabError(f"the run's name becomes that of a folder; {self.name!r} cannot be one")
        return Path(self.out, "pretraining", self.name)


@dataclass
class Pretrain:
    """A pretraining run that can be executed.

    Attributes:
        module: made from settings.
        data: not yet read.
        run: everything else.
        trainer: arguments of ``lightning.pytorch.Trainer``.
        settings: the settings that make this run the one it is.
    """

    module: Pretraining
    data: PlainText
    run: Run
    trainer: Mapping[str, Any]
    settings: Mapping[str, Any]

    def finished(self) -> dict[str, Any] | None:
        """What is recorded of the run if it is finished.

        Raises:
            LabError: the folder holds a run with other settings.
        """
        folder = self.run.folder
        if (folder / SETTINGS).exists():
            before = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
            differing = list(difference(before, json.loads(json.dumps(self.settings))))
            if differing:
                raise LabError(
                    f"{folder} holds a run with other settings ({'; '.join(differing[:3])}). Give this one another --name, "
                    "or delete that folder."
                )
        record = folder / RECORD
        return json.loads(record.read_text(encoding="utf-8")) if record.exists() else None

    def check(self) -> None:
        """Refuse what can be refused before any text is read.

        Raises:
            LabError: trainer, texts, objectives or backbone cannot be used.
        """
        if self.trainer.get("max_steps", -1) < 1:
            raise LabError("the length of a pretraining run is its number of steps: set trainer.max_steps")
        if self.run.checkpoint_every < 1:
            raise LabError(f"checkpoint_every must be at least 1 step; it was {self.run.checkpoint_every}")
        with quiet():
            make_trainer(self.trainer, logger=False)
        for texts in self.data.texts:
            texts.check()
        self.module.prepare(checkpoint(self.run.backbone).reader)

    def execute(self, bars: Bars) -> dict[str, Any]:
        """Train, from the last checkpoint if there is one, and write delta, record and card.

        Returns:
            The record.

        Raises:
            LabError: settings or texts that cannot be used.
        """
        run, meter = self.run, Meter()
        begun = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "environment": environment()}
        self.check()
        reader = checkpoint(run.backbone).reader
        with meter.phase("prepare"), quiet():
            prompt = run.probe.prepare(reader)
            self.data.read(reader, self.module.measured, bars)
        files.write_json(run.folder / SETTINGS, self.settings)
        pl.seed_everything(self.data.seed, verbose=False)  # a head that the checkpoint lacks is drawn at random
        with meter.phase("load"):
            base = load_backbone(run.backbone)
            self.module.build(base.fresh())
        step, path = last_checkpoint(run.folder / CHECKPOINTS) or (0, None)
        if path is not None:
            bars.say(f"going on from step {step} ({path})")
        identity = self._identity(reader.revision)
        # a folder for each process, since Lightning begins its CSV file anew
        logs = loggers(run.folder / f"from_step_{step}", identity, run.wandb, run.wandb_project, self.settings)
        trackers = [one for one in logs if isinstance(one, Tracker)]
        followed = Followed(prompt, bars)
        code = 1
        try:
            with quiet():
                trainer = self._trainer(logs, [meter, ProgressCallback(bars, run.name), followed])
                with meter.phase("fit"):
                    trainer.fit(self.module, datamodule=self.data, ckpt_path=path)
                if followed.step != trainer.global_step:
                    with meter.phase("measure"):
                        trainer.validate(self.module, datamodule=self.data, verbose=False)
            code = 0
        except SystemExit as stop:  # Lightning turns Ctrl-C into an exit
            raise KeyboardInterrupt from stop
        finally:
            for tracker in trackers:
                tracker.finish(code)
        meter.gather(trainer)
        record = {**identity, **begun, **self._facts(trainer, followed.figures, meter, base)}
        if trainer.is_global_zero:
            self._store(record, base)
        return record

    def _identity(self, revision: str) -> dict[str, Any]:
        """Facts to filter on in W&B, under the names that other runs use."""
        return {
            "paradigm": "pretraining",
            "strategy": " + ".join(o.name for o in self.module.measured if o in list(self.module.objectives)),
            "task": self.run.name,
            "backbone": self.run.backbone,
            "backbone_revision": revision,
            "k": "full",
            "split_seed": self.data.seed,
        }

    def _trainer(self, made: Any, callbacks: list[pl.Callback]) -> pl.Trainer:
        saving = ModelCheckpoint(
            self.run.folder / CHECKPOINTS, filename="{step}", every_n_train_steps=self.run.checkpoint_every, save_top_k=1,
            monitor="step", mode="max", save_on_train_epoch_end=False,
        )  # fmt: skip
        return make_trainer(
            self.trainer, enable_checkpointing=True, default_root_dir=self.run.folder, logger=made,
            callbacks=[*callbacks, saving], num_sanity_val_steps=0, max_epochs=-1, check_val_every_n_epoch=None,
        )  # fmt: skip

    def _facts(self, trainer: pl.Trainer, scores: Mapping[str, float], meter: Meter, base: Backbone) -> dict[str, Any]:
        return {
            "scores": dict(scores),
            "objectives": [o.settings() for o in self.module.measured],
            "tuning": type(self.module.tuning).__name__,
            "corpus": self.data.counts,
            "corpus_tokens": self.data.tokens,
            "steps": trainer.global_step,
            "tokens_read": trainer.global_step * self.data.batch_size * self.data.max_length,
            "seed": self.data.seed,
            "learnt_parameters": sum(v.numel() for v in self.module.moved_state().values()),
            "missing_in_base": list(base.missing),
            "licence": self.run.licence,
            "cost": meter.cost(self.module, 0),
            "settings": self.settings,
        }

    def _store(self, record: dict[str, Any], base: Backbone) -> None:
        """Delta, the objectives' own heads, record and card; then the checkpoints are of no more use."""
        folder, backbone = self.run.folder, self.module.backbone
        moved = self.module.moved_state()
        before = {n: v for n, v in base.model.state_dict().items() if n not in base.missing}
        made = delta.Made(
            self.run.backbone, base.reader.revision, base.reader.kind, delta.adapter_settings(backbone.model)
        )
        learnt = {name.removeprefix(INSIDE): v for name, v in moved.items() if name.startswith(INSIDE)}
        delta.write(folder / delta.FILE, learnt, before, made, int8=self.run.int8)
        heads = {name: v for name, v in moved.items() if not name.startswith(INSIDE)}
        for number, objective in enumerate(self.module.objectives):
            start = f"objectives.{number}."
            own = {n.removeprefix(start): v for n, v in heads.items() if n.startswith(start)}
            if own:
                delta.write(folder / f"{objective.name}.safetensors", own, {}, made, int8=False)
        record["cost"]["stored_bytes"] = (folder / delta.FILE).stat().st_size
        files.write_json(folder / RECORD, record)
        with files.atomic(folder / "README.md") as temporary:
            temporary.write_text(card.text(record), encoding="utf-8")
        curves.picture(folder, folder / "curves.png")
        for path in (folder / CHECKPOINTS).glob("*.ckpt"):
            path.unlink()


def last_checkpoint(folder: Path) -> tuple[int, Path] | None:
    """The step and path of the last whole checkpoint of a run that was stopped."""
    found = []
    for path in folder.glob("step=*.ckpt"):
        number = re.fullmatch(r"step=(\d+)(-v\d+)?", path.stem)
        if number:
            found.append((int(number[1]), path))
    for step, path in sorted(found, reverse=True):
        try:
            torch.load(path, map_location="cpu", weights_only=False, mmap=True)
        except Exception:  # a file cut short, in whichever of torch's many ways of saying so
            continue
        return step, path
    return None
