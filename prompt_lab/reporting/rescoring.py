"""Scores of finished runs computed again, from nothing but their stored predictions."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from prompt_lab.errors import LabError
from prompt_lab.reporting import files
from prompt_lab.reporting.outcomes import Outcome, read_outcome, recomputed

TOLERANCE = 1e-5
"""Scores are recorded with six digits."""


@dataclass(frozen=True)
class Again:
    """A score of a run: as it stands in the record, and as its predictions give it.

    Attributes:
        name: such as ``test/acc``; of an earlier stage that was tested too, ``teacher 0: test/acc``.
        recorded: None where the record has no such score (one that was added to prompt_lab since).
        found: None where the predictions give no such score.
    """

    name: str
    recorded: float | None
    found: float | None

    @property
    def agrees(self) -> bool:
        """Whether they are the same to 1e-5; a score that was not recorded contradicts nothing."""
        if self.recorded is None:
            return True
        if self.found is None:
            return False
        return abs(self.recorded - self.found) <= TOLERANCE or (math.isnan(self.recorded) and math.isnan(self.found))


@dataclass(frozen=True)
class Rescored:
    """A run and its scores.

    Attributes:
        folder: the run's.
        metric: the score that is reported first.
        scores: of its test; empty where there is a problem.
        problem: why its scores could not be computed.
    """

    folder: Path
    metric: str = ""
    scores: tuple[Again, ...] = ()
    problem: str | None = None

    @property
    def differing(self) -> list[Again]:
        """The scores that are not as recorded."""
        return [one for one in self.scores if not one.agrees]

    @property
    def agrees(self) -> bool:
        """Whether everything is as recorded."""
        return self.problem is None and not self.differing


def rescore(folder: Path) -> list[Rescored]:
    """Every run in or below a folder, in the order of paths.

    Scores of the validation cannot be computed again: only predictions of the test are stored.

    Raises:
        LabError: there is no run.
    """
    folder = folder.parent if folder.name == files.RECORD else folder
    found = [_rescored(path.parent) for path in sorted(folder.rglob(files.RECORD))]
    if not found:
        raise LabError(
            f"there is no finished run in or below {folder}: no {files.RECORD} was found. Give a folder of results."
        )
    return found


def _rescored(folder: Path) -> Rescored:
    try:
        outcome = read_outcome(folder, compare=False)
        stages = list(_stages(outcome))
    except LabError as error:
        return Rescored(folder, problem=str(error))
    test = {name: value for name, value in outcome.record["scores"].items() if name.startswith("test/")}
    return Rescored(folder, str(outcome.record["metric"]), (*_again(test, outcome), *stages))


def _again(recorded: Mapping[str, float], outcome: Outcome, prefix: str = "") -> list[Again]:
    found = recomputed(outcome)
    return [Again(prefix + name, recorded.get(name), found.get(name)) for name in {**recorded, **found}]


def _stages(outcome: Outcome) -> Iterator[Again]:
    """Scores of the stages that were tested too, in the order in which they ran."""
    told = [stage for stage in outcome.record.get("stages", ()) if "scores" in stage]
    if not told:
        return
    path = outcome.folder / files.STAGES
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for stage, row in zip(told, rows, strict=True):
            logp_NC = np.array(row["log_probabilities"], dtype=np.float64)
            if logp_NC.shape != outcome.logp_NC.shape:
                raise ValueError(f"predictions of the shape {logp_NC.shape} for {outcome.logp_NC.shape}")
            yield from _again(stage["scores"], replace(outcome, logp_NC=logp_NC), f"{stage['name']}: ")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"the predictions of stages {path} cannot be used ({type(error).__name__}: {error}).") from error
