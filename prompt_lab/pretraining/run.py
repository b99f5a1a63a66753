"""A pretraining run: its parts and settings, checked before anything heavy is loaded."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from prompt_lab.backbones.load import checkpoint
from prompt_lab.errors import LabError
from prompt_lab.pretraining.data import PlainText
from prompt_lab.pretraining.module import Pretraining
from prompt_lab.pretraining.probe import Probe
from prompt_lab.reporting.tracking import WandbMode
from prompt_lab.trainer import make_trainer, quiet
from prompt_lab.trees import difference

RECORD = "pretraining.json"
SETTINGS = "settings.json"
CHECKPOINTS = "checkpoints"


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
