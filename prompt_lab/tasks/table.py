"""A task's texts from one file as it is: columns by the names they have there, and a part of it held out for the test."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompt_lab.batch import Example
from prompt_lab.errors import LabError, listed
from prompt_lab.tasks.base import Split, Task
from prompt_lab.tasks.files import rows

LABEL = "label"
"""What the label's column stands for, beside the task's fields."""


@dataclass(frozen=True)
class Table:
    """A file (CSV, TSV, JSON lines or Parquet) whose columns have names of their own; `prompt-lab new task` writes such sources.

    Rows without a label or with an empty text are left out, as they are of hub data sets. A test that is held out is the first
    texts of each label by ``Example.key``, a hash of the text: it does not depend on the order of the file, and no text stands on
    both sides.

    Attributes:
        train: the file.
        columns: the file's column to our field; the label's column to ``label``.
        test: a second file with the same columns, or the share of each label's texts that is held out.
    """

    train: str
    columns: Mapping[str, str]
    test: str | float = 0.3

    def __post_init__(self) -> None:
        if not isinstance(self.test, str) and not 0 < self.test < 1:
            raise LabError(f"test is a file, or the share that is held out, above 0 and below 1; it was {self.test!r}")

    def read(self, task: Task) -> dict[Split, list[Example]]:
        """``train`` and ``test``.

        Raises:
            LabError: a file is missing, of an unknown kind or corrupt, or has unusable rows: a missing column, an unknown label,
                a broken line. All are counted, the first few listed with file and line.
        """
        examples = self._examples(Path(self.train), task)
        if isinstance(self.test, str):
            return {"train": examples, "test": self._examples(Path(self.test), task)}
        held = held_out(examples, len(task.labels), self.test)
        return {
            "train": [e for e in examples if e.key not in held],
            "test": [e for e in examples if e.key in held],
        }

    def _examples(self, path: Path, task: Task) -> list[Example]:
        found: list[Example] = []
        problems: list[str] = []
        for line, row in rows(path, list(self.columns)):
            where = f"{path}:{line}"
            try:
                if isinstance(row, LabError):
                    raise row
                found += self._example(row, task, where)
            except LabError as error:
                problems.append(f"{where}: {error}")
        if problems:
            raise LabError(listed(f"{path} cannot be used", problems))
        if not found:
            raise LabError(f"{path} holds no row with a label and a text")
        return found

    def _example(self, row: Mapping[str, Any], task: Task, where: str) -> Iterator[Example]:
        """The row, unless its label or a text is missing."""
        values = {ours: written(row.get(theirs)) for theirs, ours in self.columns.items()}
        if all(values.values()):
            yield Example({name: values[name] for name in task.fields}, task.label_index(values[LABEL], where), where)


def written(value: Any) -> str:
    """A cell as text; empty where there is none."""
    if value is None or value != value:  # a number that is none, as pandas writes a missing one
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def held_out(examples: list[Example], labels: int, share: float) -> set[str]:
    """The keys of the texts that are held out: that share of each label, at least one where there are two."""
    held: set[str] = set()
    for label in range(labels):
        keys = sorted({e.key for e in examples if e.label == label})
        held |= set(keys[: max(int(share * len(keys)), int(len(keys) > 1))])
    return held
