"""The comparison as a table: for the terminal, as Markdown, and as CSV."""

from collections.abc import Iterable, Iterator, Sequence
from csv import DictWriter
from dataclasses import dataclass, fields
from io import StringIO
from typing import Any

from prompt_lab.reporting.columns import (
    COLUMNS,
    GAP,
    ITEMS_ALONE,
    REFERENCE,
    TIE,
    Column,
    cost_columns,
    found_columns,
    full,
)
from prompt_lab.reporting.findings import Finding
from prompt_lab.reporting.rows import Row, groups, sections

NOTE = (
    "Scores in %. sd: ddof=1 (sample standard deviation over seeds); worst: the worst seed's score; n: seeds; "
    "collapsed: share of the seeds within two points of the majority class (numbers: of a correlation of 0). Time is the "
    "mean; parameters, memory, bytes and labels (+ texts without labels) are the most of any seed. Runs with K = 0 drew no "
    "examples and stand in every group. Best mean first among those that were told the same, which does "
    "not say that a difference is real."
)

FOLDED = 24
"""Words that are longer go on in the next line of a terminal that has no room for them."""
FOUND_NOTE = (
    f"95 % interval: of the mean, seeds and test items resampled ({ITEMS_ALONE}, here and on differences: items alone, as "
    "there is one seed or none plays a role). Bold: better than every other row that was told the same, by the same test; one common "
    "seed is not enough."
)
AGAINST_NOTE = (
    f"Against {{baseline}}: mean difference in points on the same seeds and test items; {TIE.strip()} is a tie: p ≥ .05, less than "
    "the smallest seen, or one common seed alone, which says nothing of others. p: corrected over the methods of the group (Holm "
    "1979). Smallest seen: what one test at .05, uncorrected, finds in 80 of 100 experiments; as smaller observed gaps are ties, the "
    "table finds a true difference of that size about half the time."
)

GAP_NOTE = (
    "Selection gap: how many points more the same candidates score when the test itself chooses; the mean over seeds."
)


def cost_note(reference: str) -> str:
    """What the columns of the cost mean."""
    return (
        f"× {full(reference)}: times as much as {reference} in the same group. Trained parameters: with those of prompts' "
        "encoders, and their share of all that are there in training. s a step: wall time of the fits by optimizer step, validation "
        "included. Memory: of the GPU's allocations, else of the process. Parameters, bytes and memory are the most of any seed, "
        "times the mean."
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


def scores(rows: Sequence[Row], baseline: str | None = None) -> View:
    """The comparison: scores with their spread, what statistics say of them where they were asked, and the cost in short.

    Args:
        rows: of the table.
        baseline: whom differences were taken to.
    """
    columns: Sequence[Column] = COLUMNS
    notes = [NOTE]
    if any(row.found for row in rows):
        columns, notes = found_columns(baseline), [NOTE, FOUND_NOTE]
        notes += [AGAINST_NOTE.format(baseline=baseline)] if baseline else []
    if any(row.selection_gap is not None for row in rows):
        columns, notes = [*columns, GAP], [*notes, GAP_NOTE]
    return View(rows, columns, " ".join(notes))


def cost(rows: Sequence[Row], reference: str | None = None) -> View:
    """What paradigms cost, beside a reference where it was run, which is fine-tuning unless another is named."""
    reference = reference or REFERENCE
    return View([row for row in rows if row.n], cost_columns(rows, reference), cost_note(reference))


def told_apart(part: Sequence[Row]) -> list[tuple[str | None, list[Row]]]:
    """A group's rows by what they were told, each with a heading where there are several kinds, and None elsewhere."""
    parts = sections(part)
    several = len({name for name, _ in parts if name is not None}) > 1
    return [(name if several else None, rows) for name, rows in parts]


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
        most = max(column.spared for column in self.view.columns)
        for spared in range(most + 1, 0, -1):  # nothing is left out, then what ranks highest, and so on
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
            min_width=min(max(map(len, lines)), FOLDED if column.words else 1000),
        )
    for name, section in told_apart(part):
        if name is not None:
            table.add_row(Text(name, style="italic"))
        for row in section:
            cells = [Text(column.cell(row), style="bold" if column.strong(row) else "") for column in columns]
            table.add_row(*cells, style=None if row.n else "dim")
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
    lines = [line(heads), line(rule)]
    for name, section in told_apart(part):
        lines += [] if name is None else [line([f"*{name}*", *[""] * (len(columns) - 1)])]
        lines += [line(_marked(column, row) for column in columns) for row in section]
    return "".join(lines)


def _marked(column: Column, row: Row) -> str:
    return f"**{column.cell(row)}**" if column.strong(row) else column.cell(row)


def csv(rows: Sequence[Row]) -> str:
    """A line a row, under the names of the attributes of ``Row``, and of ``Finding`` where there are any.

    Fractions stand in full precision, in units of 1, bytes or seconds.
    """
    names = [field.name for field in fields(Row) if field.name not in ("scores", "found")]
    more = [field.name for field in fields(Finding)] if any(row.found for row in rows) else []
    out = StringIO()
    writer = DictWriter(out, [*names, *more], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        found = {name: getattr(row.found, name, None) for name in more}
        writer.writerow({name: getattr(row, name) for name in names} | found)
    return out.getvalue()
