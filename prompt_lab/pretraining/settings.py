"""From YAML files and command-line words to a pretraining run: everything typed and checked."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from prompt_lab import settings
from prompt_lab.backbones.load import checkpoint
from prompt_lab.pretraining.data import PlainText
from prompt_lab.pretraining.module import Pretraining
from prompt_lab.pretraining.run import Pretrain, Run
from prompt_lab.trees import identity


def parser() -> LightningArgumentParser:
    """The parser of a pretraining run: ``data``, ``model``, ``trainer`` and the settings of ``Run``."""
    made = settings.empty_parser("pretrain", "Teach a backbone from plain text.")
    made.add_class_arguments(Run)
    made.add_class_arguments(PlainText, "data")
    made.add_class_arguments(Pretraining, "model")
    made.add_lightning_class_args(Trainer, "trainer")
    return made


def parse(words: Sequence[str]) -> Pretrain:
    """The run that command-line words describe. No texts and no weights have been read.

    Raises:
        LabError: a setting that does not exist or has the wrong type, an unknown backbone, parts that do not go together.
    """
    given, config = settings.read(parser, lambda one, **options: one.parse_args(list(words), **options))
    settings.refuse_owned(config.trainer)
    checkpoint(config.backbone)
    made: Any = settings.instantiate(parser, config)
    run = Run(**{name: made[name] for name in Run.__dataclass_fields__})
    trainer = {k: v for k, v in vars(made.trainer).items() if v is not None}
    return Pretrain(made.model, made.data, run, trainer, identity(given))
