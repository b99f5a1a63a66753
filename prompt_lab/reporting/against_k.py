"""The score against the number of examples as a picture: a line a paradigm, a panel a task and backbone."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from statistics import fmean
from textwrap import fill
from typing import TYPE_CHECKING, Any

from prompt_lab.reporting import beside, points
from prompt_lab.reporting.labels import Label
from prompt_lab.reporting.picture import heading
from prompt_lab.reporting.points import Look, across, limits, save
from prompt_lab.reporting.rows import MAJORITY, WITHOUT, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, ALONE = 4.4, 6.4
"""Inches, of one of several panels and of one alone."""
BESIDE = 0.5, 0.2
"""Paradigms stand side by side over at most these shares of the way between two K and of all the axis."""
HEIGHT, AROUND = 3.4, 1.1
"""Inches, of a panel, and of that what its title and its axis take."""
BANDS, NAMED = 6, 10
"""Up to so many paradigms have bands of their standard deviation; more than so many are named beside the panel."""


def curves(rows: Sequence[Row], path: Path) -> None:
    """Write the picture as PNG. Nothing is shown, and matplotlib's own settings stay as they are.

    Raises:
        LabError: the file cannot be written.
    """
    save(draw(rows), path)


def panels(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of every task and backbone that has runs at two numbers K or more, in the table's order."""
    parts = [list(part) for _, part in groupby(rows, lambda row: (row.task, row.backbone))]
    return [part for part in parts if len(_numbers(part)) > 1]


def draw(rows: Sequence[Row]) -> "Figure":
    """The figure. There must be a panel.

    K stands on a scale of doublings, ``full`` at the right edge, unconnected. Lines go through the means, bars show one sample
    standard deviation, and bands too where there are few paradigms; faint dots are the seeds. Paradigms stand a little beside each
    other, so that none hides another; those without examples are dashed lines, and the majority class a dotted one; if they lie
    far below the rest, they are words at the lower edge. Many are named beside the panel and not in a legend.
    """
    parts = panels(rows)
    wide, looks = across(len(parts)), _looks(parts)
    many = len(looks) > NAMED
    handles = _legend(parts, {} if many else looks)
    longest = max(map(len, looks), default=0)
    width, alone = (WIDTH + 0.07 * longest, ALONE + 0.07 * longest) if many else (WIDTH, ALONE)
    columns = _columns(handles, width * wide if wide > 1 else alone)
    height = max(HEIGHT, AROUND + beside.INCHES * len(looks)) if many else HEIGHT
    figure, axes = points.panes(len(parts), width, height, alone, 0.2 * -(-len(handles) // columns) + 0.2)
    for panel, part in zip(axes, parts, strict=True):
        drawn = [
            row for one in parts for row in one if row.task == part[0].task and (row.n or row.paradigm == MAJORITY)
        ]
        trained = [row for row in drawn if _trained(row)]
        bounds = limits(trained, [row for row in drawn if not _trained(row)])
        names = _panel(panel, part, looks, bounds)
        guess = _majority(part)
        points.below(panel, {name.text: name.y for name in names} | ({} if guess is None else {MAJORITY: 100 * guess}))
        if many:
            beside.write(panel, [name for name in names if name.y >= bounds[0]], looks, height - AROUND)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    return figure


def _panel(panel: "Axes", part: Sequence[Row], looks: Mapping[str, Look], bounds: tuple[float, float]) -> list[Label]:
    """Draw all but the names, which are returned."""
    numbers = _numbers(part)
    place: dict[int | str, float] = {k: math.log2(k) for k in numbers}
    span, gap = place[numbers[-1]] - place[numbers[0]], min(place[b] - place[a] for a, b in pairwise(numbers))
    if any(row.k == "full" and _trained(row) for row in part):
        place["full"] = place[numbers[-1]] + max(gap, span / 4)
    breadth = min(BESIDE[0] * gap, BESIDE[1] * span)
    left, right = place[numbers[0]] - breadth, max(place.values()) + breadth
    panel.set_xlim(left, right)
    panel.set_ylim(*bounds)
    runs: dict[str, list[Row]] = {name: [row for row in part if row.n and _name(row) == name] for name in looks}
    trained = [name for name, found in runs.items() if found and _trained(found[0])]
    names = []
    for number, name in enumerate(trained):
        step = breadth / len(trained)
        aside = (number - (len(trained) - 1) / 2) * step
        _curve(panel, runs[name], looks[name], place, aside, 0.4 * step)
        if len(trained) <= BANDS:
            _band(panel, runs[name], looks[name], place, aside)
        names.append(
            Label(name, place[runs[name][-1].k] + aside, 100 * (runs[name][-1].mean or 0.0), looks[name].colour)
        )
    for number, name in enumerate(name for name, found in runs.items() if found and name not in trained):
        row, look = runs[name][0], looks[name]
        mean = 100 * (row.mean or 0.0)
        names.append(Label(name, right, mean, look.colour))
        if mean < bounds[0]:
            continue
        ends = [left, left + 0.035 * number * (right - left), right]  # equal scores: the markers still stand apart
        panel.plot(ends, [mean] * 3, "--", color=look.colour, linewidth=1.2, marker=look.marker, markevery=[1],
                   markerfacecolor="white", markersize=6, clip_on=False, zorder=1.5)  # fmt: skip
        if row.sd is not None:
            panel.axhspan(mean - 100 * row.sd, mean + 100 * row.sd, color=look.colour, alpha=0.07, linewidth=0)
    points.guess(panel, _majority(part))
    _dress(panel, part[0], place)
    return names


def _band(panel: "Axes", rows: Sequence[Row], look: Look, place: Mapping[int | str, float], aside: float) -> None:
    """The standard deviation between two K, where both have one."""
    known = [row for row in rows if row.k != "full" and row.sd is not None]
    if len(known) < 2:
        return
    x = [place[row.k] + aside for row in known]
    ends = [[100 * ((row.mean or 0.0) + sign * (row.sd or 0.0)) for row in known] for sign in (-1, 1)]
    panel.fill_between(x, ends[0], ends[1], color=look.colour, alpha=0.1, linewidth=0, zorder=0.5)


def _curve(
    panel: "Axes", rows: Sequence[Row], look: Look, place: Mapping[int | str, float], beside: float, seeds: float
) -> None:
    """One paradigm: its line, which ends where K is no number, the bars, and the seeds to the right of their mean."""
    line = [row for row in rows if row.k != "full"]
    panel.plot(
        [place[row.k] + beside for row in line],
        [100 * (row.mean or 0.0) for row in line],
        color=look.colour,
        linewidth=1.4,
    )
    for row in rows:
        at = place[row.k] + beside
        points.point(panel, at, row, look, at + seeds)


def _dress(panel: "Axes", row: Row, place: Mapping[int | str, float]) -> None:
    left, right = panel.get_xlim()
    written: list[float] = []
    for at in place.values():  # numbers too close to be read side by side keep their ticks alone
        if not written or at - written[-1] > 0.07 * (right - left):
            written.append(at)
    panel.set_xticks(list(place.values()), [str(k) if at in written else "" for k, at in place.items()])
    panel.locator_params(axis="y", nbins=7)
    points.dress(panel, heading(f"{row.task} · {row.backbone}"), "K, examples of each label", row.metric)


def _trained(row: Row) -> bool:
    return row.n > 0 and row.shots != 0


def _numbers(part: Sequence[Row]) -> list[int]:
    return sorted({row.k for row in part if _trained(row) and isinstance(row.k, int)})


def _majority(part: Sequence[Row]) -> float | None:
    return next(row.mean for row in part if row.paradigm == MAJORITY)


def _name(row: Row) -> str:
    """What a paradigm is called here; it may have run with examples and without."""
    return row.paradigm if row.shots != 0 else f"{row.paradigm.removesuffix(WITHOUT)}{WITHOUT}"


def _looks(parts: Sequence[Sequence[Row]]) -> dict[str, Look]:
    """How every paradigm looks, those with examples first, and of these the one with the highest mean at the largest K.

    Looks are dealt out by name, so that they do not change with the scores.
    """
    at_last: dict[tuple[bool, str], list[float]] = {}
    for part in parts:
        largest = _numbers(part)[-1]
        for row in part:
            if row.n:
                means = at_last.setdefault((not _trained(row), _name(row)), [])
                means += [row.mean or 0.0] if row.k == largest else []
    found = {key: points.look(i) for i, key in enumerate(sorted(at_last))}
    order = sorted(found, key=lambda key: (key[0], not at_last[key], -fmean(at_last[key] or [0.0]), key))
    return {name: found[without, name] for without, name in order}


def _legend(parts: Sequence[Sequence[Row]], looks: Mapping[str, Look]) -> list[Any]:
    """Every paradigm, then what dots and lines mean."""
    from matplotlib.lines import Line2D

    found = list[Any]()
    for name, look in looks.items():
        style: dict[str, Any] = {"linestyle": "--", "markerfacecolor": "white"} if name.endswith(WITHOUT) else {}
        found.append(Line2D([], [], color=look.colour, marker=look.marker, markersize=5, label=fill(name, 60), **style))
    return found + points.keys(guessed=any(_majority(part) is not None for part in parts))


def _columns(handles: Sequence[Any], width: float) -> int:
    """As many as the longest label leaves room for; in inches, a letter of this size takes .065 and a line's sample .6."""
    longest = max(len(line) for handle in handles for line in handle.get_label().split("\n"))
    return max(1, min(len(handles), int(width / (0.065 * longest + 0.6))))
