"""Progress on the terminal: one bar for a grid of runs, one for the run in flight."""

import time
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_SECONDS = 15.0
"""Where the output is no terminal, how long between two lines about the run in flight."""


class Bars:
    """Shows how far a grid and its current run are.

    Args:
        cells: runs in the grid; 0 for a single run without a grid.
        console: where to write; the error stream by default, so that tables can be piped.
    """

    def __init__(self, cells: int = 0, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
            console=self.console, transient=True, disable=not self.console.is_terminal,
        )  # fmt: skip
        self._cells = self._bars.add_task("runs", total=cells) if cells else None
        self._run: Any = None
        self._said = 0.0
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def silent(self) -> "Bars":
        """Bars of a run beside the one that is shown: what it says is seen, how far it is is not."""
        beside = _Silent(console=self.console)
        beside._told = self._told
        return beside

    def say_once(self, line: str) -> None:
        """A line that stays, and is not repeated by the next run."""
        if line not in self._told:
            self._told.add(line)
            self.say(line)

    def say(self, line: str) -> None:
        """A line that stays."""
        self.console.print(line, highlight=False, soft_wrap=True)

    def begin(self, what: str, total: int | None) -> None:
        """Start the run's bar anew; ``total`` is None where nobody knows it yet."""
        if self._run is not None:
            self._bars.remove_task(self._run)
        self._run = self._bars.add_task(what, total=total)
        self._said = time.monotonic()

    def advance(self) -> None:
        """One step of the run."""
        if self._run is None:
            return
        self._bars.advance(self._run)
        if not self.console.is_terminal and time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            task = self._bars.tasks[self._bars.task_ids.index(self._run)]
            of = "" if task.total is None else f"/{task.total:.0f}"
            self.say(f"  {task.description} {task.completed:.0f}{of}")

    def cell_done(self) -> None:
        """One run of the grid."""
        if self._cells is not None:
            self._bars.advance(self._cells)


class _Silent(Bars):
    """Says, but shows no bars."""

    def begin(self, what: str, total: int | None) -> None:
        """Nothing is shown."""

    def advance(self) -> None:
        """Nothing is shown."""
