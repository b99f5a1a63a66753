"""The comparison as a table: for the terminal, as Markdown, and as CSV."""

from collections.abc import Iterable, Iterator, Sequence
from csv import DictWriter
from dataclasses import fields
from io import StringIO
from typing import Any

from prompt_lab.reporting.columns import COLUMNS
from prompt_lab.reporting.rows import Row, groups

NOTE = (
    "Scores in %. sd: ddof=1 (sample standard deviation over seeds); worst: the worst seed's score; n: seeds; "
    "collapsed: share of the seeds within two points of the majority class (numbers: of a correlation of 0). Time is the "
    "mean; parameters, memory, bytes and labels (+ texts without labels) are the most of any seed. Runs with K = 0 drew no "
    "examples and stand in every group. Best mean first, which does not say that a difference is real."
)


def terminal(rows: Sequence[Row]) -> Any:
    """A rich renderable: a titled table a group, columns aligned throughout, and what the columns mean.

    A narrow terminal leaves out the strategy, then the bytes stored, then the memory; the files always hold them.
    """
    return _Fitting(rows)


class _Fitting:
    """As many columns as the terminal has room for."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.measure import Measurement
        from rich.text import Text

        unlimited = options.update(width=10_000)
        for spared in (4, 3, 2, 1):  # nothing is left out, then what ranks 3 and above, and so on
            tables = [_table(part, self.rows, spared) for part in groups(self.rows)]
            if all(Measurement.get(console, unlimited, t).maximum <= options.max_width for t in tables):
                break
        for table in tables:
            yield table
            yield ""
        yield Text(NOTE, style="dim")


def _table(part: Sequence[Row], rows: Sequence[Row], spared: int) -> Any:
    """One group; columns are as wide as they are for all rows."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(part[0].title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.show_edge = table.pad_edge = False
    for column in COLUMNS:
        if column.spared < spared:
            lines = [line for row in rows for line in (*column.heading(row.metric).split("\n"), column.cell(row))]
            table.add_column(
                Text(column.heading(part[0].metric)),
                justify="left" if column.words else "right",
                no_wrap=not column.words,
                min_width=max(map(len, lines)),
            )
    for row in part:
        cells = [Text(column.cell(row)) for column in COLUMNS if column.spared < spared]
        table.add_row(*cells, style=None if row.n else "dim")
    return table


def markdown(rows: Sequence[Row]) -> str:
    """A heading and a GitHub table a group, and what the columns mean."""
    parts = [f"### {part[0].title}\n\n{_pipes(part)}" for part in groups(rows)]
    return "\n".join([*parts, NOTE]) + "\n"


def _pipes(part: Sequence[Row]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    heads = [column.heading(part[0].metric).replace("-\n", "").replace("\n", " ") for column in COLUMNS]
    rule = [":--" if column.words else "--:" for column in COLUMNS]
    return line(heads) + line(rule) + "".join(line(column.cell(row) for column in COLUMNS) for row in part)


def csv(rows: Sequence[Row]) -> str:
    """A line a row, under the names of ``Row``'s attributes: fractions in full precision, bytes, seconds."""
    names = [field.name for field in fields(Row) if field.name != "scores"]
    out = StringIO()
    writer = DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: getattr(row, name) for name in names} for row in rows)
    return out.getvalue()
