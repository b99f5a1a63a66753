"""A sweep file in W&B's format, as the local search understands it.

The format: method, metric, parameters, command (W&B, "Sweep configuration options"). What `wandb sweep` would do with a file is done
here too, or refused with the reason.
"""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from prompt_lab.errors import LabError, unknown
from prompt_lab.tracking.sweeps.space import Parameter, parameter
from prompt_lab.trees import read_yaml

Method = Literal["grid", "random", "bayes"]
Goal = Literal["maximize", "minimize"]
KEYS = ("command", "description", "entity", "method", "metric", "name", "parameters", "program", "project", "run_cap")
"""What a file may hold."""
_REFUSED = {
    "early_terminate": "a run that is stopped half-way has used less than the others, and the few validation examples of one epoch "
    "say little: every trial gets all of its steps, so that every paradigm gets the same",
    "scheduler": "the local search is the scheduler here; `wandb sweep-scheduler` serves this file",
    "metrics": "one metric chooses; name it as metric",
    "controller": "the local search is the controller here",
}
_NEVER = {
    "name": "the search names its runs itself",
    "out": "the search has a folder for its runs: --out",
    "model": "paradigms are compared by their files: give config with values such as experiments/paradigms/lora.yaml",
}
_ONE = {
    **dict.fromkeys(
        ("data.task", "data.k", "backbone"), "scores on different ones cannot be compared; write a file for each"
    ),
    **dict.fromkeys(("init_seed", "order_seed"), "a seed is nothing to choose; the values of data.seed are averaged"),
    "trials": "it is how many settings are tried for each paradigm",
}
"""Parameters that have one value, and why."""


@dataclass(frozen=True)
class Sweep:
    """What a sweep file asks for.

    Attributes:
        name: the file's own.
        method: how settings are proposed.
        metric: what chooses: a score on validation.
        goal: whether much of it is good.
        command: settings that the file's command gives to ``prompt-lab fit`` itself.
        paradigms: experiment files by the names of their paradigms; the file's own name and nothing where ``config`` is no parameter.
        constants: parameters with one value.
        searched: the others.
        seeds: of the splits over which a setting's score is averaged; none where the file leaves it to the experiment files.
        trials: settings for each paradigm, if the file says so.
        definition: the file's own words, without the number of trials.
    """

    name: str
    method: Method
    metric: str
    goal: Goal
    command: tuple[str, ...]
    paradigms: Mapping[str, str | None]
    constants: Mapping[str, Any]
    searched: tuple[Parameter, ...]
    seeds: tuple[int, ...]
    trials: int | None
    definition: Mapping[str, Any]

    @property
    def grid(self) -> int:
        """How many settings a grid has."""
        return math.prod(len(one.values) for one in self.searched)


def read(path: Path) -> Sweep:
    """The sweep of a file.

    Raises:
        LabError: the file cannot be read, is no sweep in W&B's format, or asks for what is not done here.
    """
    tree = read_yaml(path)
    if "paradigms" in tree:
        raise LabError(f"{path} is a suite, not a sweep in W&B's format: prompt-lab compare {path}")
    for key in tree:
        if reason := _REFUSED.get(key):
            raise LabError(f"{path}: {key} is not used here: {reason}")
        if key not in KEYS:
            raise unknown("sweep setting", str(key), KEYS)
    method = _method(path, tree.get("method"))
    metric, goal = _metric(path, tree.get("metric"))
    given = tree.get("parameters")
    if not isinstance(given, Mapping) or not given:
        raise LabError(f"{path}: parameters must hold settings by name; it was {given!r}")
    parameters = {str(name): parameter(str(name), entry) for name, entry in given.items()}
    for name, one in parameters.items():
        _check(path, method, name, one)
    constants = {name: one.values[0] for name, one in parameters.items() if one.distribution == "constant"}
    trials, seeds = constants.pop("trials", None), _seeds(path, parameters.pop("data.seed", None))
    configs = parameters.pop("config", None)
    for taken in ("config", "data.seed"):
        constants.pop(taken, None)
    parameters.pop("trials", None)
    searched = tuple(one for one in parameters.values() if one.distribution != "constant")
    if not searched:
        raise LabError(f"{path}: every parameter has one value; there is nothing to search")
    definition = {key: tree[key] for key in ("method", "metric", "command", "parameters")}
    definition["parameters"] = {name: entry for name, entry in given.items() if name != "trials"}
    return Sweep(
        path.stem, method, metric, goal, _command(path, tree.get("command")), _paradigms(path, configs),
        constants, searched, seeds, _trials(path, trials), definition,
    )  # fmt: skip


def _method(path: Path, given: Any) -> Method:
    if given not in get_args(Method):
        raise LabError(f"{path}: method must be {', '.join(get_args(Method))}; it was {given!r}")
    return given


def _metric(path: Path, given: Any) -> tuple[str, Goal]:
    if not isinstance(given, Mapping) or set(given) != {"name", "goal"} or given["goal"] not in get_args(Goal):
        raise LabError(
            f"{path}: metric must hold a name and a goal, maximize or minimize (W&B minimizes where there is none), and nothing "
            f"else: a target would end the search of one paradigm before that of another; it was {given!r}"
        )
    name = str(given["name"])
    if name.startswith("test/"):
        raise LabError(
            f"{path}: nothing is chosen by the test (metric: {name}). Name a validation score, such as val/acc."
        )
    if not name.startswith("val/"):
        raise LabError(f"{path}: settings are chosen by a validation score, such as val/acc; the metric was {name}")
    return name, given["goal"]


def _check(path: Path, method: Method, name: str, one: Parameter) -> None:
    if reason := _NEVER.get(name):
        raise LabError(f"{path}: {name} is no parameter of a sweep: {reason}")
    if (reason := _ONE.get(name)) and one.distribution != "constant":
        raise LabError(f"{path}: {name} must have one value: {reason}")
    if method == "grid" and not one.values:
        raise LabError(f"{path}: a grid needs values; {name} is {one.distribution}. Use method: random or bayes.")


def _trials(path: Path, given: Any) -> int | None:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise LabError(f"{path}: trials must be a whole number, at least 1; it was {given!r}")
    return given


def _seeds(path: Path, given: Parameter | None) -> tuple[int, ...]:
    seeds = () if given is None else given.values
    if (given is not None and not seeds) or not all(isinstance(seed, int) for seed in seeds):
        raise LabError(f"{path}: data.seed must have values, such as [13, 21]; every setting is run with each of them")
    return seeds


def _paradigms(path: Path, given: Parameter | None) -> dict[str, str | None]:
    if given is None:
        return {path.stem: None}
    found = {Path(str(value)).stem: str(value) for value in given.values}
    if len(found) != len(given.values) or not found:
        raise LabError(
            f"{path}: config must have values, each a file with a name of its own; they were {list(given.values)}"
        )
    return found  # type: ignore[return-value]


def _command(path: Path, given: Any) -> tuple[str, ...]:
    """The settings ``--key=value`` among the words of a command, also of one that goes through a shell; its ``--out`` is W&B's."""
    if not isinstance(given, Sequence) or isinstance(given, str) or "${args}" not in given:
        raise LabError(f"{path}: command must be a list of words with ${{args}} among them; it was {given!r}")
    words = [word for chunk in given for word in shlex.split(str(chunk))]
    start = next((i for i, pair in enumerate(pairwise(words)) if pair == ("prompt-lab", "fit")), None)
    if start is None:
        raise LabError(f"{path}: the command must run `prompt-lab fit`; it was {' '.join(words)}")
    settings = [word for word in words[start + 2 :] if word.startswith("-")]
    if unclear := [word for word in settings if not re.match(r"--[\w.]+=", word)]:
        raise LabError(f"{path}: settings in the command are written --key=value; {unclear[0]} is not")
    return tuple(word for word in settings if not word.startswith("--out="))
