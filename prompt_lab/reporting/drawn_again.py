"""The examples that a run drew, read back from its folder, and whether they are those of its record."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompt_lab.batch import Example
from prompt_lab.data.sampling import fingerprint
from prompt_lab.errors import LabError
from prompt_lab.reporting import files
from prompt_lab.tasks.poles import Bounds, placed

_BESIDE = {"split", "key", "label", "value", "origin"}
"""What a line holds beside the text fields."""


@dataclass(frozen=True)
class Drawn:
    """Examples of a run.

    Attributes:
        path: their file.
        train: what it learned from.
        validation: what it validated on.
        labels: label names by class index.
    """

    path: Path
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    labels: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Computed from the texts and labels of the file."""
        return fingerprint(self.train, self.validation)

    def counts(self, examples: Sequence[Example]) -> dict[str, int]:
        """How many there are of each label."""
        found = Counter(example.label for example in examples)
        return {label: found[c] for c, label in enumerate(self.labels)}


def drawn_again(folder: Path, labels: Sequence[str], bounds: Bounds | None) -> Drawn:
    """The examples in a run's folder.

    Args:
        folder: the run's.
        labels: label names by class index.
        bounds: the numbers of the two labels, for a task that has them.

    Raises:
        LabError: their file is missing or corrupt.
    """
    path = folder / files.EXAMPLES
    found: dict[str, list[Example]] = {"train": [], "validation": []}
    try:
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line:
                row = json.loads(line)
                found[row["split"]].append(_example(row, labels, bounds))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"the examples {path} cannot be read ({type(error).__name__}: {error})") from error
    return Drawn(path, tuple(found["train"]), tuple(found["validation"]), tuple(labels))


def _example(row: Mapping[str, Any], labels: Sequence[str], bounds: Bounds | None) -> Example:
    fields = {name: text for name, text in row.items() if name not in _BESIDE}
    if bounds is None:
        return Example(fields, labels.index(row["label"]), row["origin"])
    label, soft = placed(row["value"], bounds)
    return Example(fields, label, row["origin"], soft)
