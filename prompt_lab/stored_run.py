"""A finished run, read back from its folder: its settings as an experiment, and the examples that it drew."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompt_lab import settings
from prompt_lab.batch import Example
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.data.sampling import Draw
from prompt_lab.errors import LabError
from prompt_lab.experiment import Experiment
from prompt_lab.reporting import delta, files
from prompt_lab.selection.candidates import settings_of
from prompt_lab.tasks import Task
from prompt_lab.tasks.poles import placed

_SHOWN = 3


@dataclass(frozen=True)
class StoredRun:
    """What a run's folder says of it. Neither texts of its task nor weights have been read.

    Attributes:
        folder: the run's.
        record: what came out.
        experiment: made anew from the record's settings.
    """

    folder: Path
    record: Mapping[str, Any]
    experiment: Experiment

    @property
    def task(self) -> Task:
        """What the run learnt."""
        return self.experiment.data.task

    def data(self) -> "StoredData":
        """Its data module, with the examples that it drew."""
        given = {**self.experiment.config["data"], "files": None}
        return StoredData(self.folder / files.EXAMPLES, str(self.record["data"]["fingerprint"]), **given)


class StoredData(FewShotData):
    """The data of a finished run. What was drawn is read from the run's folder when it is asked for, and the task's texts never are.

    Args:
        examples: the run's file of them.
        fingerprint: of the examples, from the run's record.
        settings: the run's own.
    """

    def __init__(self, examples: Path, fingerprint: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._examples, self._fingerprint = examples, fingerprint

    @property
    def drawn(self) -> Draw:
        """The training and validation examples of the run; without unlabelled texts, which it does not keep.

        Raises:
            LabError: their file is missing or corrupt, or holds others.
        """
        if self._draw is None:
            draw = self._read()
            if draw.fingerprint != self._fingerprint:
                raise self._unusable("they are not those of the record")
            self._draw = draw
        return self._draw

    def _read(self) -> Draw:
        found: dict[str, list[Example]] = {"train": [], "validation": []}
        try:
            for line in self._examples.read_text(encoding="utf-8").split("\n"):
                if line:
                    row = json.loads(line)
                    found[row["split"]].append(self._example(row))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._unusable(f"{type(error).__name__}: {error}") from error
        return Draw(tuple(found["train"]), tuple(found["validation"]), ())

    def _example(self, row: Mapping[str, Any]) -> Example:
        fields = {name: row[name] for name in self.task.fields}
        if self.task.bounds is None:
            return Example(fields, self.task.label_index(row["label"], str(self._examples)), row["origin"])
        label, soft = placed(row["value"], self.task.bounds)
        return Example(fields, label, row["origin"], soft)

    def _unusable(self, why: str) -> LabError:
        return LabError(
            f"the examples {self._examples}, which this run shows beside every text, cannot be used ({why}). Run it again."
        )


def read_run(folder: Path) -> StoredRun:
    """A finished run; its folder, or the record in it, is given.

    Raises:
        LabError: it is not finished or its record is corrupt; its settings cannot be used; what it learnt was not kept.
    """
    folder = folder.parent if folder.name == files.RECORD else folder
    if not (folder / files.RECORD).is_file():
        raise LabError(f"{folder} is no finished run: it holds no {files.RECORD}. {_where(folder)}")
    record = files.read_record(folder / files.RECORD)
    if not record.get("config"):
        raise LabError(
            f"the run {folder} was made in Python, and its record holds no settings to make its paradigm from. Use the paradigm "
            "itself, and prompt_lab.reporting.delta.load."
        )
    with of_run(folder):
        experiment = settings.parse_tree(settings_of(record)).experiment()
    had, has = list(record["recall_per_class"]), list(experiment.data.task.labels)
    if had != [label for label in has if label in had]:
        raise LabError(
            f"the run {folder} learnt the labels {had}, and its task now has {has}. Put the task's file back as it was."
        )
    stored = record["cost"].get("stored_bytes", 0)
    if stored and not (folder / delta.FILE).is_file():
        why = "it is missing" if experiment.run.save_model else "it was run with save_model: false"
        raise LabError(
            f"the run {folder} learnt {stored:,} bytes of parameters, which should be in its {delta.FILE}, but {why}. Delete the "
            "folder and run it again with --save_model true."
        )
    return StoredRun(folder, record, experiment)


@contextmanager
def of_run(folder: Path) -> Iterator[None]:
    """Say which run it was that an error is about."""
    try:
        yield
    except LabError as error:
        raise LabError(f"the run {folder} cannot be used: {error}") from error


def _where(folder: Path) -> str:
    """Where finished runs are, in or below a folder."""
    below = [str(p.parent) for p in sorted(folder.rglob(files.RECORD))][: _SHOWN + 1] if folder.is_dir() else []
    if not below:
        return "A run's folder is that of the record that `prompt-lab fit` prints."
    more = " …" if len(below) > _SHOWN else ""
    return f"There are runs below it: {', '.join(below[:_SHOWN])}{more}"
