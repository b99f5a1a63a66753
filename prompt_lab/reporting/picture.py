"""The comparison as a picture: every seed a point, the mean and its standard deviation over them, a panel a group."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from prompt_lab.reporting.points import GUESS, across, limits, percents, save
from prompt_lab.reporting.rows import Row, groups
from prompt_lab.reporting.table import told_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "tuning-free prompting": "#E69F00",
    "promptless fine-tuning": "#0072B2",
    "fixed-LM prompt tuning": "#009E73",
    "fixed-prompt LM tuning": "#D55E00",
    "prompt+LM tuning": "#CC79A7",
}
"""A colour a tuning strategy, told apart by colour-blind readers too (Okabe and Ito 2008)."""
OTHER = "#56B4E9"
_SPREAD = 0.17
"""Seeds lie this far below their row's line and the mean above it, in rows, so that neither hides the other."""
_HEADING = 0.9
"""Rows that the name of what was told takes."""
_SCORES, _LETTER, _ALONE, _WIDEST = 3.4, 0.078, 6.4, 16.0
"""Inches: of a panel without its names, of a letter of these, of a panel that is alone at least, and of the picture at most."""


def strip_plot(rows: Sequence[Row], path: Path) -> None:
    """Write the picture as PNG. Nothing is shown, and matplotlib's own settings stay as they are.

    Raises:
        LabError: the file cannot be written.
    """
    save(draw(rows), path)


def draw(rows: Sequence[Row]) -> "Figure":
    """The figure: groups in the table's order, and in each the paradigms in the table's order from the top.

    What was not trained and lies far below the rest is an arrow at the left edge, with its score.
    """
    from matplotlib.figure import Figure

    parts = groups(rows)
    broad = max(4.9, _SCORES + _LETTER * max((len(row.paradigm) for row in rows if row.n), default=0))
    wide = max(1, min(across(len(parts)), int(_WIDEST / broad)))
    lines = [parts[i : i + wide] for i in range(0, len(parts), wide)]
    heights = [max(_places(part)[1] for part in line) for line in lines]
    inches = [0.32 * height + 1.15 for height in heights]
    figure = Figure(figsize=(broad * wide if wide > 1 else max(broad, _ALONE), sum(inches) + 0.6))
    figure.set_layout_engine("constrained", hspace=0.06, wspace=0.03)
    panels = figure.subplots(len(lines), wide, squeeze=False, height_ratios=inches).ravel().tolist()
    for panel, part in zip(panels, parts, strict=False):
        drawn = [row for row in rows if row.task == part[0].task]
        trained = [row for row in drawn if row.n and row.shots != 0]
        _panel(panel, part, limits(trained, [row for row in drawn if row not in trained]))
    for panel in panels[len(parts) :]:
        panel.remove()
    figure.legend(handles=_legend(rows), loc="outside lower center", ncols=2 * wide + 1, frameon=False, fontsize=8)
    return figure


def _panel(panel: "Axes", part: Sequence[Row], limits: tuple[float, float]) -> None:
    places, high, names = _places(part)
    runs = [row for row in part if row.n]
    for place, row in zip(places, runs, strict=True):
        colour = COLOURS.get(row.strategy or "", OTHER)
        seeds, mean, sd = percents(row)
        if mean < limits[0]:
            _aside(panel, f"{mean:.1f}", place, colour)
            continue
        panel.plot(seeds, [place + _SPREAD] * row.n, "o", color=colour, alpha=0.55, markersize=5, markeredgewidth=0)
        panel.errorbar(mean, place - _SPREAD, xerr=sd, fmt="D", color=colour, markersize=5, capsize=3, linewidth=1.4)
    panel.set_yticks(places, [row.paradigm for row in runs])
    panel.set_xlim(*limits)
    panel.set_ylim(high - 0.4, -0.6)
    for place, name in names:
        panel.annotate(name, (0.01, place), xycoords=panel.get_yaxis_transform(), va="center", fontsize=8, style="italic",
                       color=GUESS, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # fmt: skip
        panel.axhline(place - 0.45, color="#bbbbbb", linewidth=0.6, zorder=0)
    panel.set_axisbelow(True)
    panel.grid(axis="x", color="#dddddd", linewidth=0.7)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0, labelsize=9)
    panel.tick_params(axis="x", labelsize=8)
    panel.locator_params(axis="x", nbins=6)
    panel.set_title(heading(part[0].title, 38), fontsize=10, fontweight="bold", loc="left", pad=18)
    panel.set_xlabel(f"{part[0].metric.replace('/', ' ')}, %", fontsize=8)
    _majority(panel, part[0])


def _aside(panel: "Axes", score: str, place: float, colour: str) -> None:
    """An arrow at the left edge for what lies far below the rest."""
    panel.annotate(f"◂ {score}", (0, place), (4, 0), xycoords=panel.get_yaxis_transform(), textcoords="offset points",
                   va="center", fontsize=9, color=colour)  # fmt: skip


def _places(part: Sequence[Row]) -> tuple[list[float], float, list[tuple[float, str]]]:
    """Where the paradigms of a group stand, how many rows that takes, and where what was told is named if it differs."""
    places, names, at = list[float](), list[tuple[float, str]](), 0.0
    for name, section in told_apart(part):
        if name is not None:
            names.append((at, name))
            at += _HEADING
        places += [at + i for i in range(sum(row.n > 0 for row in section))]
        at += sum(row.n > 0 for row in section)
    return places, at, names


def heading(title: str, letters: int = 46) -> str:
    """A title on as many lines as the panel needs, broken between task, backbone and K."""
    held = title.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}").replace(" · ", "\N{NO-BREAK SPACE}· ")
    return "\n".join(wrap(held, letters, break_on_hyphens=False))


def _majority(panel: "Axes", row: Row) -> None:
    """A dashed line at what naming the most frequent label scores, where that is known."""
    if row.mean is None:
        return
    score, (left, right) = 100 * row.mean, panel.get_xlim()
    if score < left:
        panel.annotate(f"◂ {row.paradigm} {score:.1f}", (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points",
                       fontsize=8, color=GUESS)  # fmt: skip
        return
    panel.axvline(score, color=GUESS, linestyle="--", linewidth=1.2, zorder=1)
    panel.annotate(
        f"{row.paradigm} {score:.1f}",
        (score, 1),
        (0, 3),
        xycoords=panel.get_xaxis_transform(),
        textcoords="offset points",
        ha="left" if score < (left + right) / 2 else "right",
        fontsize=8,
        color=GUESS,
    )


def _legend(rows: Sequence[Row]) -> list[Any]:
    """What markers and lines mean, and the colours that occur."""
    from matplotlib.lines import Line2D

    found = {row.strategy for row in rows if row.n}
    colours = [(name, colour) for name, colour in COLOURS.items() if name in found]
    squares = [Line2D([], [], marker="s", linestyle="", color=colour, label=name) for name, colour in colours]
    seed = Line2D(
        [], [], marker="o", linestyle="", color=GUESS, alpha=0.55, markeredgewidth=0, markersize=5, label="a seed"
    )
    mean = Line2D([], [], marker="D", color=GUESS, markersize=5, linewidth=1.4, label="mean ± sd (ddof=1)")
    return [*squares, seed, mean]
