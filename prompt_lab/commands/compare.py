"""`prompt-lab compare`: run a grid, and show what came out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from prompt_lab import engines, grid, suite
from prompt_lab.errors import LabError
from prompt_lab.progress import Bars
from prompt_lab.reporting import files, report


def main(
    path: Path,
    out: str,
    more: Sequence[str] = (),
    *,
    dry_run: bool,
    shown: report.Shown = "scores",
    at_once: int = suite.AT_ONCE,
    on: engines.Name = "here",
    settings: Sequence[str] = (),
) -> int:
    """Run a suite and print a table of it; what is finished is not run again.

    Args:
        path: of the suite file.
        out: folder of all results.
        more: settings for all runs in place of the suite's, each ``KEY=VALUE``.
        dry_run: list the runs instead.
        shown: the columns of the table.
        at_once: how many runs may go side by side.
        on: where runs go.
        settings: of that place, each ``NAME=VALUE``.

    Raises:
        LabError: the suite, the place or a setting cannot be used.
    """
    elsewhere = engines.engine(on, dict(_pair(word, "--set cpus=4") for word in settings))
    cells = grid.expand(path, out, dict(_pair(word, "--with trainer.max_steps=20") for word in more))
    if dry_run:
        for cell in cells:
            print("finished" if cell.finished() else "to do   ", cell.title)
        return 0
    files.check_writable(Path(out))
    with Bars(len(cells)) as bars:
        outcome = suite.run(cells, bars, at_once, elsewhere)
    failures = suite.failures(cells)
    show(suite.records(cells), Path(out, "reports", path.stem), failures, shown)
    print(f"{outcome.skipped} finished before, {outcome.ran} run now, {outcome.failed} failed")
    if outcome.stopped:
        raise KeyboardInterrupt
    return 1 if failures else 0


def show(
    records: Sequence[dict[str, Any]], folder: Path, failures: Sequence[dict[str, Any]], shown: report.Shown = "scores"
) -> None:
    """Print a table of the comparison, and write all of it as Markdown, CSV and pictures."""
    if not records and not failures:
        print("no finished runs")
        return
    made = report.write(records, folder, failures)
    Console().print(made.terminal(shown))
    print("written:", ", ".join(map(str, made.paths)))


def _pair(text: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise LabError(f"{example.split()[0]} takes NAME=VALUE, such as {example}; it was given {text!r}")
    return name, value
