"""The report of a comparison: a table as Markdown and CSV, pictures, and what failed, in one folder."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prompt_lab.errors import LabError
from prompt_lab.reporting import against_k, against_parameters, against_setting, gates, picture, table
from prompt_lab.reporting.comparable import Record
from prompt_lab.reporting.files import atomic
from prompt_lab.reporting.rows import Row, rows

MARKDOWN, COST, CSV, PICTURE = "comparison.md", "cost.md", "comparison.csv", "comparison.png"
AGAINST_K = "score_against_k.png"
AGAINST_SETTING = "score_against_setting.png"
AGAINST_PARAMETERS = "score_against_parameters.png"
GATES = "gates.png"
Shown = Literal["scores", "cost"]
"""The tables that can be shown."""
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

    def terminal(self, shown: Shown = "scores") -> Any:
        """A rich renderable: a table, and below it what failed."""
        from rich.console import Group
        from rich.text import Text

        view = table.cost if shown == "cost" else table.scores
        parts = [table.terminal(view(self.rows))] if self.rows else []
        if self.failures:
            lines = [Text(f"  {_cell(f)}: {_first_line(f)}") for f in self.failures]
            parts += [Text("\n" + _count(self.failures), style="bold red"), *lines]
        return Group(*parts)


def write(records: Iterable[Record], folder: Path, failures: Iterable[Failure] = ()) -> Report:
    """Write the report into a folder, each file whole or not at all. Without a finished run there is no picture and no cost.

    Where a task and backbone have runs at two or more K, a second picture shows the score against K; where runs are called
    ``paradigm.setting=value``, a third one shows the score against the setting; and where some train far fewer parameters than
    others, a fourth one shows the score against these. Where runs have gates, a fifth one shows how far they are open.

    Raises:
        LabError: there is nothing to report, the records cannot be compared, or the folder cannot be written to.
    """
    records = list(records)
    made = rows(records)
    failures = sorted(failures, key=_cell)
    if not made and not failures:
        raise LabError("nothing to report: no run has finished or failed yet")
    drawn = {}
    if made:
        picture.strip_plot(made, folder / PICTURE)
        drawn[PICTURE] = "every seed, mean and sd"
        _write(folder / COST, table.markdown(table.cost(made)))
    if against_k.panels(made):
        against_k.curves(made, folder / AGAINST_K)
        drawn[AGAINST_K] = "score against K"
    if against_setting.panels(made):
        against_setting.curves(made, folder / AGAINST_SETTING)
        drawn[AGAINST_SETTING] = "score against a setting"
    if against_parameters.panels(made):
        against_parameters.curves(made, folder / AGAINST_PARAMETERS)
        drawn[AGAINST_PARAMETERS] = "score against trained parameters"
    if gated := gates.panels(records):
        gates.curves(gated, folder / GATES)
        drawn[GATES] = "how far gates are open"
    _write(folder / CSV, table.csv(made))
    _write(folder / MARKDOWN, _markdown(made, failures, drawn))
    tables = (MARKDOWN, COST, CSV) if made else (MARKDOWN, CSV)
    return Report(made, failures, [folder / name for name in (*tables, *drawn)])


def _markdown(rows: Sequence[Row], failures: Sequence[Failure], drawn: Mapping[str, str]) -> str:
    parts = [table.markdown(table.scores(rows))] if rows else []
    parts += [f"What they cost: [{COST}]({COST}).\n"] if rows else []
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
