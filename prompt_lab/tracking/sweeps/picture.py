"""The validation score against each setting of a sweep as a picture: a panel a parameter, a colour a paradigm."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_lab.reporting import points
from prompt_lab.reporting.points import Look, save
from prompt_lab.tracking.sweeps.file import Sweep
from prompt_lab.tracking.sweeps.naming import shorts
from prompt_lab.tracking.sweeps.outcome import best, is_plain, said
from prompt_lab.tracking.sweeps.search import Trial
from prompt_lab.tracking.sweeps.space import Parameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BREADTH = 0.04
"""Paradigms that tried the same value stand side by side over this share of the panel."""


def score_against_settings(tried: Sequence[Trial], sweep: Sweep, path: Path) -> None:
    """Write the picture as PNG. There must be a trial with a score.

    Raises:
        LabError: the file cannot be written.
    """
    save(draw(tried, sweep), path)


def draw(tried: Sequence[Trial], sweep: Sweep) -> "Figure":
    """The figure: a mean over seeds a dot, with one sample standard deviation as its bar; the chosen settings have a ring."""
    from matplotlib.lines import Line2D

    looks = {name: points.look(number) for number, name in enumerate(sweep.paradigms)}
    figure, axes = points.panes(len(sweep.searched), 4.4, 3.2, 6.4, 0.5, hspace=0.08)
    for axis, (short, one) in zip(axes, shorts(sweep.searched).items(), strict=True):
        _panel(axis, _Scale(one), tried, sweep, looks)
        points.dress(axis, short, one.name, sweep.metric)
        if is_plain(sweep.metric):
            axis.set_ylabel(sweep.metric.replace("/", " "), fontsize=8)
    handles = [Line2D([], [], color=c, marker=m, markersize=5, linewidth=0, label=n) for n, (c, m) in looks.items()]
    ring = Line2D([], [], marker="o", markersize=11, fillstyle="none", color=points.GUESS, linewidth=0, label="chosen")
    bar = points.keys(guessed=False)[-1]
    figure.legend(handles=[*handles, ring, bar], loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


class _Scale:
    """Where the values of a parameter stand: numbers in their order, those over a wide range by their logarithms; others in a row."""

    def __init__(self, one: Parameter) -> None:
        self.one = one
        self.is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in one.values)
        ends = (min(one.values), max(one.values)) if one.values and self.is_number else (one.low, one.high)
        self.is_log = self.is_number and ends[0] > 0 and (one.is_log or ends[1] > 10 * ends[0])
        self.ends = [self._place(end) for end in ends] if self.is_number else [0.0, len(one.values) - 1.0]

    def at(self, trial: Trial, beside: float) -> float:
        """Where a trial stands, a share of the panel beside its value."""
        value = trial.settings[self.one.name]
        place = self._place(value) if self.is_number else float(self.one.values.index(value))
        place += beside * (self.ends[1] - self.ends[0])
        return 10**place if self.is_log else place

    def _place(self, value: float) -> float:
        return math.log10(value) if self.is_log else float(value)

    def dress(self, axis: "Axes") -> None:
        """The whole range that was searched."""
        if self.is_log:
            axis.set_xscale("log")
            axis.tick_params(axis="x", which="minor", labelbottom=False)
        if not self.is_number:
            axis.set_xticks(range(len(self.one.values)), [said(value)[:18] for value in self.one.values])
        room = 0.06 * (self.ends[1] - self.ends[0])
        left, right = self.ends[0] - room, self.ends[1] + room
        axis.set_xlim(*((10**left, 10**right) if self.is_log else (left, right)))


def _panel(axis: "Axes", scale: _Scale, tried: Sequence[Trial], sweep: Sweep, looks: Mapping[str, Look]) -> None:
    unit, chosen = 1 if is_plain(sweep.metric) else 100, best(tried, sweep)
    for number, (name, look) in enumerate(looks.items()):
        beside = BREADTH * (number - (len(looks) - 1) / 2) / len(looks)
        own = [
            (scale.at(one, beside), unit * one.mean, one)
            for one in tried
            if one.paradigm == name and one.mean is not None
        ]
        own.sort(key=lambda dot: dot[0])
        if scale.is_number and len(sweep.searched) == 1:
            axis.plot([x for x, _, _ in own], [y for _, y, _ in own], color=look.colour, linewidth=1.2)
        for x, y, one in own:
            bar = None if one.sd is None else unit * one.sd
            axis.errorbar(x, y, yerr=bar, fmt=look.marker, color=look.colour, markersize=5, capsize=2.5, linewidth=1.1)
            if one is chosen[name]:
                axis.plot([x], [y], "o", markersize=11, fillstyle="none", color=look.colour)
    scale.dress(axis)
