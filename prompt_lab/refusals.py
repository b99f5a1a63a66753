"""What the parser says of settings it refuses, in one sentence and with the nearest name."""

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping

from prompt_lab import discovery
from prompt_lab.errors import LabError, unknown

_KINDS = {
    "model": "paradigm",
    "answer": "answer",
    "answers": "answer",
    "tuning": "tuning",
    "teachers": "paradigm",
    "student": "paradigm",
    "objectives": "objective",
    "also_measured": "objective",
    "texts": "text",
}
"""What kind of class a setting takes."""
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "dict": "a mapping",
    "list": "a list",
}


def refusal(text: str, options: Mapping[str, object]) -> LabError:
    """An error that a user can act on.

    Args:
        text: the parser's own words, which go through every alternative of every type.
        options: all options of the command line, such as ``--data.k``.
    """
    key = ".".join(re.findall(r'Parser key "([^"]+)"', text))
    return (
        _unknown_option(text, options)
        or _class(text, key)
        or _wrong_type(text, key)
        or LabError(f"settings cannot be used. {text}")
    )


def _unknown_option(text: str, options: Mapping[str, object]) -> LabError | None:
    known = [name.removeprefix("--") for name in options]
    more = "`prompt-lab fit --help` lists them all."
    if found := re.search(r"[Uu]nrecognized arguments: --?([^\s=]+)", text):
        return unknown("setting", found[1], known, more=more)
    if found := re.search(r"Group '(\S+)' does not accept option '(\S+)'", text):
        return unknown("setting", f"{found[1]}.{found[2]}", known, more=more)
    if found := re.search(r"Option '(\S+)' is not accepted", text):
        owners = re.findall(r"given class_path '(\S+)'", text)
        if not owners:
            return unknown("setting", found[1], known, more=more)
        return unknown(f"setting of {owners[-1].rpartition('.')[2]}", found[1], _arguments(owners[-1]))
    return None


def _class(text: str, key: str) -> LabError | None:
    kind = _KINDS.get(key.rpartition(".")[2], "")
    if "is abstract" in text and kind:
        return LabError(f"name the class of {key} before its settings: --{key} with one of {', '.join(_classes(kind))}")
    if found := re.search(r"class_path '(\S+)':\s+the following arguments are required: (.*)", text):
        return LabError(f"{key}: {found[1].rpartition('.')[2]} needs {found[2]}")
    if found := re.search(r"dot import path string: (\S+)", text):
        return unknown("class", found[1], _classes(kind), more="A class of your own is given as my_module.MyClass.")
    given = re.findall(r"Given value: (\S+)", text)
    if found := re.search(r"No module named .*|module '\S+' has no attribute .*", text):
        return LabError(f"{key}: cannot import {given[0]}: {found[0]}")
    if found := re.search(r"not correspond to a subclass of (\w+)", text):
        return LabError(f"{key}: {given[0]} is no class derived from {found[1]}")
    return None


def _wrong_type(text: str, key: str) -> LabError | None:
    expected = [_in_words(e) for e in re.findall(r"Expected an? (<class '\w+'>|typing\.Literal\[.*?\])", text)]
    given = re.findall(r"(?:Got value|Given value): (.*)", text)
    wanted = list(dict.fromkeys(w for w in expected if w))
    if not (key and wanted and given):
        return None
    return LabError(f"{key} must be {' or '.join(wanted)}; it was {given[0]!r}")


def _in_words(expected: str) -> str:
    """``<class 'int'>`` or ``typing.Literal['a', 'b']`` for people; empty for null, which is never what was meant."""
    if found := re.search(r"class '(\w+)'", expected):
        return "" if found[1] == "NoneType" else _TYPES.get(found[1], found[1])
    return " or ".join(re.findall(r"'([^']*)'", expected))


def _arguments(path: str) -> Iterable[str]:
    module, _, name = path.rpartition(".")
    return inspect.signature(getattr(importlib.import_module(module), name)).parameters


def _classes(kind: str) -> Iterator[str]:
    found = discovery.entries(kind).values() if kind else discovery.classes()
    yield from (entry.attribute for entry in found)
