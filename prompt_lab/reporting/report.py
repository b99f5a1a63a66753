"""The report of a comparison: a table as Markdown and CSV, pictures, and what failed, in one folder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompt_lab.errors import LabError
from prompt_lab.reporting import against_k, against_setting, picture, table
from prompt_lab.reporting.comparable import Record
from prompt_lab.reporting.files import atomic
from prompt_lab.reporting.rows import Row, rows

MARKDOWN, CSV, PICTURE = "comparison.md", "comparison.csv", "comparison.png"
AGAINST_K = "score_against_k.png"
AGAINST_SETTING = "score_against_setting.png"
Failure = Mapping[str, Any]
"""A cell that failed, as its ``failed.json`` holds it: paradigm, task, backbone, k, split_seed, error."""


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        rows: the table's rows.
        failures: the cells that failed.
        paths: the files, Markdown first.
    """

    rows: Sequence[Row]
    failures: Sequence[Failure]
    paths: Sequence[Path]

    def terminal(self) -> Any:
        """A rich renderable: the table, and below it what failed."""
        from rich.console import Group
        from rich.text import Text

        parts = [table.terminal(self.rows)] if self.rows else []
        if self.failures:
            lines = [Text(f"  {_cell(f)}: {_first_line(f)}") for f in self.failures]
            parts += [Text("\n" + _count(self.failures), style="bold red"), *lines]
        return Group(*parts)


def write(records: Iterable[Record], folder: Path, failures: Iterable[Failure] = ()) -> Report:
    """Write the report into a folder, each file whole or not at all. Without a finished run there is no picture.

    Where a task and backbone have runs at two or more K, a second picture shows the score against K; where runs are called
    ``paradigm.setting=value``, a third one shows the score against the setting.

    Raises:
        LabError: there is nothing to report, the records cannot be compared, or the folder cannot be written to.
    """
    made = rows(records)
    failures = sorted(failures, key=_cell)
    if not made and not failures:
        raise LabError("nothing to report: no run has finished or failed yet")
    drawn = {}
    if made:
        picture.strip_plot(made, folder / PICTURE)
        drawn[PICTURE] = "every seed, mean and sd"
    if against_k.panels(made):
        against_k.curves(made, folder / AGAINST_K)
        drawn[AGAINST_K] = "score against K"
    if against_setting.panels(made):
        against_setting.curves(made, folder / AGAINST_SETTING)
        drawn[AGAINST_SETTING] = "score against a setting"
    _write(folder / CSV, table.csv(made))
    _write(folder / MARKDOWN, _markdown(made, failures, drawn))
    return Report(made, failures, [folder / name for name in (MARKDOWN, CSV, *drawn)])


def _markdown(rows: Sequence[Row], failures: Sequence[Failure], drawn: Mapping[str, str]) -> str:
    parts = [table.markdown(rows)] if rows else []
    parts += [f"![{what}]({name})\n" for name, what in drawn.items()]
    if failures:
        lines = [f"- {_cell(f)}: `{_first_line(f).replace('`', chr(39))}`\n" for f in failures]
        parts.append(f"**{_count(failures)}**\n\n{''.join(lines)}")
    return "\n".join(parts)


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _count(failures: Sequence[Failure]) -> str:
    return "1 run failed:" if len(failures) == 1 else f"{len(failures)} runs failed:"


def _cell(failure: Failure) -> str:
    place = f"{failure['task']} · {failure['backbone']} · K = {failure['k']}"
    return f"{place} · {failure['paradigm']} · seed {failure['split_seed']}"


def _first_line(failure: Failure) -> str:
    """The error's first line that says something."""
    return next((line.strip() for line in str(failure["error"]).splitlines() if line.strip()), "no message")
