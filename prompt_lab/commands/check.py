"""`prompt-lab check`: the contract, run on one paradigm, tuning or task."""

import importlib
from collections.abc import Iterator
from typing import Any

from prompt_lab import discovery
from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.tasks import load_task
from prompt_lab.testing import checks, tasks, tunings
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning import Tuning


def main(name: str) -> int:
    """Print a line for each clause; 1 if one fails."""
    found = list(_results(name))
    width = max(len(clause) for clause, _ in found)
    for clause, result in found:
        print(f"{clause.replace('_', ' '):<{width}}  {result}")
    return int(any(result.startswith("FAILED") for _, result in found))


def _results(name: str) -> Iterator[tuple[str, str]]:
    if name.endswith(".py"):
        return tasks.results(load_task(name))
    made = load(name)
    return tunings.results(made) if issubclass(made, Tuning) else checks.results(Subject(made))


def load(name: str) -> type[Paradigm] | type[Tuning]:
    """A class by ``package.module.Class``, or by the name under which it is discovered.

    Raises:
        LabError: there is none, or it is no paradigm or tuning that can be made from its defaults.
    """
    kind = "tuning" if name in discovery.entries("tuning") and name not in discovery.entries("paradigm") else "paradigm"
    made: Any = discovery.find(kind, name) if "." not in name else _imported(name)
    if not (isinstance(made, type) and issubclass(made, Paradigm | Tuning)):
        raise LabError(
            f"{name} is no paradigm: it must be a class derived from prompt_lab.paradigms.Paradigm. A tuning "
            "(derived from prompt_lab.tuning.Tuning) and the path of a task's file, my_task.py, are checked as well."
        )
    make: Any = made
    try:
        make()
    except TypeError as error:
        raise LabError(f"{name} cannot be made from its defaults ({error}); give every argument a default") from error
    return made


def _imported(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise LabError(f"cannot import {name}: {error}") from error
