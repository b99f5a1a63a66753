"""Runs the cells of a grid: skips what is finished, runs the rest in one process, and shares it with other processes."""

import gc
import json
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import Timeout

from prompt_lab.errors import LabError
from prompt_lab.grid import Cell
from prompt_lab.reporting import files
from prompt_lab.trees import Tree

if TYPE_CHECKING:
    from prompt_lab.progress import Bars


@dataclass
class Outcome:
    """What running a suite came to: how many cells were there before, ran, failed, and whether it was stopped."""

    skipped: int = 0
    ran: int = 0
    failed: int = 0
    stopped: bool = False


def run(cells: Sequence[Cell], bars: "Bars") -> Outcome:
    """Run what is not finished. One failing cell is recorded as failed, and the rest goes on; Ctrl-C stops cleanly.

    Raises:
        LabError: a cell's settings cannot be used. Nothing has been run then.
    """
    outcome = Outcome()
    waiting = [c for c in cells if not c.finished()]
    outcome.skipped = len(cells) - len(waiting)
    for _ in range(outcome.skipped):
        bars.cell_done()
    try:
        _check(waiting)
        for wait in (False, True):  # first what is free, then what another process has in hand
            waiting = [c for c in waiting if not _attempt(c, bars, outcome, wait=wait)]
    except KeyboardInterrupt:
        outcome.stopped = True
    return outcome


def failures(cells: Sequence[Cell]) -> list[Tree]:
    """What is recorded of the cells that failed."""
    paths = [c.folder / files.FAILURE for c in cells]
    return [json.loads(p.read_text(encoding="utf-8")) for p in paths if p.exists()]


def records(cells: Sequence[Cell]) -> list[Tree]:
    """The records of the cells that are finished."""
    paths = [c.folder / files.RECORD for c in cells]
    return [files.read_record(p) for p in paths if p.exists()]


def _check(cells: Sequence[Cell]) -> None:
    """Refuse a grid with a cell that could not even start, before the first one runs."""
    for cell in cells:
        try:
            cell.settings.experiment()
        except LabError as error:
            raise LabError(f"{cell.title}: {error}") from error


def _attempt(cell: Cell, bars: "Bars", outcome: Outcome, *, wait: bool) -> bool:
    """Run a cell unless another process does; whether it is done with."""
    lock = files.lock(cell.folder)
    if wait:
        bars.say(f"waiting for {cell.title}, which another process has in hand")
    try:
        with lock.acquire(timeout=-1 if wait else 0):
            if cell.finished():
                outcome.skipped += 1
            else:
                _execute(cell, bars, outcome)
    except Timeout:
        return False
    bars.cell_done()
    return True


def _execute(cell: Cell, bars: "Bars", outcome: Outcome) -> None:
    from prompt_lab.running import execute

    with _recorded_failure(cell, bars, outcome):
        record = execute(cell.settings.experiment(), bars)
        outcome.ran += 1
        score = record["scores"][record["metric"]]
        bars.say(f"{cell.title}: {record['metric']} {score:.3f} in {record['cost']['seconds']['total']:.1f} s")
    gc.collect()  # modules and trainers refer to each other: without this, a dozen models pile up before Python looks


@contextmanager
def _recorded_failure(cell: Cell, bars: "Bars", outcome: Outcome) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        outcome.failed += 1
        bars.say(f"{cell.title}: failed: {error}")
        tree, data = cell.tree, cell.tree["data"]
        failure = {
            "task": cell.folder.parts[-5],
            "paradigm": tree["name"],
            "backbone": tree["backbone"],
            "k": data["k"],
            "split_seed": data["seed"],
            "error": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(),
            "settings": tree,
        }
        files.write_json(cell.folder / files.FAILURE, failure)
