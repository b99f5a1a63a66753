"""Names of new files: which may be taken, and a near one where one may not."""

import ast
import builtins
import keyword
import re
import unicodedata
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count

from prompt_lab import discovery
from prompt_lab.errors import LabError

_SHAPE = re.compile(r"[a-z][a-z0-9_]*")
Taken = Callable[[str], str | None]


def class_name(name: str) -> str:
    """``my_idea`` as a class: ``MyIdea``."""
    return "".join(part.capitalize() for part in name.split("_"))


def checked(kind: str, name: str, taken: Taken, source: str = "") -> str:
    """The name, if a new file may have it.

    Args:
        kind: paradigm, tuning or task.
        name: as it was given.
        taken: which file stands in the way of a name, if one does.
        source: the code that the new class will stand in, whose own names it must not hide; none for a task.

    Raises:
        LabError: it is no name of a Python file, is taken, or hides something; the message has one that may be taken.
    """
    fault = _fault(kind, name, taken, source)
    if fault is None:
        return name
    near = next(n for n in _near(kind, name) if _fault(kind, n, taken, source) is None)
    raise LabError(f"a {kind} cannot be called {name!r}: {fault}. Call it {near!r}, for example.")


def _fault(kind: str, name: str, taken: Taken, source: str) -> str | None:
    if not _SHAPE.fullmatch(name) or keyword.iskeyword(name):
        return "the name of a file and a module is written in small letters, digits and _, and begins with a letter"
    if name in discovery.entries(kind):
        return f"prompt_lab has a {kind} of that name"
    if (there := taken(name)) is not None:
        return f"{there} is there already, and nothing is ever overwritten"
    if source and class_name(name).lower() in _classes(source):
        return f"its class {class_name(name)} would hide another of that name"
    if find_spec(name) is not None:
        return f"Python has a module {name!r}, and one of the two would hide the other"
    return None


def _classes(source: str) -> set[str]:
    """Classes that a setting may name, what the code imports, and what Python itself has; all in small letters."""
    imported = [a.name for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom) for a in n.names]
    return {n.lower() for n in (*(entry.attribute for entry in discovery.classes()), *imported, *dir(builtins))}


def _near(kind: str, name: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKD", name.removesuffix(".py")).encode("ascii", "ignore").decode()
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain)
    written = re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")
    if written[:1].isalpha():
        yield written
    yield f"my_{written or kind}"
    yield from (f"{written if written[:1].isalpha() else f'my_{written or kind}'}_{n}" for n in count(2))
