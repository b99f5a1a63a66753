"""Finds what can be chosen by name, by looking at the files of a folder: the only registry there is.

A file ``<folder>/<name>.py`` offers ``<name>``. Its class (or, for a task, its constant ``TASK``) is found by reading the
file's syntax tree, so that listing names imports nothing; the file is imported when its entry is loaded.
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from prompt_lab.errors import LabError, unknown

_PACKAGE = Path(__file__).parent
FOLDERS = {
    "paradigm": "paradigms",
    "task": "tasks",
    "answer": "answers",
    "tuning": "tuning",
    "slot": "templates/slots",
    "backbone": "backbones/packaged",
    "objective": "pretraining/objectives",
    "text": "pretraining/texts",
}
CLASSES = ("paradigm", "answer", "tuning", "objective", "text")
"""The kinds that a setting names by their class."""


@dataclass(frozen=True)
class Entry:
    """Something that can be chosen by name.

    Attributes:
        name: the file's stem.
        module: the dotted module it stands in.
        attribute: the class or constant in that module.
        summary: the first line of the module's docstring.
    """

    name: str
    module: str
    attribute: str
    summary: str

    def load(self) -> Any:
        """Import the module and return the class or constant."""
        return getattr(importlib.import_module(self.module), self.attribute)


@cache
def entries(kind: str) -> dict[str, Entry]:
    """Everything of a kind, by name, sorted. Kinds are the keys of ``FOLDERS``; nothing is imported."""
    return {entry.name: entry for entry in _scan(kind)}


def classes() -> list[Entry]:
    """Everything that a setting may name by its class."""
    return [entry for kind in CLASSES for entry in entries(kind).values()]


def find(kind: str, name: str) -> Any:
    """The class or constant of that kind and name.

    Raises:
        LabError: no file offers the name; the message names the nearest ones.
    """
    known = entries(kind)
    if name not in known:
        raise unknown(kind, name, known)
    return known[name].load()


def load_file(path: Path, attribute: str) -> Any:
    """A constant of a Python file anywhere on disk, such as a task of the user's own."""
    if not path.is_file():
        raise LabError(f"no such file: {path}")
    spec = importlib.util.spec_from_file_location(f"prompt_lab_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise LabError(
            f"{path} must define {attribute}; it defines {', '.join(n for n in vars(module) if n[0] != '_')}"
        )
    return getattr(module, attribute)


def _scan(kind: str) -> Iterator[Entry]:
    folder = FOLDERS[kind]
    for path in sorted((_PACKAGE / folder).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        attribute = _constant(tree, "TASK") if kind == "task" else _class(tree, path.stem)
        if attribute is not None:
            module = ".".join(("prompt_lab", *Path(folder).parts, path.stem))
            yield Entry(path.stem, module, attribute, (ast.get_docstring(tree) or "").split("\n")[0])


def _class(tree: ast.Module, stem: str) -> str | None:
    """The class that is named like the file (``p_tuning_v2.py`` offers ``PTuningV2``)."""
    plain = stem.replace("_", "").lower()
    return next((n.name for n in tree.body if isinstance(n, ast.ClassDef) and n.name.lower() == plain), None)


def _constant(tree: ast.Module, name: str) -> str | None:
    assigned = [t for n in tree.body if isinstance(n, ast.Assign) for t in n.targets]
    assigned += [n.target for n in tree.body if isinstance(n, ast.AnnAssign)]
    return name if any(isinstance(t, ast.Name) and t.id == name for t in assigned) else None
