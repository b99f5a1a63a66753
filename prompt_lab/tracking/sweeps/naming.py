"""What the runs of a sweep are called."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from prompt_lab.tracking.sweeps.space import Parameter

_PLAIN = re.compile(r"[\w+-][\w.+-]{0,30}")


def label(searched: Sequence[Parameter], settings: Mapping[str, Any]) -> str:
    """Settings in short, such as ``learning_rate=0.003`` or ``rank=8,learning_rate=0.003``.

    A value that cannot stand in a path, such as a pattern, is told by its place in the file's list: ``template=value1``.
    """
    return ",".join(f"{name}={_text(one, settings[one.name])}" for name, one in shorts(searched).items())


def shorts(searched: Sequence[Parameter]) -> dict[str, Parameter]:
    """The parameters by the ends of their names, or by the whole names where two end alike."""
    ends = [one.short for one in searched]
    return {one.short if ends.count(one.short) == 1 else one.name.replace(".", "_"): one for one in searched}


def _text(one: Parameter, value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if _PLAIN.fullmatch(text) else f"value{one.values.index(value)}"
