"""The comparison as a table: for the terminal, as Markdown, and as CSV."""

from collections.abc import Iterable, Iterator, Sequence
from csv import DictWriter
from dataclasses import dataclass, fields
from io import StringIO
from typing import Any

from prompt_lab.reporting.columns import COLUMNS, REFERENCE, Column, cost_columns
from prompt_lab.reporting.rows import Row, groups

NOTE = (
    "Scores in %. sd: ddof=1 (sample standard deviation over seeds); worst: the worst seed's score; n: seeds; "
    "collapsed: share of the seeds within two points of the majority class (numbers: of a correlation of 0). Time is the "
    "mean; parameters, memory, bytes and labels (+ texts without labels) are the most of any seed. Runs with K = 0 drew no "
    "examples and stand in every group. Best mean first, which does not say that a difference is real."
)

COST_NOTE = (
    f"× full: times as much as {REFERENCE} in the same group. Trained parameters: with those of prompts' encoders, and their "
    "share of all that are there in training. s a step: wall time of the fits by optimizer step, validation included. Memory: of "
    "the GPU's allocations, else of the process. Parameters, bytes and memory are the most of any seed, times the mean."
)


@dataclass(frozen=True)
class View:
    """What a table shows.

    Attributes:
        rows: its rows.
        columns: its columns, each with how soon a terminal that is too narrow leaves it out; the files always hold them all.
        note: what they mean.
    """

    rows: Sequence[Row]
    columns: Sequence[Column]
    note: str


def scores(rows: Sequence[Row]) -> View:
    """The comparison: scores with their spread, and the cost in short."""
    return View(rows, COLUMNS, NOTE)


def cost(rows: Sequence[Row]) -> View:
    """What paradigms cost, beside fine-tuning where it was run."""
    return View([row for row in rows if row.n], cost_columns(rows), COST_NOTE)


def terminal(view: View) -> Any:
    """A rich renderable: a titled table a group, columns aligned throughout, and what the columns mean."""
    return _Fitting(view)


class _Fitting:
    """As many columns as the terminal has room for."""

    def __init__(self, view: View) -> None:
        self.view = view

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.measure import Measurement
        from rich.text import Text

        unlimited = options.update(width=10_000)
        for spared in (4, 3, 2, 1):  # nothing is left out, then what ranks 3 and above, and so on
            columns = [column for column in self.view.columns if column.spared < spared]
            tables = [_table(part, self.view.rows, columns) for part in groups(self.view.rows)]
            if all(Measurement.get(console, unlimited, t).maximum <= options.max_width for t in tables):
                break
        for table in tables:
            yield table
            yield ""
        yield Text(self.view.note, style="dim")


def _table(part: Sequence[Row], rows: Sequence[Row], columns: Sequence[Column]) -> Any:
    """One group; columns are as wide as they are for all rows."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(part[0].title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.show_edge = table.pad_edge = False
    for column in columns:
        lines = [line for row in rows for line in (*column.heading(row.metric).split("\n"), column.cell(row))]
        table.add_column(
            Text(column.heading(part[0].metric)),
            justify="left" if column.words else "right",
            no_wrap=not column.words,
            min_width=max(map(len, lines)),
        )
    for row in part:
        table.add_row(*(Text(column.cell(row)) for column in columns), style=None if row.n else "dim")
    return table


def markdown(view: View) -> str:
    """A heading and a GitHub table a group, and what the columns mean."""
    parts = [f"### {part[0].title}\n\n{_pipes(part, view.columns)}" for part in groups(view.rows)]
    return "\n".join([*parts, view.note]) + "\n"


def _pipes(part: Sequence[Row], columns: Sequence[Column]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    heads = [column.heading(part[0].metric).replace("-\n", "").replace("\n", " ") for column in columns]
    rule = [":--" if column.words else "--:" for column in columns]
    return line(heads) + line(rule) + "".join(line(column.cell(row) for column in columns) for row in part)


def csv(rows: Sequence[Row]) -> str:
    """A line a row, under the names of ``Row``'s attributes: fractions in full precision, bytes, seconds."""
    names = [field.name for field in fields(Row) if field.name != "scores"]
    out = StringIO()
    writer = DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: getattr(row, name) for name in names} for row in rows)
    return out.getvalue()
