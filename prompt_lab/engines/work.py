"""What a worker does with a group of cells, and how its files come home."""

import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from prompt_lab import suite
from prompt_lab.errors import LabError
from prompt_lab.grid import Cell
from prompt_lab.progress import Bars
from prompt_lab.reporting import files
from prompt_lab.trees import Tree

_OTHER_FILES = 256
"""What a process has open beside the locks of cells."""
PASSED_ON = ("HF_", "WANDB_", "OMP_", "TOKENIZERS_")
"""What the names of environment variables begin with that workers get."""


@dataclass(frozen=True)
class Returned:
    """What came of a cell.

    Attributes:
        found: its record, or what is recorded of a failure.
        files: the contents of the run's folder, by path.
        said: lines for the terminal.
    """

    found: Tree
    files: Mapping[str, bytes]
    said: Sequence[str] = ()


def perform(group: Sequence[tuple[str, Tree]]) -> list[Returned]:
    """Run cells in this process, in a folder that is gone afterwards.

    Args:
        group: folder and settings of cells that can be run side by side.

    Returns:
        What came of each, in their order.
    """
    cells = [Cell(Path(folder), tree) for folder, tree in group]
    found: dict[Cell, Returned] = {}
    with tempfile.TemporaryDirectory(prefix="prompt-lab-") as below:
        bars = _Said(f"{below}/", cells[0].folder.anchor)
        for cell, one in suite.executed(cells, bars, Path(below)):
            said, bars.said = bars.said, []
            if isinstance(one, Exception):
                found[cell] = Returned(suite.failure(cell, one), {}, said)
            else:
                found[cell] = Returned(one, _contents(files.inside(Path(below), cell.folder)), said)
    return [found[cell] for cell in cells]


class Remote(ABC):
    """A place where workers run cells; this process hands them out and stores what comes back."""

    @abstractmethod
    def results(self, groups: Sequence[Sequence[tuple[str, Tree]]]) -> Iterator[tuple[int, list[Returned] | LabError]]:
        """Have ``perform`` done for each group: its number and what came of it, or why it was lost, as soon as it is there."""

    def run(self, groups: Sequence[Sequence[Cell]], bars: Bars, outcome: suite.Outcome) -> Collection[Cell]:
        """Run what no other process has in hand; the cells that are done with."""
        _allow_open(sum(map(len, groups)))
        done: set[Cell] = set()
        given: list[list[Cell]] = []
        locks: list[ExitStack] = []
        with ExitStack() as all_locks:
            for group in groups:
                own = all_locks.enter_context(ExitStack())
                free, waiting = own.enter_context(suite.held(group, outcome))
                done.update(free)
                for _ in range(len(free) - len(waiting)):
                    bars.cell_done()
                if waiting:
                    given.append(waiting)
                    locks.append(own)
            told = [[(str(cell.folder), dict(cell.tree)) for cell in cells] for cells in given]
            for number, found in self.results(told):
                cells = given[number]
                lost = [Returned(suite.failure(c, found), {}) for c in cells] if isinstance(found, LabError) else found
                for cell, one in zip(cells, lost, strict=True):
                    _store(cell.folder, one)
                    for line in one.said:
                        bars.say(line)
                    suite.tell(cell, one.found, bars, outcome)
                locks[number].close()
        return done


def _allow_open(locks: int) -> None:
    """Let this process have the lock of every cell open at a time, which may be more files than it is allowed by default.

    Raises:
        LabError: it may not have so many.
    """
    if sys.platform == "win32":
        return  # there is no such limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = locks + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise LabError(
                f"handing out {locks} runs takes a lock on each, and this process may have {hard} files open. Raise that limit "
                "(`ulimit -Hn`), or cut the suite in two."
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def environment() -> dict[str, str]:
    """The environment variables that workers get."""
    return {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}


class _Said(Bars):
    """Keeps the lines that would stand on the terminal.

    Args:
        below: the folder that the runs write below.
        root: what stands for it where they belong.
    """

    def __init__(self, below: str, root: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self._below, self._root = below, root

    def say(self, line: str) -> None:
        self.said.append(line.replace(self._below, self._root))

    def begin(self, what: str, total: int | None) -> None:
        """Nothing is shown."""

    def advance(self) -> None:
        """Nothing is shown."""


def _contents(folder: Path) -> dict[str, bytes]:
    """The files of a run, by path; without links and locks."""
    found = (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink() and p.name != ".lock")
    return {str(p.relative_to(folder)): p.read_bytes() for p in found}


def _store(folder: Path, returned: Returned) -> None:
    """Write the files of a run, its record last: where that stands, all the rest does."""
    for name, content in sorted(returned.files.items(), key=lambda one: one[0] == files.RECORD):
        with files.atomic(folder / name) as temporary:
            temporary.write_bytes(content)
    if returned.files:
        (folder / files.FAILURE).unlink(missing_ok=True)
