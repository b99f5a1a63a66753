"""`prompt-lab check`: the contract, run on one paradigm."""

import importlib
from typing import Any

from prompt_lab import discovery
from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.testing import checks
from prompt_lab.testing.subject import Subject


def main(name: str) -> int:
    """Print a line for each clause; 1 if one fails."""
    found = list(checks.results(Subject(load(name))))
    width = max(len(clause) for clause, _ in found)
    for clause, result in found:
        print(f"{clause.replace('_', ' '):<{width}}  {result}")
    return int(any(result.startswith("FAILED") for _, result in found))


def load(name: str) -> type[Paradigm]:
    """A paradigm's class by ``package.module.Class``, or by the name under which it is discovered.

    Raises:
        LabError: there is none, or it is no paradigm that can be made from its defaults.
    """
    made: Any = discovery.find("paradigm", name) if "." not in name else _imported(name)
    if not (isinstance(made, type) and issubclass(made, Paradigm)):
        raise LabError(f"{name} is no paradigm: it must be a class derived from prompt_lab.paradigms.Paradigm")
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
