"""The command that makes a run again, from the settings in its record."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any


def flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their dotted names, a class before what it is made with."""
    for name, value in settings.items():
        path = f"{above}{name}"
        if not isinstance(value, Mapping):
            yield path, value
        elif "class_path" in value:
            yield path, value["class_path"]
            yield from flat(value.get("init_args") or {}, f"{path}.init_args.")
        else:
            yield from flat(value, f"{path}.")


def command(record: Mapping[str, Any], out: str) -> str:
    """The words of `prompt-lab fit` that give the settings of a record, quoted for a shell.

    Args:
        record: of a run that was made from settings.
        out: folder of the results.
    """
    words = ["prompt-lab", "fit"]
    for name, value in flat(record["settings"]):
        words += [f"--{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]
    if (called := record.get("config", {}).get("name")) is not None:
        words += ["--name", called]
    return shlex.join([*words, "--out", out])
