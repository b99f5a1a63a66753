"""The report of a comparison: tables as Markdown, CSV and LaTeX, pictures, one HTML page, and what failed, in one folder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from prompt_lab.errors import LabError
from prompt_lab.reporting import latex, markdown, pictures, table
from prompt_lab.reporting.comparable import Record
from prompt_lab.reporting.content import Content
from prompt_lab.reporting.files import atomic
from prompt_lab.reporting.loading import Failure, cell, counted, first_line
from prompt_lab.reporting.rows import Row, rows
from prompt_lab.reporting.study import Study, chosen_baseline, studied

MARKDOWN, COST, CSV, PICTURE = "comparison.md", "cost.md", "comparison.csv", pictures.SEEDS
LATEX, EXAMPLES, CARDS, PAGE = "comparison.tex", "examples.md", "cards.md", "report.html"
AGAINST_K, AGAINST_SETTING = pictures.K, pictures.SETTING
Shown = Literal["scores", "cost"]
"""The tables that can be shown."""


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        rows: the table's rows.
        failures: the cells that failed.
        paths: the files, Markdown first.
        baseline: whom the rows were compared with, where they were.
        headline: what is said first; nothing where statistics were not asked.
        problems: what was left out, and why.
    """

    rows: Sequence[Row]
    failures: Sequence[Failure]
    paths: Sequence[Path]
    baseline: str | None = None
    headline: Sequence[str] = field(default=())
    problems: Sequence[str] = field(default=())

    def terminal(self, shown: Shown = "scores") -> Any:
        """A rich renderable: what came out, a table, and below it what failed or was left out."""
        from rich.console import Group
        from rich.text import Text

        view = table.cost if shown == "cost" else table.scores
        parts: list[Any] = [Text(line) for line in self.headline]
        parts += [Text(), table.terminal(view(self.rows, self.baseline))] if self.rows else []
        if self.failures:
            lines = [Text(f"  {cell(f)}: {first_line(f)}") for f in self.failures]
            parts += [Text("\n" + counted(self.failures), style="bold red"), *lines]
        if self.problems:
            parts += [Text("\nLeft out:", style="bold red"), *(Text(f"  {p}", style="red") for p in self.problems)]
        return Group(*parts)


def write(
    records: Iterable[Record], folder: Path, failures: Iterable[Failure] = (), study: Study | None = None
) -> Report:
    """Write the report into a folder, each file whole or not at all. Without a finished run there is no picture and no cost.

    Pictures are there where they have something to show (``pictures``). With a study there are intervals, differences to the baseline,
    more pictures, examples, a card a row, LaTeX, and all of it as one HTML page.

    Args:
        records: of finished runs.
        folder: to write to.
        failures: cells that failed.
        study: what statistics need; without it none are made.

    Raises:
        LabError: there is nothing to report, the records cannot be compared, no row has the baseline's name, or the folder cannot be
            written to.
    """
    records = list(records)
    made = rows(records)
    failures = sorted(failures, key=cell)
    if not made and not failures:
        raise LabError("nothing to report: no run has finished or failed yet")
    if not made or study is None:
        return _write_short(made, records, folder, failures, study)
    baseline = chosen_baseline(made, study.baseline)
    content = Content.of(studied(made, study.outcomes, baseline), records, study, baseline, failures, folder)
    _write(folder / COST, table.markdown(table.cost(content.rows, baseline)))
    _write(folder / CSV, table.csv(content.rows))
    _write(folder / LATEX, latex.latex(table.scores(content.rows, baseline)))
    _write(folder / EXAMPLES, markdown.examples(content.instances))
    _write(folder / CARDS, markdown.cards(content.cards))
    _write(
        folder / MARKDOWN,
        markdown.full(content, {COST: "What they cost", EXAMPLES: "Examples", CARDS: "Cards", PAGE: "All on one page"}),
    )
    from prompt_lab.reporting.pages.page import page  # jinja2 is needed here alone

    _write(folder / PAGE, page(content, folder))
    names = (MARKDOWN, PAGE, COST, CSV, LATEX, EXAMPLES, CARDS, *(p.name for p in content.pictures))
    paths = [folder / name for name in names]
    return Report(content.rows, failures, paths, baseline, content.headline, study.problems)


def _write_short(
    made: Sequence[Row], records: Sequence[Record], folder: Path, failures: Sequence[Failure], study: Study | None
) -> Report:
    """Tables and pictures of scores as they are, or of failures alone."""
    drawn = pictures.draw(made, records, folder) if made else []
    problems = study.problems if study else ()
    if made:
        _write(folder / COST, table.markdown(table.cost(made)))
    _write(folder / CSV, table.csv(made))
    _write(folder / MARKDOWN, markdown.short(made, failures, drawn, COST) + markdown.left_out(problems))
    tables = (MARKDOWN, COST, CSV) if made else (MARKDOWN, CSV)
    paths = [folder / name for name in (*tables, *(picture.name for picture in drawn))]
    return Report(made, failures, paths, problems=problems)


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
