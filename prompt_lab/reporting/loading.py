"""Finished runs below a folder: their records, their tests, what failed, and what is wrong with the rest."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_lab.errors import LabError, listed
from prompt_lab.reporting import files
from prompt_lab.reporting.comparable import Record

if TYPE_CHECKING:
    from prompt_lab.reporting.outcomes import Outcome

Failure = Mapping[str, Any]
"""A cell that failed, as its ``failed.json`` holds it: paradigm, task, backbone, k, split_seed, error."""
_NEEDED = {"paradigm", "task", "backbone", "k", "split_seed", "error"}


@dataclass(frozen=True)
class Loaded:
    """What lies below a folder.

    Attributes:
        records: of the runs that can be used.
        outcomes: what they said of every test item; runs without stored predictions have none.
        failures: runs that failed and have not been finished since.
        problems: what was left out, and why, a line each.
    """

    records: Sequence[Record] = ()
    outcomes: Sequence["Outcome"] = ()
    failures: Sequence[Failure] = ()
    problems: Sequence[str] = ()


def load(folder: Path) -> Loaded:
    """Read everything that is finished or has failed below a folder. One file that cannot be read does not stop the others.

    A run is left out if its record cannot be read, or if its predictions cannot or do not give the recorded score. A run whose
    predictions were never stored is kept: its score is known, and no more.

    Raises:
        LabError: there is no such folder, or it has records of which none can be used.
    """
    if not folder.is_dir():
        raise LabError(f"no such folder: {folder}. Name the one that was given to --out, runs by default.")
    records, outcomes, problems = list[Record](), list["Outcome"](), list[str]()
    for path in sorted(folder.rglob(files.RECORD)):
        try:
            record, outcome = _run(path)
        except LabError as error:
            problems.append(str(error))
        else:
            records.append(record)
            outcomes += [] if outcome is None else [outcome]
    if problems and not records:
        raise LabError(listed(f"no run below {folder} can be reported", problems))
    failures, broken = _failures(folder)
    return Loaded(records, outcomes, failures, problems + broken)


def counted(failures: Sequence[Failure]) -> str:
    """How many runs failed, before they are listed."""
    return "1 run failed:" if len(failures) == 1 else f"{len(failures)} runs failed:"


def cell(failure: Failure) -> str:
    """Where a run failed."""
    place = f"{failure['task']} · {failure['backbone']} · K = {failure['k']}"
    return f"{place} · {failure['paradigm']} · seed {failure['split_seed']}"


def first_line(failure: Failure) -> str:
    """The error's first line that says something."""
    return next((line.strip() for line in str(failure["error"]).splitlines() if line.strip()), "no message")


def _run(path: Path) -> tuple[Record, "Outcome | None"]:
    if not (path.parent / files.PREDICTIONS).exists():
        return files.read_record(path), None
    files.read_record(path)  # a broken record is told from broken predictions without importing anything heavy
    from prompt_lab.reporting.outcomes import read_outcome

    outcome = read_outcome(path.parent)
    return outcome.record, outcome


def _failures(folder: Path) -> tuple[list[Failure], list[str]]:
    found, problems = list[Failure](), list[str]()
    for path in sorted(folder.rglob(files.FAILURE)):
        try:
            failure = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(failure, dict):
                raise ValueError("it is no JSON object")
            if missing := _NEEDED - set(failure):
                raise ValueError(f"it lacks {sorted(missing)}")
            found.append(failure)
        except (OSError, ValueError) as error:
            problems.append(
                f"the note of a failure {path} cannot be read ({error}). Run that cell again, or delete its folder."
            )
    return found, problems
