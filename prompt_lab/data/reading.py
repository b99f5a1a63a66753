"""A task's texts: read once, cleaned, kept."""

from functools import lru_cache

from prompt_lab.batch import Example
from prompt_lab.data.cleaning import clean
from prompt_lab.tasks import Split, load_task
from prompt_lab.tasks.files import Files


@lru_cache(maxsize=16)
def read(task: str, files: Files | None) -> tuple[dict[Split, list[Example]], dict[str, int]]:
    """A task's texts, cleaned, and what cleaning removed; read once.

    Raises:
        LabError: the source cannot be had, or a row is unusable.
    """
    loaded = load_task(task)
    source = files or loaded.source
    return clean(source.read(loaded), strict=files is not None, allow_overlap=bool(files and files.allow_overlap))
