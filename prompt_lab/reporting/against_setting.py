"""The score against a setting as a picture: runs called ``paradigm.setting=value``, a panel a task and setting."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prompt_lab.reporting.against_k import COLOURS, MARKERS
from prompt_lab.reporting.picture import GUESS, across, heading, limits, save
from prompt_lab.reporting.rows import MAJORITY, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = re.compile(r"(?P<paradigm>[^.=]+)\.(?P<setting>[^.=]+)=(?P<value>[^=]+)")
BREADTH = 0.3
"""Paradigms stand side by side over this share of the way between two values."""


class Panel(NamedTuple):
    """What varies one setting on one task: the rows by paradigm and value, and the majority class."""

    title: str
    setting: str
    rows: dict[str, dict[str, Row]]
    guess: Row | None

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

    Numbers stand on a scale of doublings, connected by lines; other values beside each other, unconnected. Bars show one sample
    standard deviation, faint dots the seeds, and a dotted line the majority class.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    parts = panels(rows)
    wide = across(len(parts))
    high = -(-len(parts) // wide)
    figure = Figure(figsize=(4.4 * wide if wide > 1 else 6.4, 3.2 * high + 0.5))
    figure.set_layout_engine("constrained", hspace=0.08, wspace=0.03)
    names = sorted({name for part in parts for name in part.rows})
    looks = {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)}
    axes = figure.subplots(high, wide, squeeze=False).ravel().tolist()
    for axis, part in zip(axes, parts, strict=False):
        _panel(axis, part, looks)
    for axis in axes[len(parts) :]:
        axis.remove()
    handles = [Line2D([], [], color=c, marker=m, markersize=5, label=name) for name, (c, m) in looks.items()]
    handles.append(Line2D([], [], color=GUESS, linestyle=":", label=MAJORITY))
    handles.append(Line2D([], [], color=GUESS, linestyle="", marker="o", markersize=3, alpha=0.4, label="a seed"))
    handles.append(Line2D([], [], color=GUESS, linestyle="", marker="|", markersize=9, label="± sd (ddof=1)"))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), 2 * wide + 1), frameon=False, fontsize=8
    )
    return figure


def _panel(axis: "Axes", part: Panel, looks: dict[str, tuple[str, str]]) -> None:
    values = part.values
    numbers = all(_is_number(v) and float(v) > 0 for v in values)
    place = {v: math.log2(float(v)) if numbers else float(i) for i, v in enumerate(values)}
    at = sorted(place.values())
    breadth = BREADTH * min((b - a for a, b in pairwise(at)), default=1.0)
    shown = [name for name in looks if name in part.rows]
    for number, name in enumerate(shown):
        colour, marker = looks[name]
        beside = breadth * (number - (len(shown) - 1) / 2) / len(shown)
        own = [(place[v] + beside, part.rows[name][v]) for v in values if v in part.rows[name]]
        if numbers:
            axis.plot([x for x, _ in own], [100 * (row.mean or 0.0) for _, row in own], color=colour, linewidth=1.4)
        for x, row in own:
            seeds = [100 * score for score in row.scores]
            axis.plot(
                [x + 0.3 * breadth / len(shown)] * row.n,
                seeds,
                "o",
                color=colour,
                alpha=0.4,
                markersize=3,
                markeredgewidth=0,
            )
            axis.errorbar(
                x, 100 * (row.mean or 0.0), yerr=None if row.sd is None else 100 * row.sd, fmt=marker, color=colour,
                markersize=5, capsize=2.5, linewidth=1.1,
            )  # fmt: skip
    if part.guess is not None and part.guess.mean is not None:
        axis.axhline(100 * part.guess.mean, color=GUESS, linestyle=":", linewidth=1.4, zorder=1)
    drawn = [row for by_value in part.rows.values() for row in by_value.values()]
    axis.set_ylim(*limits(drawn if part.guess is None else [*drawn, part.guess]))
    axis.set_xticks(list(place.values()), [v.replace("_", "\n") for v in values])
    axis.set_axisbelow(True)
    axis.grid(axis="y", color="#dddddd", linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.set_title(heading(part.title), fontsize=9, fontweight="bold", loc="left")
    axis.set_xlabel(part.setting, fontsize=8)
    axis.set_ylabel(f"{drawn[0].metric.replace('/', ' ')}, %", fontsize=8)


def _is_number(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False
