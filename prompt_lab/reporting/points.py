"""What the pictures of scores share: panels, a mean with its bar and its seeds, and what dots and lines mean."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from prompt_lab.reporting.files import atomic
from prompt_lab.reporting.rows import MAJORITY, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"
"""Told apart by colour-blind readers too (Okabe and Ito 2008); their yellow is too pale for lines on white."""
MARKERS = "osD^vPX<>p*h"
"""As many have no divisor in common with the colours: 84 paradigms look different."""
GUESS = "#555555"
DPI = 150
LEAST = 0.6
"""What was trained takes at least so much of a scale."""


class Look(NamedTuple):
    """A colour and a marker."""

    colour: str
    marker: str


def look(number: int) -> Look:
    """The look of the paradigm of that number."""
    return Look(COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        LabError: the file cannot be written.
    """
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


def across(panels: int) -> int:
    """How many of them stand side by side."""
    return {1: 1, 2: 2, 4: 2}.get(panels, 3)


def panes(
    number: int, width: float, height: float, alone: float, below: float, hspace: float = 0.06
) -> tuple["Figure", list["Axes"]]:
    """A figure and its panels.

    Args:
        number: of panels.
        width: of each of several, in inches.
        height: of each.
        alone: the width of one that is alone.
        below: room for the legend.
        hspace: between panels, as a share of their height.
    """
    from matplotlib.figure import Figure

    wide = across(number)
    high = -(-number // wide)
    figure = Figure(figsize=(width * wide if wide > 1 else alone, height * high + below))
    figure.set_layout_engine("constrained", hspace=hspace, wspace=0.03)
    axes = figure.subplots(high, wide, squeeze=False).ravel().tolist()
    for axis in axes[number:]:
        axis.remove()
    return figure, axes[:number]


def percents(row: Row) -> tuple[list[float], float, float | None]:
    """The seeds' scores, their mean and standard deviation, in %."""
    return [100 * score for score in row.scores], 100 * (row.mean or 0.0), None if row.sd is None else 100 * row.sd


def point(axis: "Axes", at: float, row: Row, look: Look, seeds: float) -> None:
    """The mean at a place, with one standard deviation as its bar, and the seeds at another."""
    scores, mean, sd = percents(row)
    axis.plot([seeds] * row.n, scores, "o", color=look.colour, alpha=0.4, markersize=3, markeredgewidth=0)
    axis.errorbar(at, mean, yerr=sd, fmt=look.marker, color=look.colour, markersize=5, capsize=2.5, linewidth=1.1)


def guess(axis: "Axes", mean: float | None) -> None:
    """A dotted line at what naming the most frequent label scores, where that is known."""
    if mean is not None:
        axis.axhline(100 * mean, color=GUESS, linestyle=":", linewidth=1.4, zorder=1)


def dress(axis: "Axes", title: str, x: str, metric: str) -> None:
    """Titles, and a grid that is seen no more than it must be."""
    axis.set_axisbelow(True)
    axis.grid(axis="y", color="#dddddd", linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.set_title(title, fontsize=10, fontweight="bold", loc="left")
    axis.set_xlabel(x, fontsize=8)
    axis.set_ylabel(f"{metric.replace('/', ' ')}, %", fontsize=8)


def keys(*, guessed: bool) -> list[Any]:
    """Legend entries: what dots and lines mean."""
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"linestyle": "", "markeredgewidth": 0, "color": GUESS}
    majority = Line2D([], [], color=GUESS, linestyle=":", linewidth=1.4, label=MAJORITY)
    seed = Line2D([], [], marker="o", markersize=3, alpha=0.4, label="a seed", **dot)
    bar = Line2D([], [], marker="|", markersize=9, color=GUESS, linestyle="", label="± sd (ddof=1)")
    return [*([majority] if guessed else []), seed, bar]


def limits(rows: Sequence[Row], untrained: Sequence[Row] = ()) -> tuple[float, float]:
    """One scale for all panels of a task: everything drawn, and room beside it.

    What was not trained may lie so far below that little of the scale would be left to the rest; then it lies below the scale, too.
    """
    (lowest, highest), others = _ends(rows or untrained), _ends(untrained or rows)
    highest = max(highest, others[1])
    if highest - lowest >= LEAST * (highest - min(lowest, others[0])):
        lowest = min(lowest, others[0])
    room = max(0.06 * (highest - lowest), 1.0)
    return lowest - room, highest + room


def below(axis: "Axes", scores: Mapping[str, float]) -> None:
    """Those of the scores, in %, that lie below the scale, as words at its lower edge."""
    bottom, _ = axis.get_ylim()
    found = [f"{name} {score:.1f}" for name, score in sorted(scores.items(), key=lambda one: -one[1]) if score < bottom]
    if found:
        words = fill(f"below: {', '.join(found)}", 50)
        axis.text(
            0.99, 0.015, words, transform=axis.transAxes, ha="right", va="bottom", fontsize=8, color=GUESS, zorder=4
        )


def _ends(rows: Sequence[Row]) -> tuple[float, float]:
    scores = [100 * score for row in rows for score in row.scores]
    scores += [100 * (row.mean + sign * (row.sd or 0.0)) for row in rows if row.mean is not None for sign in (-1, 1)]
    return min(scores), max(scores)
