"""Whether a paradigm that says 80 % is right in 80 of 100 cases, as a picture: a panel a task and backbone (Guo et al. 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from prompt_lab.reporting import points
from prompt_lab.reporting.best import best, largest
from prompt_lab.reporting.picture import heading
from prompt_lab.reporting.points import GUESS, save
from prompt_lab.reporting.rows import Row
from prompt_lab.reporting.study import outcomes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prompt_lab.reporting.outcomes import Outcome
    from prompt_lab.statistics.calibration import Reliability

FEWEST = 10
"""A bin with fewer items says too little to be drawn."""


@dataclass(frozen=True)
class Curve:
    """How well one paradigm knows what it does not know.

    Attributes:
        paradigm: its name.
        pooled: the curve of all its runs, laid end to end.
        ece: the expected calibration error, the mean of the runs' own.
        brier: the Brier score, likewise.
    """

    paradigm: str
    pooled: "Reliability"
    ece: float
    brier: float


def calibrated(part: Sequence[Row], outcomes: Sequence["Outcome"]) -> list[Curve]:
    """Every paradigm of a group whose runs stored their predictions, in its order; none on a task of numbers."""
    found = [(row.paradigm, outcomes_of(row, outcomes)) for row in part if row.n]
    return [_curve(name, tests) for name, tests in found if tests and tests[0].number_N is None]


def panels(rows: Sequence[Row], outcomes: Sequence["Outcome"], baseline: str | None) -> list[tuple[str, list[Curve]]]:
    """For every task and backbone, at its largest K, the baseline and the best paradigms."""
    found = [(part[0].title, calibrated(best(part, baseline), outcomes)) for part in largest(rows)]
    return [(title, curves) for title, curves in found if curves]


def curves(parts: Sequence[tuple[str, Sequence[Curve]]], path: Path) -> None:
    """Write the picture as PNG.

    Raises:
        LabError: the file cannot be written.
    """
    save(draw(parts), path)


def draw(parts: Sequence[tuple[str, Sequence[Curve]]]) -> "Figure":
    """The figure: how often a label was right against how probable it was said to be; on the diagonal both agree."""
    figure, axes = points.panes(len(parts), 4.0, 4.3, 4.8, 0.1)
    names = sorted({curve.paradigm for _, part in parts for curve in part})
    looks = {name: points.look(i) for i, name in enumerate(names)}
    for axis, (title, part) in zip(axes, parts, strict=True):
        axis.plot([0, 100], [0, 100], color=GUESS, linestyle=":", linewidth=1.2)
        for curve in part:
            _line(axis, curve, looks[curve.paradigm])
        axis.set_xlim(0, 100)
        axis.set_ylim(0, 100)
        points.dress(axis, heading(title, 38), "probability of the given label, %", "")
        axis.set_ylabel("right, %", fontsize=8)
        axis.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), handlelength=1.6)
    return figure


def _curve(name: str, tests: Sequence["Outcome"]) -> Curve:
    import numpy as np

    from prompt_lab.statistics.calibration import reliability

    own = [reliability(test.logp_NC, test.label_N) for test in tests]
    pooled = reliability(np.concatenate([t.logp_NC for t in tests]), np.concatenate([t.label_N for t in tests]))
    return Curve(name, pooled, fmean(one.ece for one in own), fmean(one.brier for one in own))


def _line(axis: "Axes", curve: Curve, look: points.Look) -> None:
    kept = curve.pooled.count >= FEWEST
    label = f"{curve.paradigm} (ECE {100 * curve.ece:.1f})"
    x, y = 100 * curve.pooled.confidence[kept], 100 * curve.pooled.accuracy[kept]
    axis.plot(x, y, color=look.colour, marker=look.marker, markersize=4, linewidth=1.2, label=label, clip_on=False)
