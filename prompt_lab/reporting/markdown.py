"""A report as Markdown, as GitHub shows it."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from prompt_lab.reporting import table
from prompt_lab.reporting.columns import percent
from prompt_lab.reporting.loading import Failure, cell, counted, first_line
from prompt_lab.reporting.notes import NOTES
from prompt_lab.reporting.pictures import Picture
from prompt_lab.reporting.rows import Row

if TYPE_CHECKING:
    from prompt_lab.reporting.cards import Card
    from prompt_lab.reporting.content import Content
    from prompt_lab.reporting.instances import Instance, Instances
    from prompt_lab.reporting.reliability import Curve


def short(rows: Sequence[Row], failures: Sequence[Failure], drawn: Sequence[Picture], cost: str) -> str:
    """The table, the pictures, what failed. ``cost`` is the name of the file with the costs."""
    parts = [table.markdown(table.scores(rows))] if rows else []
    parts += [f"What they cost: [{cost}]({cost}).\n"] if rows else []
    parts += [f"![{picture.title}]({picture.name})\n" for picture in drawn]
    parts += [failed(failures)] if failures else []
    return "\n".join(parts)


def full(content: "Content", others: Mapping[str, str]) -> str:
    """Everything but examples and cards.

    Args:
        content: of the report.
        others: the names of the other files, and what stands in them.
    """
    first, *rest = content.pictures
    parts = ["# Comparison\n", "".join(f"- {plain(line)}\n" for line in content.headline)]
    parts += [failed(content.failures)] if content.failures else []
    parts += [left_out(content.problems)] if content.problems else []
    parts += [", ".join(f"{what}: [{name}]({name})" for name, what in others.items()) + ".\n"]
    parts += [f"![{first.title}]({first.name})\n", table.markdown(table.scores(content.rows, content.baseline))]
    parts += [f"## {picture.title}\n\n![{picture.title}]({picture.name})\n\n{picture.about}\n" for picture in rest]
    parts += ["".join(f"- {plain(line)}\n" for line in content.missing)]
    parts += (
        ["## Calibration of all\n", *(_calibration(title, curves) for title, curves in content.calibration)]
        if content.calibration
        else []
    )
    parts += ["## How to read this\n", "".join(f"- **{term}**: {plain(note)}\n" for term, note in NOTES.items())]
    return "\n".join(part for part in parts if part)


def failed(failures: Sequence[Failure]) -> str:
    """How many cells failed, and with what."""
    lines = [f"- {cell(f)}: `{first_line(f).replace('`', chr(39))}`\n" for f in failures]
    return f"**{counted(failures)}**\n\n{''.join(lines)}"


def left_out(problems: Sequence[str]) -> str:
    """What could not be read, in red where Markdown has colours; nothing if all could."""
    lines = [f"- `{' '.join(problem.split()).replace('`', chr(39))}`\n" for problem in problems]
    return (
        f"\n> [!CAUTION]\n> **Left out, and not in any figure below:** {len(lines)}\n\n{''.join(lines)}"
        if lines
        else ""
    )


def examples(found: Sequence["Instances"]) -> str:
    """Which test examples are missed, and which disputed."""
    if not found:
        return "# Examples\n\nNo task has two paradigms whose predictions of labels are stored.\n"
    return "# Examples\n\n" + "\n".join(map(_examples, found))


def cards(found: Sequence["Card"]) -> str:
    """A foldable card a row."""
    parts = ["# Cards\n"]
    for number, card in enumerate(found):
        if not number or card.title != found[number - 1].title:
            parts.append(f"## {plain(card.title)}\n")
        lines = "".join(f"- {name}: {plain(said)}\n" for name, said in card.lines.items())
        parts.append(
            f"<details><summary>{escape(card.paradigm)}</summary>\n\n{lines}\n"
            f"```json\n{card.settings.replace('```', '` ` `')}\n```\n\n</details>\n"
        )
    return "\n".join(parts)


def plain(text: str) -> str:
    """Text as Markdown prints it letter by letter, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def _examples(found: "Instances") -> str:
    parts = [f"## {plain(found.title)}\n", f"{found.note}\n" if found.note else ""]
    parts.append(f"**Missed by all {found.methods}**: {found.missed_count} of {found.items}.\n")
    parts += [_listed(found.missed), f"**Most disputed among {found.methods}**\n", _listed(found.disputed)]
    return "\n".join(part for part in parts if part)


def _listed(found: Sequence["Instance"]) -> str:
    return "".join(
        f"- `{one.key}` ({plain(one.label)}; {plain(one.said)}){f': {plain(one.text)}' if one.text else ''}\n"
        for one in found
    )


def _calibration(title: str, curves: Sequence["Curve"]) -> str:
    lines = [f"| {plain(curve.paradigm)} | {percent(curve.ece)} | {curve.brier:.3f} |\n" for curve in curves]
    return f"### {plain(title)}\n\n| paradigm | ECE % | Brier |\n| :-- | --: | --: |\n{''.join(lines)}"
