"""What `prompt-lab new task` prints of a file: columns, labels, patterns, and what a person should look at."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from prompt_lab.starting.language import NAMES
from prompt_lab.starting.proposal import SHARE, Proposal

_LABELS = 30
"""Labels that are shown with their counts before the others are only counted."""
_HEADER = ("label", "rows", "to draw from", "word", "which is")
_GAP = 2
_LEAST = 30
"""Columns of an example on a screen that is too narrow."""


def print_proposal(found: Proposal) -> None:
    """Print it."""
    console = Console(highlight=False)
    for name, value in _facts(found):
        console.print(Text.assemble((f"{name:<10}", "bold"), value), soft_wrap=True)
    console.print()
    for row in _labels(found, console.width):
        console.print(row, soft_wrap=True)
    if (more := len(found.task.labels) - _LABELS) > 0:
        console.print(f"… and {more} labels more")
    for title, lines in (("warnings", found.findings.warnings), ("unsure", found.unsure)):
        if lines:
            console.print(f"\n{title}:")
        for line in lines:
            console.print(f"  - {line}", markup=False, soft_wrap=True)


def _facts(found: Proposal) -> Iterator[tuple[str, str]]:
    given = dict(zip(found.choice.texts, found.task.fields, strict=True)) | {found.choice.label: "label"}
    yield "file", f"{found.data.path}, {len(found.data.rows):,} rows"
    yield "columns", ", ".join(f"{n} → {given[n]}" if n in given else f"{n} (not used)" for n in found.data.columns)
    yield "language", NAMES[found.task.language]
    test = found.findings.test
    yield "test", f"{test:,} of {found.test}" if found.test else f"{test:,} held out ({SHARE:.0%} of each label)"
    yield "metric", found.task.metric
    for number, pattern in enumerate(found.task.templates):
        yield "" if number else "patterns", f"{number}  {pattern}"


def _labels(found: Proposal, width: int) -> Iterator[Text]:
    """A line for each label; its example fills what is left of the screen's width."""
    rows = []
    for name in found.task.labels[:_LABELS]:
        counts = (f"{n:,}" for n in (found.findings.labels[name], found.findings.drawable[name]))
        rows.append((name, *counts, found.words[name].word, found.words[name].source.partition(" (")[0]))
    sizes = [max(map(cell_len, column)) + _GAP for column in zip(_HEADER, *rows, strict=True)]
    room = max(width - sum(sizes), _LEAST)

    def line(cells: Sequence[str]) -> str:
        right = (
            cell.rjust(size - _GAP) if n in (1, 2) else cell
            for n, (cell, size) in enumerate(zip(cells, sizes, strict=True))
        )
        return "".join(set_cell_size(cell, size) for cell, size in zip(right, sizes, strict=True))

    yield Text(f"{line(_HEADER)}an example", "bold")
    for row in rows:
        yield Text.assemble(line(row), (_cut(found.examples[row[0]], room), "dim"))


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"
