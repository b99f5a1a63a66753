"""What was taken for what, as a picture: the labels that were given against the true ones, a row of panels a task."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_lab.reporting.best import best, largest
from prompt_lab.reporting.picture import heading
from prompt_lab.reporting.points import save
from prompt_lab.reporting.rows import Row
from prompt_lab.reporting.study import outcomes_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prompt_lab.reporting.outcomes import Outcome
    from prompt_lab.statistics.scored import Floats

WRITTEN, NAMED, FLAT = 8, 24, 26
"""Up to so many labels every share is written into its field, up to so many are named, and so many letters of all names stand side
by side."""
LETTERS, TITLE = 16, 26
"""That there is room for, of a label and of a paradigm."""
SHADES = "#ffffff", "#0072B2", "#00273d"


@dataclass(frozen=True, eq=False)
class Panel:
    """One paradigm on one task.

    Attributes:
        title: of its group.
        paradigm: its name.
        labels: names, in the order of rows and columns.
        share_CC: [C, C] of the items of each true label (rows) the share that was given each label, over all seeds.
        runs: how many seeds that is over.
    """

    title: str
    paradigm: str
    labels: tuple[str, ...]
    share_CC: "Floats"
    runs: int


def panels(rows: Sequence[Row], outcomes: Sequence["Outcome"], baseline: str | None) -> list[list[Panel]]:
    """For every task and backbone, at its largest K, the baseline and the best paradigms; tasks of numbers have none."""
    found = []
    for part in largest(rows):
        here = [(row, tests) for row in best(part, baseline) if (tests := outcomes_of(row, outcomes))]
        line = [_panel(row, tests) for row, tests in here if tests[0].number_N is None]
        found += [line] if line else []
    return found


def curves(parts: Sequence[Sequence[Panel]], path: Path) -> None:
    """Write the picture as PNG.

    Raises:
        LabError: the file cannot be written.
    """
    save(draw(parts), path)


def draw(parts: Sequence[Sequence[Panel]]) -> "Figure":
    """The figure: true labels down, given ones across, shares of each true label in %."""
    from matplotlib.figure import Figure

    wide = max(map(len, parts))
    inches = [max(2.1, 0.34 * len(line[0].labels) if len(line[0].labels) <= WRITTEN else 3.2) + 1.2 for line in parts]
    figure = Figure(figsize=(3.3 * wide + 1.0, sum(inches)))
    figure.set_layout_engine("constrained", hspace=0.08, wspace=0.06)
    axes = figure.subplots(len(parts), wide, squeeze=False, height_ratios=inches)
    for line_of_axes, line in zip(axes, parts, strict=True):
        for axis, panel in zip(line_of_axes, line, strict=False):
            _draw(axis, panel, is_first=panel is line[0])
        for axis in line_of_axes[len(line) :]:
            axis.remove()
    return figure


def _panel(row: Row, tests: Sequence["Outcome"]) -> Panel:
    import numpy as np

    classes = len(tests[0].labels)
    counts = np.zeros((classes, classes))
    for test in tests:
        np.add.at(counts, (test.label_N, test.logp_NC.argmax(1)), 1)
    share_CC = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return Panel(row.title, row.paradigm, tests[0].labels, share_CC, len(tests))


def _draw(axis: "Axes", panel: Panel, *, is_first: bool) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    axis.imshow(panel.share_CC, cmap=LinearSegmentedColormap.from_list("shares", SHADES), vmin=0, vmax=1, aspect="auto")
    classes = len(panel.labels)
    if classes <= WRITTEN:
        for true in range(classes):
            for given in range(classes):
                share = panel.share_CC[true, given]
                axis.text(
                    given,
                    true,
                    f"{100 * share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if share > 0.4 else "black",
                )
    step = -(-classes // NAMED)
    ticks = list(range(0, classes, step))
    names = [_short(panel.labels[i]) for i in ticks]
    slanted: dict[str, Any] = (
        {"rotation": 50, "ha": "right", "rotation_mode": "anchor"} if sum(map(len, names)) > FLAT else {}
    )
    axis.set_xticks(ticks, names, fontsize=8, **slanted)
    axis.set_yticks(ticks, names if is_first else [""] * len(ticks), fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_color("#bbbbbb")
    above = f"{heading(panel.title)}\n" if is_first else ""
    axis.set_title(f"{above}{_short(panel.paradigm, TITLE)}", fontsize=9, fontweight="bold", loc="left")
    axis.set_xlabel("given label", fontsize=8)
    if is_first:
        axis.set_ylabel("true label, % of each", fontsize=8)


def _short(name: str, letters: int = LETTERS) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1]}…"
