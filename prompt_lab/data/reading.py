"""A task's texts: read once, cleaned, kept."""

from functools import lru_cache
from pathlib import Path

from prompt_lab.batch import Example
from prompt_lab.data.cleaning import clean
from prompt_lab.stamps import Stamps, stamps
from prompt_lab.tasks import Split, load_task
from prompt_lab.tasks.files import Files


def read(task: str, files: Files | None) -> tuple[dict[Split, list[Example]], dict[str, int]]:
    """A task's texts, cleaned, and what cleaning removed; read once, and again when the files that are named have changed.

    Raises:
        LabError: the source cannot be had, or a row is unusable.
    """
    named: list[str | Path] = [
        *([] if files is None else files.named().values()),
        *([task] if task.endswith(".py") else []),
    ]
    return _read(task, files, stamps(named))


@lru_cache(maxsize=16)
def _read(task: str, files: Files | None, as_written: Stamps) -> tuple[dict[Split, list[Example]], dict[str, int]]:
    loaded = load_task(task)
    source = files or loaded.source
    return clean(source.read(loaded), strict=files is not None, allow_overlap=bool(files and files.allow_overlap))
