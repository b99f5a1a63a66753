"""The score against a setting as a picture: runs called ``paradigm.setting=value``, a panel a task and setting."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prompt_lab.reporting import points
from prompt_lab.reporting.picture import heading
from prompt_lab.reporting.points import Look, across, limits, save
from prompt_lab.reporting.rows import MAJORITY, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = re.compile(r"(?P<paradigm>[^.=]+)\.(?P<setting>[^.=]+)=(?P<value>[^=]+)")
NAMES = {"split", "init", "order", "template"}
"""Settings whose numbers are names."""
BREADTH = 0.3
"""Paradigms stand side by side over this share of the way between two values."""


class Panel(NamedTuple):
    """What varies one setting on one task: the rows by paradigm and value, and the majority class."""

    title: str
    setting: str
    rows: dict[str, dict[str, Row]]
    guess: Row | None

    @property
    def is_scaled(self) -> bool:
        """Whether the values are positive numbers that say how much."""
        numbers = all(_is_number(v) and float(v) > 0 for by_value in self.rows.values() for v in by_value)
        return numbers and self.setting not in NAMES

    @property
    def values(self) -> list[str]:
        """All values; numbers in their order, others as they come."""
        found = list(dict.fromkeys(value for by_value in self.rows.values() for value in by_value))
        return sorted(found, key=float) if all(map(_is_number, found)) else found


def panels(rows: Sequence[Row]) -> list[Panel]:
    """Every task, backbone, K and setting for which a paradigm ran with two values or more."""
    found: dict[tuple[str, str], Panel] = {}
    guesses = {row.title: row for row in rows if row.paradigm == MAJORITY}
    for row in rows:
        if row.n and (name := NAMED.fullmatch(row.paradigm)):
            empty = Panel(row.title, name["setting"], {}, guesses.get(row.title))
            panel = found.setdefault((row.title, name["setting"]), empty)
            panel.rows.setdefault(name["paradigm"], {})[name["value"]] = row
    return [panel for panel in found.values() if any(len(by_value) > 1 for by_value in panel.rows.values())]


def curves(rows: Sequence[Row], path: Path) -> None:
    """Write the picture as PNG. Nothing is shown, and matplotlib's own settings stay as they are.

    Raises:
        LabError: the file cannot be written.
    """
    save(draw(rows), path)


def draw(rows: Sequence[Row]) -> "Figure":
    """The figure. There must be a panel.

    Numbers stand on a scale of doublings, connected by lines; other values, such as seeds, beside each other, unconnected. Bars
    show one sample standard deviation, faint dots the seeds, and a dotted line the majority class.
    """
    from matplotlib.lines import Line2D

    parts = panels(rows)
    figure, axes = points.panes(len(parts), 4.4, 3.2, 6.4, 0.5, hspace=0.08)
    names = sorted({name for part in parts for name in part.rows})
    looks = {name: points.look(i) for i, name in enumerate(names)}
    for axis, part in zip(axes, parts, strict=True):
        _panel(axis, part, looks)
    handles = [Line2D([], [], color=c, marker=m, markersize=5, label=name) for name, (c, m) in looks.items()]
    handles += points.keys(guessed=any(part.guess is not None and part.guess.mean is not None for part in parts))
    columns = min(len(handles), 2 * across(len(parts)) + 1)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    return figure


def _panel(axis: "Axes", part: Panel, looks: dict[str, Look]) -> None:
    values = part.values
    place = {v: math.log2(float(v)) if part.is_scaled else float(i) for i, v in enumerate(values)}
    at = sorted(place.values())
    breadth = BREADTH * min((b - a for a, b in pairwise(at)), default=1.0)
    shown = [name for name in looks if name in part.rows]
    for number, name in enumerate(shown):
        beside = breadth * (number - (len(shown) - 1) / 2) / len(shown)
        own = [(place[v] + beside, part.rows[name][v]) for v in values if v in part.rows[name]]
        if part.is_scaled:
            axis.plot(
                [x for x, _ in own],
                [100 * (row.mean or 0.0) for _, row in own],
                color=looks[name].colour,
                linewidth=1.4,
            )
        for x, row in own:
            points.point(axis, x, row, looks[name], x + 0.3 * breadth / len(shown))
    points.guess(axis, None if part.guess is None else part.guess.mean)
    drawn = [row for by_value in part.rows.values() for row in by_value.values()]
    axis.set_ylim(*limits(drawn if part.guess is None else [*drawn, part.guess]))
    axis.set_xticks(list(place.values()), [v.replace("_", "\n") for v in values])
    points.dress(axis, heading(part.title), part.setting, drawn[0].metric)


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False
