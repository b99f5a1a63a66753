"""What finished runs said of every test item, read back from their folders and checked against their records."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prompt_lab.errors import LabError
from prompt_lab.reporting import files
from prompt_lab.statistics import metrics
from prompt_lab.statistics.scored import Floats, Scored, Whole

TOLERANCE = 1e-4
"""A score that is recomputed differs by no more from the recorded one, which is rounded and was computed in 32 bits."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """A run's test.

    Attributes:
        keys: of the test items, the first 16 hex digits of the hash of their texts.
        labels: label names, in the order of the class index.
        label_N: [N] true class indices; where there are numbers, of the nearer pole.
        logp_NC: [N, C] log-probabilities of the labels.
        number_N: [N] the true numbers in the task's units, or None for a task without bounds.
        bounds: the numbers of the two poles, or None.
        record: the run's record.
        folder: the run's.
    """

    keys: tuple[str, ...]
    labels: tuple[str, ...]
    label_N: Whole
    logp_NC: Floats
    number_N: Floats | None
    bounds: tuple[float, float] | None
    record: Mapping[str, Any]
    folder: Path

    @property
    def metric(self) -> str:
        """The name of the task's score, such as ``acc``."""
        return str(self.record["metric"]).rpartition("/")[2]

    @property
    def right_N(self) -> Floats:
        """[N] 1 where the most probable label is the true one, and 0 elsewhere."""
        return metrics.item_values("acc", self)

    def score(self, index_N: Whole | None = None) -> float:
        """The task's score on all test items, or on a choice of them by number, in which an item may stand several times."""
        return metrics.score(self.metric, self, index_N)


def scored(outcomes: Sequence[Outcome]) -> Scored:
    """The runs of one method on one task, as statistics read them, ordered by split seed.

    No seed plays a role in runs with K = 0 that all say the same.

    Args:
        outcomes: one a seed.

    Raises:
        LabError: there is none, they were tested on other items, report other metrics, or have one seed twice.
    """
    check_items(outcomes)
    ordered = sorted(outcomes, key=lambda o: o.record["split_seed"])
    value_SN = np.stack([metrics.item_values(o.metric, o) for o in ordered])
    if all(o.record["k"] == 0 for o in ordered) and bool((value_SN == value_SN[0]).all()):
        return Scored(value_SN[:1])
    return Scored(value_SN, tuple(int(o.record["split_seed"]) for o in ordered))


def check_items(outcomes: Sequence[Outcome]) -> None:
    """Refuse outcomes that cannot be laid beside each other item by item.

    Raises:
        LabError: there is none, or two differ in their test items, in the order of these, or in the metric. The message names both.
    """
    if not outcomes:
        raise LabError("there are no outcomes to compare; finish some runs first")
    first = outcomes[0]
    for other in outcomes[1:]:
        for what, one, two in (("test items", first.keys, other.keys), ("metrics", first.metric, other.metric)):
            if one != two:
                raise LabError(
                    f"the runs {first.folder} and {other.folder} cannot be laid beside each other: their {what} differ. Keep them "
                    "apart, or delete one of the folders and run it again."
                )


def read_outcomes(folder: Path) -> list[Outcome]:
    """The outcome of every finished run below a folder, in the order of their paths.

    Raises:
        LabError: one cannot be used (see ``read_outcome``).
    """
    return [read_outcome(path.parent) for path in sorted(folder.rglob(files.RECORD))]


def read_outcomes_loudly(folder: Path) -> tuple[list[Outcome], list[str]]:
    """Every outcome below a folder that can be used, and what is wrong with the others."""
    found, problems = [], []
    for path in sorted(folder.rglob(files.RECORD)):
        try:
            found.append(read_outcome(path.parent))
        except LabError as error:
            problems.append(str(error))
    return found, problems


def read_outcome(folder: Path, *, compare: bool = True) -> Outcome:
    """A finished run's test, from its record and its stored predictions.

    Args:
        folder: the run's.
        compare: refuse predictions that do not give the recorded score.

    Raises:
        LabError: record or predictions are missing or corrupt, or do not belong together: unlike numbers of test items, a label
            that is not the most probable one, another score. The message names the file.
    """
    record, path = files.read_record(folder / files.RECORD), folder / files.PREDICTIONS
    try:
        outcome = _outcome(_rows(path), record, folder)
        complaint = _other_number(outcome) or (_other_score(outcome) if compare else None)
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise _unusable(path, f"{type(error).__name__}: {error}") from error
    if complaint:
        raise _unusable(path, complaint)
    return outcome


def _rows(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").strip("\n").split("\n")
    return json.loads(f"[{','.join(lines)}]")  # one call reads twice as fast as one a line


def _outcome(rows: Sequence[Mapping[str, Any]], record: Mapping[str, Any], folder: Path) -> Outcome:
    logp_NC = np.array([r["log_probabilities"] for r in rows], dtype=np.float64)
    if logp_NC.ndim != 2:
        raise ValueError(f"log-probabilities of the shape {logp_NC.shape}, not one a label for each of some items")
    labels = _labels(record, rows, logp_NC)
    index = {label: c for c, label in enumerate(labels)}
    numbered = "value" in rows[0]
    return Outcome(
        tuple(r["key"] for r in rows),
        labels,
        np.array([index[r["label"]] for r in rows]),
        logp_NC,
        np.array([r["value"] for r in rows], dtype=np.float64) if numbered else None,
        _bounds(logp_NC, np.array([r["predicted_value"] for r in rows])) if numbered else None,
        record,
        folder,
    )


def labels_of(record: Mapping[str, Any], classes: int | None = None) -> tuple[str, ...]:
    """Label names by class index: those that the record scores or, where some label has no test item, those of the task.

    Args:
        record: of a run.
        classes: how many there are, where that is known.

    Raises:
        LabError: the task that should name them is not there.
    """
    labels = tuple(record["recall_per_class"])
    if classes is None or len(labels) == classes:
        return labels
    from prompt_lab.tasks import load_task

    return load_task(str(record["settings"].get("data", {}).get("task", record["task"]))).labels


def _labels(record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], logp_NC: Floats) -> tuple[str, ...]:
    labels = labels_of(record, logp_NC.shape[1])
    said = [labels[c] for c in logp_NC.argmax(1)]
    if wrong := [r["key"] for r, label in zip(rows, said, strict=True) if r["predicted"] != label]:
        raise ValueError(f"the label said to be predicted is not the most probable one, first at the key {wrong[0]}")
    return labels


def _bounds(logp_NC: Floats, predicted_N: Floats) -> tuple[float, float]:
    """The numbers of the two poles, from the numbers that lie between them: y = v_l + (v_u - v_l) p(y_u | x).

    They are the roundest ones that give the stored numbers, which have nine digits. Where one number is said of all, no pole can be
    told from another, and none is needed: any two that it lies between will do.
    """
    share_N = np.exp(logp_NC[:, 1])
    if not np.ptp(share_N) > 0:
        return float(predicted_N[0] - share_N[0]), float(predicted_N[0] - share_N[0] + 1)
    slope, middle = np.polyfit(share_N - share_N.mean(), predicted_N, 1)
    exact = middle - slope * share_N.mean(), middle + slope * (1 - share_N.mean())
    near = 2e-8 * max(np.abs(predicted_N).max(), abs(slope))
    places = -int(np.floor(np.log10(abs(slope))))
    for digits in range(places, places + 8):
        lower, upper = (round(float(bound), digits) + 0.0 for bound in exact)  # + 0.0: -0.0 is written otherwise
        if np.abs(lower + (upper - lower) * share_N - predicted_N).max() <= near:
            return lower, upper
    return float(exact[0]), float(exact[1])


def _other_number(outcome: Outcome) -> str | None:
    """What is wrong where the record knows of more or fewer test items."""
    found = len(outcome.keys)
    said = outcome.record["data"].get("test", found)
    return None if found == said else f"{found} test items, but {said} in the record"


def _other_score(outcome: Outcome) -> str | None:
    """What is wrong where the predictions do not give the recorded score."""
    metric = outcome.record["metric"]
    said, found = float(outcome.record["scores"][metric]), outcome.score()
    if np.isclose(said, found, rtol=0, atol=TOLERANCE, equal_nan=True):
        return None
    again = recomputed(outcome)[metric]  # torchmetrics has the last word
    if np.isclose(said, again, rtol=0, atol=TOLERANCE, equal_nan=True):
        return None
    return f"they give {metric} {again:.4f}, but the record says {said:.4f}"


def recomputed(outcome: Outcome) -> dict[str, float]:
    """Every score of the test, by ``reporting/scores.py``, as the run itself computed it."""
    import torch

    from prompt_lab.reporting import regression, scores

    numbers = None
    if outcome.number_N is not None and outcome.bounds is not None:
        numbers = regression.Numbers(torch.from_numpy(outcome.number_N), outcome.bounds)
    logp_NC = torch.from_numpy(outcome.logp_NC).float()  # as it was before it was stored in 64 bits
    return scores.scores(logp_NC, torch.from_numpy(outcome.label_N), "test/", numbers)


def _unusable(path: Path, why: str) -> LabError:
    return LabError(f"the predictions {path} cannot be used ({why}). Delete the folder of this run and run it again.")
