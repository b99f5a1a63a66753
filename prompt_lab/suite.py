"""Runs the cells of a grid: skips what is finished, runs the rest in one process, and shares it with other processes."""

import gc
import json
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
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


AT_ONCE = 8
"""How many cells run side by side, where they can."""


def run(cells: Sequence[Cell], bars: "Bars", at_once: int = AT_ONCE) -> Outcome:
    """Run what is not finished. One failing cell is recorded as failed, and the rest goes on; Ctrl-C stops cleanly.

    Args:
        cells: of the grid.
        bars: where progress is shown.
        at_once: how many may run side by side; 1 for one after the other.

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
        for group in _groups(waiting, at_once):  # first what is free, then what another process has in hand
            waiting = [c for c in waiting if c not in _attempt(group, bars, outcome)]
        for cell in waiting:
            bars.say(f"waiting for {cell.title}, which another process has in hand")
            _attempt([cell], bars, outcome, wait=True)
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


def _groups(cells: Sequence[Cell], at_once: int) -> list[list[Cell]]:
    if at_once < 2 or len(cells) < 2:
        return [[cell] for cell in cells]
    from prompt_lab import together

    return together.groups(cells, at_once)


def _attempt(group: Sequence[Cell], bars: "Bars", outcome: Outcome, *, wait: bool = False) -> list[Cell]:
    """Run cells, side by side if they are several, unless another process does; those that are done with."""
    held: list[Cell] = []
    with ExitStack() as locks:
        for cell in group:
            try:
                locks.enter_context(files.lock(cell.folder).acquire(timeout=-1 if wait else 0))
            except Timeout:
                continue
            held.append(cell)
        waiting = [c for c in held if not c.finished()]
        outcome.skipped += len(held) - len(waiting)
        _execute(waiting, bars, outcome)
    for _ in held:
        bars.cell_done()
    return held


def _execute(cells: Sequence[Cell], bars: "Bars", outcome: Outcome) -> None:
    """Run cells side by side, and those that fail so, such as for lack of memory, once more by themselves."""
    from prompt_lab import running, together

    alone = list(cells)
    if len(cells) > 1:
        found = together.execute([c.settings.experiment() for c in cells], bars)
        for cell, one in zip(cells, found, strict=True):
            if isinstance(one, Exception):
                bars.say(f"{cell.title}: failed beside others, runs again alone: {one}")
            else:
                alone.remove(cell)
                _tell(cell, one, bars, outcome)
        gc.collect()
    for cell in alone:
        with _recorded_failure(cell, bars, outcome):
            _tell(cell, running.execute(cell.settings.experiment(), bars), bars, outcome)
        gc.collect()  # modules and trainers refer to each other: without this, a dozen models pile up before Python looks


def _tell(cell: Cell, record: Tree, bars: "Bars", outcome: Outcome) -> None:
    outcome.ran += 1
    score, seconds = record["scores"][record["metric"]], record["cost"]["seconds"]["total"]
    bars.say(f"{cell.title}: {record['metric']} {score:.3f} in {seconds:.1f} s")


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
