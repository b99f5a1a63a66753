"""The report as one HTML page: pictures, style and script inside, nothing fetched from anywhere."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prompt_lab import __version__
from prompt_lab.reporting.columns import percent
from prompt_lab.reporting.content import Content
from prompt_lab.reporting.loading import cell, counted, first_line
from prompt_lab.reporting.notes import NOTES
from prompt_lab.reporting.rows import Row, groups
from prompt_lab.reporting.table import View, cost, scores, told_apart

HERE = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = "report.html.jinja", "style.css", "tables.js"


@dataclass(frozen=True)
class Table:
    """One group's table, as the page's template reads it.

    Attributes:
        title: of the group.
        heads: of each column its heading, and whether it holds words.
        sections: what was told, or None, and its rows: whether it was run, and of every cell its text and whether it stands out.
    """

    title: str
    heads: Sequence[tuple[str, bool]]
    sections: Sequence[tuple[str | None, Sequence[tuple[bool, Sequence[tuple[str, bool]]]]]]


def page(content: Content, folder: Path) -> str:
    """The page's text.

    Args:
        content: of the report.
        folder: where its pictures lie.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = percent
    view = scores(content.rows, content.baseline)
    first, *rest = [(picture, _inline(folder / picture.name)) for picture in content.pictures]
    return environment.get_template(TEMPLATE).render(
        content=content,
        style=(HERE / STYLE).read_text(encoding="utf-8"),
        script=(HERE / SCRIPT).read_text(encoding="utf-8"),
        overview=first,
        pictures=rest,
        tables=_tables(view),
        note=view.note,
        costs=_tables(cost(content.rows, content.baseline)),
        cost_note=cost(content.rows, content.baseline).note,
        failures=[(cell(f), first_line(f)) for f in content.failures],
        failed=counted(content.failures),
        notes=NOTES,
        version=__version__,
    )


def _inline(path: Path) -> str:
    return f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"


def _tables(view: View) -> list[Table]:
    return [_table(part, view) for part in groups(view.rows)]


def _table(part: Sequence[Row], view: View) -> Table:
    def cells(row: Row) -> Any:
        return bool(row.n), [(column.cell(row), column.strong(row)) for column in view.columns]

    heads = [
        (column.heading(part[0].metric).replace("-\n", "").replace("\n", " "), column.words) for column in view.columns
    ]
    return Table(part[0].title, heads, [(name, [cells(row) for row in rows]) for name, rows in told_apart(part)])
