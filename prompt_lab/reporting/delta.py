"""What a run moved, as safetensors files that know which backbone they belong to: ``delta.safetensors``, and peft's own beside it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.reporting import adapters
from prompt_lab.reporting.files import write_tensors

FILE, PEFT = "delta.safetensors", "peft"
"""The file, and the folder beside it that holds a folder for each adapter of peft's."""


def save(path: Path, module: Paradigm) -> None:
    """Store the parameters that moved, with the backbone's name and revision.

    What peft put in is stored as peft does it, in ``peft/<adapter>`` beside the file, so that peft can load it; the file has all
    the rest, and the adapters' names.

    Raises:
        LabError: the folder cannot be written to, or the disk is full.
    """
    reader, found = module.backbone.reader, adapters.adapters(module)
    said = {"backbone": reader.name, "revision": reader.revision, "paradigm": type(module).__name__}
    adapters.write(path.parent / PEFT, module, said)
    elsewhere = {name for adapter in found.values() for name in adapters.names(module, adapter).values()}
    rest = {name: value for name, value in module.moved_state().items() if name not in elsewhere}
    state = {name: value.cpu().contiguous().clone() for name, value in rest.items()}
    write_tensors(path, state, {**said, "adapters": json.dumps(list(found))})


def load(path: Path, module: Paradigm) -> None:
    """Put stored parameters into a paradigm that was built with the same settings. Errors as ``read``, and as ``load_moved``."""
    module.load_moved(read(path, module))


def read(path: Path, module: Paradigm) -> dict[str, Tensor]:
    """What was stored of a paradigm that was built with the same settings, by the names of ``moved_state``.

    Raises:
        LabError: a file is corrupt or missing, or was made for another backbone or other settings.
    """
    state = _tensors(path, module)
    told = json.loads(made_for(path).get("adapters", "[]"))
    stored = {name: _tensors(path.parent / PEFT / name / adapters.WEIGHTS, module) for name in told}
    own = adapters.adapters(module)
    wrong = sorted(set(own) ^ set(stored))
    for adapter in set(own) & set(stored):
        known = adapters.names(module, own[adapter])
        wrong += sorted(set(own[adapter]) ^ set(stored[adapter]))
        state |= {known[name]: value for name, value in stored[adapter].items() if name in known}
    if wrong:
        raise LabError(
            f"the saved adapters in {path.parent / PEFT} are not those of this paradigm: {wrong[:3]} do not match. Was it made with "
            "other settings?"
        )
    return state


def files(folder: Path) -> list[Path]:
    """All files below a run's folder in which ``save`` stored what moved."""
    return [p for p in (folder / FILE, *sorted((folder / PEFT).rglob("*"))) if p.is_file()]


def made_for(path: Path) -> Mapping[str, str]:
    """What a file says of itself: the backbone and its revision, and the class of the paradigm whose parameters it holds.

    Raises:
        LabError: it is corrupt or missing.
    """
    with _opened(path) as stored:
        return stored.metadata() or {}


def _tensors(path: Path, module: Paradigm) -> dict[str, Tensor]:
    """Of a file that was made for the paradigm's backbone."""
    told, reader = made_for(path), module.backbone.reader
    if told.get("revision") != reader.revision:
        raise LabError(
            f"the checkpoint {path} was made for {told.get('backbone')} ({told.get('revision')}), "
            f"not for {reader.name} ({reader.revision})"
        )
    with _opened(path) as stored:
        return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as stored:
            yield stored
    except (OSError, SafetensorError) as error:
        raise LabError(
            f"the checkpoint {path} cannot be read ({error}). Delete its run's folder and run it again."
        ) from error
