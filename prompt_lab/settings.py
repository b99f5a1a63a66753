"""From YAML files and command-line words to an experiment: everything typed, everything checked before anything is loaded."""

import inspect
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonargparse import ArgumentError, Namespace, set_parsing_settings
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from prompt_lab import discovery
from prompt_lab.backbones.load import checkpoint
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.experiment import Experiment, Run
from prompt_lab.paradigms import Paradigm
from prompt_lab.refusals import refusal
from prompt_lab.selection import candidates
from prompt_lab.tasks import load_task
from prompt_lab.trainer import OWNED
from prompt_lab.trees import identity

set_parsing_settings(instantiate_subclass_spec_in_any=False)  # candidates are settings, not objects

Parser = Callable[[], LightningArgumentParser]


@dataclass(frozen=True)
class Settings:
    """The settings of one experiment.

    Attributes:
        given: what files and command line say.
        config: the same with every default.
    """

    given: dict[str, Any]
    config: Namespace

    @property
    def identity(self) -> dict[str, Any]:
        """The part of what was given that decides what is computed: what makes a run the one it is."""
        return identity(self.given)

    @property
    def everything(self) -> dict[str, Any]:
        """Every setting, as JSON can hold it."""
        return plain(self.config)

    def experiment(self) -> Experiment:
        """The experiment they describe. No texts and no weights have been read.

        Raises:
            LabError: an unknown task or backbone, or parts that do not go together.
        """
        refuse_owned(self.config.trainer)
        load_task(self.config.data.task)
        checkpoint(self.config.backbone)
        made = instantiate(_kept_parser, self.config)
        run = Run(**{name: made[name] for name in Run.__dataclass_fields__})
        candidates.check(run)
        defaults = inspect.signature(Trainer).parameters
        trainer = {k: v for k, v in vars(made.trainer).items() if v is not None or defaults[k].default is not None}
        others = [parse_tree(tree).experiment for tree in candidates.trees(self.everything)]
        return Experiment(made.model, made.data, run, trainer, self.identity, self.everything, others)


def parser() -> LightningArgumentParser:
    """The parser of one experiment: ``backbone``, ``data``, ``model``, ``trainer`` and the settings of ``Run``."""
    made = empty_parser("fit", "One run: one paradigm, task, backbone, K and seed.")
    made.add_class_arguments(Run)
    made.add_class_arguments(FewShotData, "data")
    made.add_lightning_class_args(Paradigm, "model", subclass_mode=True)
    made.add_lightning_class_args(Trainer, "trainer")
    return made


@cache
def _kept_parser() -> LightningArgumentParser:
    """The same, made once: making it takes longer than to parse a run of a suite. Words of a command line would leave traces in it."""
    return parser()


def empty_parser(command: str, about: str) -> LightningArgumentParser:
    """A parser that knows ``--config`` and, by their short names, all classes that can be chosen."""
    for entry in discovery.classes():
        entry.load()
    made = LightningArgumentParser(
        prog=f"prompt-lab {command}", description=about, exit_on_error=False, allow_abbrev=False
    )
    made.add_argument(
        "-c", "--config", action="config", help="a YAML file of settings; later ones override earlier ones"
    )
    return made


def parse(words: Sequence[str]) -> Settings:
    """The settings that command-line words give.

    Raises:
        LabError: a setting that does not exist or has the wrong type.
    """
    return Settings(*read(parser, lambda one, **options: one.parse_args(list(words), **options)))


def print_and_exit(words: Sequence[str], make: Parser = parser) -> None:
    """Print the help or the configuration that is asked for, and exit.

    Raises:
        LabError: as ``parse``.
    """
    one = make()
    try:
        one.parse_args(list(words))
    except ArgumentError as error:
        raise refusal(str(error).strip(), one._option_string_actions) from error


def parse_tree(tree: Mapping[str, Any]) -> Settings:
    """The settings that a tree, as read from YAML, gives. Errors as ``parse``."""
    return Settings(*read(_kept_parser, lambda one, **options: one.parse_object(dict(tree), **options)))


def read(make: Parser, how: Callable[..., Namespace]) -> tuple[dict[str, Any], Namespace]:
    """What is given, and the same with every default.

    Raises:
        LabError: a setting that does not exist or has the wrong type.
    """
    one = make()
    try:
        with redirect_stderr(io.StringIO()):
            config = how(one)
            given = plain(how(one, defaults=False))
    except (ArgumentError, TypeError, ValueError) as error:
        raise refusal(str(error).strip(), one._option_string_actions) from error
    return given, config


def refuse_owned(trainer: Namespace) -> None:
    """Raise LabError for arguments of the trainer that prompt_lab sets itself."""
    usual = inspect.signature(Trainer.__init__).parameters
    for name in OWNED:
        if name != "callbacks" and trainer[name] != usual[name].default:
            raise LabError(
                f"trainer.{name} is set by prompt_lab itself, so that every run is logged and compared alike; leave it out"
            )


def instantiate(make: Parser, config: Namespace) -> Namespace:
    """The objects that the settings describe. What they refuse themselves the parser wraps in an error of its own."""
    try:
        return make().instantiate(config)
    except (TypeError, ValueError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, LabError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise LabError(str(cause)) from error


def plain(config: Namespace) -> dict[str, Any]:
    """A tree of plain values, as JSON can hold them."""
    tree = config.as_dict()
    tree.pop("config", None)
    return json.loads(json.dumps(tree, default=str))
