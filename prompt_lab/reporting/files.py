"""Files that are whole or not there, and records that are checked when they are read."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from prompt_lab.errors import LabError
from prompt_lab.reporting import schema
from prompt_lab.trees import difference, identity

RECORD, FAILURE = "record.json", "failed.json"
PREDICTIONS, EXAMPLES, STAGES = "predictions.jsonl", "examples.jsonl", "stages.jsonl"
"""What a run's folder holds."""


class OtherSettings(LabError):
    """A folder holds a finished run that another one would overwrite."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well: readers see all of it or nothing.

    Raises:
        LabError: the folder cannot be written to, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
    except OSError as error:
        raise _unwritable(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.umask(mask := os.umask(0o077))
        temporary.chmod(0o666 & ~mask)  # as any other file: mkstemp makes one for its owner alone
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write JSON lines atomically."""
    with atomic(path) as temporary:
        temporary.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")


def write_tensors(path: Path, tensors: Mapping[str, Any], said: Mapping[str, str]) -> None:
    """Write a safetensors file atomically.

    Args:
        path: the file.
        tensors: by name.
        said: its metadata.

    Raises:
        LabError: the folder cannot be written to, or the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with atomic(path) as temporary:
        try:
            save_file(dict(tensors), temporary, dict(said))
        except SafetensorError as error:  # its own word for a full disk
            raise OSError(str(error)) from error


def check_writable(folder: Path) -> None:
    """Fail before any work if results could not be stored in the folder."""
    with atomic(folder / ".writable") as temporary:
        temporary.write_text("x")
    (folder / ".writable").unlink(missing_ok=True)


def lock(folder: Path) -> FileLock:
    """The lock of a run's folder: whoever holds it computes that run. It is gone with its process, however that ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise _unwritable(folder, error) from error
    return FileLock(folder / ".lock")


def inside(below: Path, path: Path) -> Path:
    """The place of a path below a folder as if that were the root; one above the current folder stays below it, too."""
    return below.joinpath(*(part for part in path.relative_to(path.anchor).parts if part != ".."))


def sweep(folder: Path) -> None:
    """Remove what writes left in a folder whose process was killed; only for who holds its lock."""
    for path in folder.glob(".*.*"):
        path.unlink(missing_ok=True)


def read_record(path: Path) -> dict[str, Any]:
    """A finished run's record; one of an older schema as it would be written now.

    Raises:
        LabError: it is no JSON, of an unknown schema, or a part of it is missing or of another type.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("it is no JSON object")
        record = schema.today(record)
        schema.check(record)
    except (OSError, ValueError) as error:
        raise LabError(
            f"the record {path} cannot be read ({error}). Delete its folder to run this cell again."
        ) from error
    return record


def cell_folder(out: str, task: str, name: str, backbone: str, k: int | str, seed: int) -> Path:
    """``<out>/<task>/<paradigm>/<backbone>/k<K>/seed<S>``; a backbone's path or hub id becomes one name.

    Raises:
        LabError: the run's name cannot be that of a folder.
    """
    if name in ("", ".", "..") or "/" in name:
        raise LabError(f"a run's name becomes that of a folder; {name!r} cannot be one")
    return Path(out, task, name, backbone.strip("./").replace("/", "--"), f"k{k}", f"seed{seed}")


def finished(
    folder: Path, settings: Mapping[str, Any], config: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """The record of a run that is already there, or None.

    Args:
        folder: the run's.
        settings: what was given, as ``trees.identity`` leaves it.
        config: all settings with their defaults. Where it is known, it settles whether two runs that were written
            differently are the same.

    Raises:
        OtherSettings: the folder holds a run with other settings; results are never overwritten.
        LabError: its record is corrupt.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    record = read_record(path)
    if config is not None and identity(record.get("config", {})) == identity(config):
        return record
    if differing := list(difference(record["settings"], settings)):
        raise OtherSettings(
            f"{folder} holds a finished run with other settings ({'; '.join(differing[:3])}). "
            "Give this one another --name or --out, or delete that folder."
        )
    return record


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Every record below a folder, in the order of their paths."""
    return [read_record(p) for p in sorted(folder.rglob(RECORD))]


def read_records_loudly(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Every record below a folder that can be read, in the order of their paths, and what is wrong with the others."""
    records, problems = [], []
    for path in sorted(folder.rglob(RECORD)):
        try:
            records.append(read_record(path))
        except LabError as error:
            problems.append(str(error))
    return records, problems


def _unwritable(path: Path, error: OSError) -> LabError:
    return LabError(
        f"cannot write {path}: {error.strerror or error}. Free some space or choose another folder with --out."
    )
