"""The score against what it costs as a picture: a point a paradigm, a panel a task, backbone and K; the Pareto front is marked."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_lab.reporting import beside, labels, points
from prompt_lab.reporting.against_setting import NAMED
from prompt_lab.reporting.columns import BYTES, scaled
from prompt_lab.reporting.labels import Label
from prompt_lab.reporting.pareto import front
from prompt_lab.reporting.picture import COLOURS, OTHER, heading
from prompt_lab.reporting.points import GUESS, Look, limits, percents
from prompt_lab.reporting.rows import MAJORITY, Row, groups
from prompt_lab.reporting.told import ORACLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART = 2
"""There is something to see where one paradigm trains so many times as many parameters as another."""
STEP, BREADTH, SEEDS, MARGIN, NAMES, NARROW = 0.012, 0.07, 0.005, 0.1, 0.26, 0.08
"""Shares of the way from the fewest parameters to the most: between points that stand beside each other, and the most that any number
of them takes; from a mean to its seeds; left of all points; and right of them, where names stand there and where they do not."""
DECADES = 1.5
"""Over more of them, powers of ten are enough on the axis."""
WIDTH, ALONE, HEIGHT, AROUND = 5.6, 7.6, 4.4, 1.3
"""Inches, of one of several panels, of one alone, of its height, and of that what its title and its axis take."""
CROWD = 12
"""Where a panel has more paradigms, their names stand beside it."""
MARKER = "D"
FRONT: dict[str, Any] = {"color": "#000000", "linewidth": 1.0, "linestyle": (0, (1, 1.2)), "zorder": 1.4}


@dataclass(frozen=True)
class Measure:
    """What a paradigm costs.

    Attributes:
        of: its figure of a row; 0 for those that a line stands for, None where it is not known.
        axis: what it is called below the axis.
        tick: a figure as it is written there.
        has_share: whether the share of all parameters stands below.
    """

    of: Callable[[Row], float | None]
    axis: str
    tick: Callable[[float], str]
    has_share: bool = False


PARAMETERS = Measure(lambda row: row.trained_parameters, "trained parameters, and their share of all", scaled, True)
SECONDS = Measure(lambda row: row.seconds, "seconds, the mean of a whole run", lambda n: f"{scaled(n)} s")
STORED = Measure(lambda row: row.stored_bytes, "bytes stored", lambda n: scaled(n, BYTES))


def curves(rows: Sequence[Row], path: Path, measure: Measure = PARAMETERS) -> None:
    """Write the picture as PNG. Nothing is shown, and matplotlib's own settings stay as they are.

    Raises:
        LabError: the file cannot be written.
    """
    points.save(draw(rows, measure), path)


def panels(rows: Sequence[Row], measure: Measure = PARAMETERS) -> list[list[Row]]:
    """The groups in which some paradigm costs at least twice as much as another that costs anything.

    Values of a setting that changes nothing about the number of trained parameters, such as a learning rate, are not counted, nor
    drawn.
    """
    found = [(part, [measure.of(row) or 0 for row in _costly(part, measure)]) for part in groups(rows)]
    return [part for part, numbers in found if numbers and max(numbers) >= APART * min(numbers)]


def draw(rows: Sequence[Row], measure: Measure = PARAMETERS) -> "Figure":
    """The figure. There must be a panel.

    Costs stand on a logarithmic scale; below numbers of parameters their share of all. Bars show one sample standard deviation, faint
    dots the seeds. Paradigms that cost nearly the same stand a little beside each other, so that none hides another; many are named
    beside the panel. Those that cost nothing are dashed lines, and the majority class is a dotted one; if they lie far below the
    rest, words at the lower edge. A stepped line leads along the Pareto front of the means:
    whatever lies below it is beaten by something as cheap. The oracle is a point, and not on that line.
    """
    from matplotlib.lines import Line2D

    parts = panels(rows, measure)
    shown = [row for part in parts for row in _costly(part, measure)]
    crowd = max(len(_costly(part, measure)) for part in parts)
    many = crowd > CROWD
    room = 0.075 * max(len(row.paradigm) for row in shown) if many else 0.0
    height = max(HEIGHT, AROUND + beside.INCHES * (crowd + 2)) if many else HEIGHT
    figure, axes = points.panes(len(parts), WIDTH + room, height, ALONE + room, 0.4)
    strategies = [s for s in (*COLOURS, None) if any(row.strategy == s for row in shown)]
    handles: list[Any] = [
        Line2D([], [], marker=MARKER, linestyle="", color=COLOURS.get(s or "", OTHER), label=s or "other")
        for s in strategies
    ]
    named = []
    for axis, part in zip(axes, parts, strict=True):
        drawn = [row for one in parts for row in one if row.task == part[0].task and row.paradigm != "random"]
        trained = [row for row in drawn if row.n and measure.of(row)]
        bounds = limits(trained, [row for row in drawn if row not in trained])
        names = _panel(axis, part, bounds, measure, NARROW if many else NAMES)
        points.below(axis, {name.text: name.y for name in names})
        named.append([name for name in names if name.y >= bounds[0]])
    handles += points.keys(guessed=many and any(name.text == MAJORITY for names in named for name in names))
    handles += [Line2D([], [], **FRONT, label="best at its price (Pareto)")]
    columns = 3 if len(parts) == 1 else 4 if len(parts) in (2, 4) else 7
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    if many:
        looks = {row.paradigm: _look(row) for row in shown}
        for axis, part, names in zip(axes, parts, named, strict=True):
            _front(axis, part, measure)
            told = [name for name in names if name.text != MAJORITY]
            beside.write(
                axis, told, {name.text: looks.get(name.text, Look(name.colour, "")) for name in told}, height - AROUND
            )
        return figure
    figure.dpi = points.DPI  # letters are not equally wide at another
    figure.draw_without_rendering()  # where there is room for names is known once there is a layout
    figure.set_layout_engine("none")  # which then stays
    for axis, part, names in zip(axes, parts, named, strict=True):
        labels.write(axis, names, labels.drawn(axis))
        _front(axis, part, measure)
    return figure


def _front(axis: "Axes", part: Sequence[Row], measure: Measure) -> None:
    """A stepped line along the front, from what costs least to the right edge; the oracle, chosen on the test, is not on it."""
    paradigms = [row for row in (*_free(part, measure), *_costly(part, measure)) if row.told != ORACLE]
    known = [row for row in paradigms if row.mean is not None]
    if not known:
        return
    best = [known[i] for i in front([(measure.of(row) or 0.0, row.mean or 0.0) for row in known])]
    (left, right), bounds = axis.get_xlim(), axis.get_ylim()
    x = [math.log10(cost) if (cost := measure.of(row)) else left for row in best]
    y = [100 * (row.mean or 0.0) for row in best]
    axis.step([*x, right], [*y, y[-1]], where="post", **FRONT)
    axis.set_xlim(left, right)
    axis.set_ylim(*bounds)


def _panel(
    axis: "Axes", part: Sequence[Row], bounds: tuple[float, float], measure: Measure, room: float
) -> list[Label]:
    """Draw all but the names, which are returned: the best paradigm's first. There is room to the right, as a share of the span."""
    trained = sorted(_costly(part, measure), key=lambda row: (measure.of(row) or 0, row.paradigm))
    places = [math.log10(measure.of(row) or 1) for row in trained]
    span = max(places[-1] - places[0], 1.0)
    left, right = places[0] - MARGIN * span, places[-1] + room * span
    axis.set_xlim(left, right)
    axis.set_ylim(*bounds)
    names = []
    for row, at in zip(trained, _beside(places, span), strict=True):
        points.point(axis, at, row, _look(row), at + SEEDS * span)
        names.append(Label(row.paradigm, at, percents(row)[1], _look(row).colour))
    lines = [
        _line(axis, row, left + (right - left) * (0.1 + 0.2 * (i % 3) if room > NARROW else 1.0))
        for i, row in enumerate(_free(part, measure))
    ]
    majority = next(row for row in part if row.paradigm == MAJORITY)
    points.guess(axis, majority.mean)
    if majority.mean is not None:
        lines.append(Label(MAJORITY, right - 0.15 * (right - left), 100 * majority.mean, GUESS))
    _dress(axis, trained, places, measure)
    return sorted(names, key=lambda name: -name.y) + lines


def _line(axis: "Axes", row: Row, at: float) -> Label:
    """A paradigm that trains nothing; its name stands near a place."""
    _, mean, sd = percents(row)
    colour = COLOURS.get(row.strategy or "", OTHER)
    axis.axhline(mean, color=colour, linestyle="--", linewidth=1.2, zorder=1.5)
    if sd is not None:
        axis.axhspan(mean - sd, mean + sd, color=colour, alpha=0.07, linewidth=0)
    return Label(row.paradigm, at, mean, colour)


def _dress(axis: "Axes", trained: Sequence[Row], places: Sequence[float], measure: Measure) -> None:
    row, low, high = trained[0], *axis.get_xlim()
    of = min((row.trained_parameters or 0) / (row.trained_share or 1.0) for row in trained)
    steps = (1,) if places[-1] - places[0] > DECADES else (1, 2, 5)
    ticks = [n * 10**e for e in range(max(math.floor(low), 0), math.ceil(high)) for n in steps]
    ticks = [n for n in ticks if low <= math.log10(n) <= high]
    written = [measure.tick(n).replace(".0", "") for n in ticks]
    written = [
        f"{text}\n{_percent(n / of)}" if measure.has_share else text for text, n in zip(written, ticks, strict=True)
    ]
    axis.set_xticks([math.log10(n) for n in ticks], written)
    axis.locator_params(axis="y", nbins=7)
    points.dress(axis, heading(row.title), measure.axis, row.metric)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %" if share <= 1 else ""


def _beside(places: Sequence[float], span: float) -> list[float]:
    """Places, in their order, with room between those that are too near to each other."""
    runs: list[list[float]] = []
    for place in places:
        if runs and place - runs[-1][-1] < STEP * span:
            runs[-1].append(place)
        else:
            runs.append([place])
    return [
        place + (number - (len(run) - 1) / 2) * min(STEP, BREADTH / len(run)) * span
        for run in runs
        for number, place in enumerate(run)
    ]


def _costly(part: Sequence[Row], measure: Measure) -> list[Row]:
    """The paradigms that cost something, without those that train as much whatever the value of a setting."""
    settings = Counter(_setting(row) for row in part)
    return [row for row in part if row.n and measure.of(row) and settings[_setting(row)] == 1]


def _free(part: Sequence[Row], measure: Measure) -> list[Row]:
    """The paradigms that cost nothing."""
    return [row for row in part if row.n and not measure.of(row)]


def _setting(row: Row) -> object:
    named = NAMED.fullmatch(row.paradigm)
    return (named["paradigm"], named["setting"], row.trained_parameters) if named else row.paradigm


def _look(row: Row) -> Look:
    return Look(COLOURS.get(row.strategy or "", OTHER), MARKER)
