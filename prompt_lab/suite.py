"""Runs the cells of a grid: skips what is finished, runs the rest in one process, and shares it with other processes."""

import gc
import json
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from filelock import Timeout

from prompt_lab.errors import LabError
from prompt_lab.grid import Cell
from prompt_lab.reporting import files
from prompt_lab.trees import Tree

if TYPE_CHECKING:
    from prompt_lab.experiment import Experiment
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


class Elsewhere(Protocol):
    """Runs cells on other machines."""

    def run(self, groups: Sequence[Sequence[Cell]], bars: "Bars", outcome: Outcome) -> Collection[Cell]:
        """Run what no other process has in hand; the cells that are done with."""


def run(cells: Sequence[Cell], bars: "Bars", at_once: int = AT_ONCE, elsewhere: Elsewhere | None = None) -> Outcome:
    """Run what is not finished. One failing cell is recorded as failed, and the rest goes on; Ctrl-C stops cleanly.

    Args:
        cells: of the grid.
        bars: where progress is shown.
        at_once: how many may run side by side; 1 for one after the other.
        elsewhere: where they run; in this process by default.

    Raises:
        LabError: a cell's settings cannot be used. Nothing has been run then.
    """
    outcome = Outcome()
    waiting = [c for c in cells if not c.finished()]
    outcome.skipped = len(cells) - len(waiting)
    for _ in range(outcome.skipped):
        bars.cell_done()
    if not waiting:
        return outcome
    try:
        _check(waiting, bars)
        with _settled():
            done = (elsewhere or _Here()).run(_groups(waiting, at_once), bars, outcome)
            for cell in waiting:
                if cell not in done:
                    bars.say(f"waiting for {cell.title}, which another process has in hand")
                    _Here(wait=True).run([[cell]], bars, outcome)
    except KeyboardInterrupt:
        outcome.stopped = True
    return outcome


@contextmanager
def _settled() -> Iterator[None]:
    """Let Python look for garbage, which it does after every run, only among what comes from now on.

    A million objects of imported modules are there by now: to look through them took a quarter of a second.
    """
    if gc.get_freeze_count():
        yield  # somebody else has thought of it, and will say when it ends
        return
    from prompt_lab import running, together  # noqa: F401 (what they import is not to be looked through either)

    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def failures(cells: Sequence[Cell]) -> list[Tree]:
    """What is recorded of the cells that failed."""
    found: list[Tree] = []
    for cell in cells:
        with suppress(FileNotFoundError):  # most have none; another process may have made a cell good just now
            found.append(json.loads((cell.folder / files.FAILURE).read_text(encoding="utf-8")))
    return found


def records(cells: Sequence[Cell]) -> list[Tree]:
    """The records of the cells that are finished."""
    paths = [c.folder / files.RECORD for c in cells]
    return [files.read_record(p) for p in paths if p.exists()]


def _check(cells: Sequence[Cell], bars: "Bars") -> None:
    """Refuse a grid with a cell that could not even start, before the first one runs."""
    bars.begin("check settings", len(cells))
    for cell in cells:
        try:
            _refuse_several(cell.settings.experiment().trainer)
        except LabError as error:
            raise LabError(f"{cell.title}: {error}") from error
        bars.advance()


def _refuse_several(trainer: Mapping[str, Any]) -> None:
    """Raise LabError for a trainer whose run takes several processes: Lightning would start the whole suite in each of them."""
    devices, nodes = trainer.get("devices", 1), trainer.get("num_nodes", 1)
    if str(devices) not in ("1", "auto") or str(nodes) != "1":
        raise LabError(
            f"a suite's runs take one device each; this one asks for trainer.devices {devices} and trainer.num_nodes {nodes}. Start "
            "`prompt-lab compare` once for every device, with one --out, or make this run by `prompt-lab fit`."
        )


def _groups(cells: Sequence[Cell], at_once: int) -> list[list[Cell]]:
    if at_once < 2 or len(cells) < 2:
        return [[cell] for cell in cells]
    from prompt_lab import together

    return together.groups(cells, at_once)


@contextmanager
def held(group: Iterable[Cell], outcome: Outcome, *, wait: bool = False) -> Iterator[tuple[list[Cell], list[Cell]]]:
    """The cells of a group that no other process has in hand while this lasts, and those among them that are not finished.

    Args:
        group: cells.
        outcome: counts those that another process has finished meanwhile.
        wait: until they are free.
    """
    free: list[Cell] = []
    with ExitStack() as locks:
        for cell in group:
            with suppress(Timeout):
                locks.enter_context(files.lock(cell.folder).acquire(timeout=-1 if wait else 0))
                free.append(cell)
        waiting = [c for c in free if not c.finished()]
        outcome.skipped += len(free) - len(waiting)
        for cell in free:
            files.sweep(cell.folder)
        yield free, waiting


def executed(cells: Sequence[Cell], bars: "Bars", below: Path | None = None) -> Iterator[tuple[Cell, Tree | Exception]]:
    """Run cells in this process, side by side if they are several; each with its record, or with what it failed with.

    Those that fail beside others, such as for lack of memory, run once more by themselves.

    Args:
        cells: that can be run side by side.
        bars: where progress is shown.
        below: put all that is written below this folder, and not where it belongs.
    """
    from prompt_lab import running, together

    def experiments(some: Sequence[Cell]) -> "list[Experiment]":
        return [replace(c.settings.experiment(), below=below) for c in some]

    alone = list(cells)
    if len(cells) > 1:
        found = together.execute(experiments(cells), bars)
        for cell, one in zip(cells, found, strict=True):
            if isinstance(one, Exception):
                bars.say(f"{cell.title}: failed beside others, runs again alone: {one}")
                _let_go(one)
            else:
                alone.remove(cell)
                yield cell, one
        del found
        gc.collect()
    for cell in alone:
        try:
            yield cell, running.execute(experiments([cell])[0], bars)
        except Exception as error:
            yield cell, error
        gc.collect()  # modules and trainers refer to each other: without this, a dozen models pile up before Python looks


def _let_go(error: BaseException) -> None:
    """Forget what the frames of an error hold, such as the model and the activations of a run for which memory was too small."""
    left: BaseException | None = error
    while left is not None:
        traceback.clear_frames(left.__traceback__)
        left = left.__context__  # which is its cause, too, where it has one


def failure(cell: Cell, error: Exception) -> Tree:
    """What is recorded of a cell that failed."""
    tree, data = cell.tree, cell.tree["data"]
    return {
        "task": cell.folder.parts[-5],
        "paradigm": tree["name"],
        "backbone": tree["backbone"],
        "k": data["k"],
        "split_seed": data["seed"],
        "error": f"{type(error).__name__}: {error}",
        "traceback": "".join(traceback.format_exception(error)),
        "settings": tree,
    }


def tell(cell: Cell, found: Tree, bars: "Bars", outcome: Outcome) -> None:
    """Count and say what a cell came to.

    Args:
        cell: of the grid.
        found: its record, which is stored already, or what ``failure`` says, which is stored here.
        bars: where it is said.
        outcome: where it is counted.
    """
    if "error" in found:
        outcome.failed += 1
        bars.say(f"{cell.title}: failed: {found['error'].partition(': ')[2]}")
        files.write_json(cell.folder / files.FAILURE, found)
    else:
        outcome.ran += 1
        score, seconds = found["scores"][found["metric"]], found["cost"]["seconds"]["total"]
        bars.say(f"{cell.title}: {found['metric']} {score:.3f} in {seconds:.1f} s")
    bars.cell_done()


@dataclass
class _Here:
    """Runs cells in this process, one group after the other."""

    wait: bool = False

    def run(self, groups: Sequence[Sequence[Cell]], bars: "Bars", outcome: Outcome) -> Collection[Cell]:
        done: set[Cell] = set()
        for group in groups:
            with held(group, outcome, wait=self.wait) as (free, waiting):
                for cell, found in executed(waiting, bars):
                    if isinstance(found, Exception):
                        tell(cell, failure(cell, found), bars, outcome)
                        _let_go(found)
                    else:
                        tell(cell, found, bars, outcome)
                for _ in range(len(free) - len(waiting)):
                    bars.cell_done()
                done.update(free)
        return done
