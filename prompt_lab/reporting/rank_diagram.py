"""Mean ranks over tasks as a picture, with what is not told apart (Demsar 2006): a panel for those that were told the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_lab.reporting.picture import COLOURS, OTHER, heading
from prompt_lab.reporting.points import GUESS, save
from prompt_lab.reporting.rows import WITHOUT, Row
from prompt_lab.reporting.told import ORACLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prompt_lab.statistics.ranks import Ranks

METHODS, TASKS = 3, 2
ALPHA = 0.05
CHANCE = "these ranks as a whole cannot be told from chance"


@dataclass(frozen=True)
class Panel:
    """Paradigms that were told the same and ran on all tasks of a backbone and K.

    Attributes:
        title: backbone, K, and what they were told.
        tasks: names of the tasks.
        mean: the mean score by paradigm and task.
        strategy: the tuning strategy by paradigm.
    """

    title: str
    tasks: list[str]
    mean: dict[str, dict[str, float]]
    strategy: dict[str, str]

    def ranks(self) -> "Ranks":
        """Mean ranks, Friedman's test, the critical difference."""
        import numpy as np

        from prompt_lab.statistics.ranks import ranks

        return ranks(np.array([[means[task] for task in self.tasks] for means in self.mean.values()]), list(self.mean))


def panels(rows: Sequence[Row]) -> tuple[list[Panel], list[str]]:
    """A panel wherever three paradigms were told the same on the same two tasks or more, and why others have none.

    Paradigms are ranked with those of their backbone and K that were told the same, as in the tables. Runs with K = 0, which stand in
    the table of every K, are ranked once.

    Returns:
        The panels; and which paradigms are in none although others like them are, and where there is no panel, each with its reason.
    """
    places: dict[tuple[str, int | str, str], list[Row]] = {}
    for row in rows:
        if row.n and row.told != ORACLE:
            k = 0 if row.shots == 0 else row.k
            places.setdefault((row.backbone, k, row.told or ""), []).append(row)
    found, reasons = list[Panel](), list[str]()
    for (backbone, k, told), here in places.items():
        panel, why = _of(f"{backbone} · K = {k} · {told}", here)
        found += [panel] if panel else []
        reasons += [why] if why else []
    return found, reasons


def _of(title: str, here: Sequence[Row]) -> tuple[Panel | None, str | None]:
    """The panel of rows that were told the same, and who is not in it, or why there is none."""
    tasks = list(dict.fromkeys(row.task for row in here))
    mean: dict[str, dict[str, float]] = {}
    for row in here:
        mean.setdefault(_name(row), {})[row.task] = row.mean or 0.0
    everywhere = {name: means for name, means in mean.items() if len(means) == len(tasks)}
    if len(tasks) < TASKS:
        return None, f"{title}: ranks are compared over {TASKS} tasks or more, and there is one"
    if len(everywhere) < METHODS:
        ran = f"{len(everywhere)} paradigm{'' if len(everywhere) == 1 else 's'} ran on all {len(tasks)} tasks"
        return None, f"{title}: {ran}, and ranks need {METHODS}"
    dropped = [name for name in mean if name not in everywhere]
    why = f"{', '.join(dropped)} in {title}: not run on all {len(tasks)} tasks" if dropped else None
    return Panel(title, tasks, everywhere, {_name(row): row.strategy or "" for row in here}), why


def _name(row: Row) -> str:
    """What a paradigm is called here; the panel's title says K = 0."""
    return row.paradigm.removesuffix(WITHOUT) if row.shots == 0 else row.paradigm


def curves(parts: Sequence[Panel], path: Path) -> None:
    """Write the picture as PNG.

    Raises:
        LabError: the file cannot be written.
    """
    save(draw(parts), path)


def draw(parts: Sequence[Panel]) -> "Figure":
    """The figure: a line a paradigm, the best mean rank at the top; bars at the right join those that are not told apart.

    Where Friedman's p is .05 or more none are told apart (Demsar 2006, section 3.2.2): one bar joins all, and a line below says so.
    """
    from matplotlib.figure import Figure

    longest = max(len(name) for part in parts for name in part.mean)
    wide = 1 if len(parts) == 1 else 2
    lines = [parts[i : i + wide] for i in range(0, len(parts), wide)]
    inches = [0.24 * max(len(part.mean) for part in line) + 1.3 for line in lines]
    figure = Figure(figsize=((3.6 + 0.078 * longest) * wide, sum(inches)))
    figure.set_layout_engine("constrained", hspace=0.06, wspace=0.05)
    axes = figure.subplots(len(lines), wide, squeeze=False, height_ratios=inches).ravel().tolist()
    for axis, part in zip(axes, parts, strict=False):
        _panel(axis, part)
    for axis in axes[len(parts) :]:
        axis.remove()
    return figure


def _panel(axis: "Axes", part: Panel) -> None:
    found = part.ranks()
    for place, (name, rank) in enumerate(zip(found.methods, found.mean_rank, strict=True)):
        colour = COLOURS.get(part.strategy[name], OTHER)
        axis.plot([1, rank], [place, place], color=colour, linewidth=1, alpha=0.35)
        axis.plot(rank, place, "D", color=colour, markersize=5)
    worst = len(found.methods)
    for number, group in enumerate(_columns(found)):
        for first, last in group:
            at = worst + 0.35 + 0.03 * worst * (number + 1)
            axis.plot([at, at], [first - 0.25, last + 0.25], color=GUESS, linewidth=2.5, solid_capstyle="butt")
    axis.set_yticks(range(worst), list(found.methods))
    axis.set_ylim(worst - 0.4, -1.6)
    axis.annotate(
        f"critical difference {found.critical:.1f}", (1, -0.65), (0, 5), textcoords="offset points", fontsize=8
    )
    axis.plot(
        [1, min(1 + found.critical, worst)], [-0.65, -0.65], color="#000000", marker="|", markersize=7, linewidth=1.2
    )
    axis.set_xlim(0.5, worst * 1.03 + 0.5 + 0.03 * worst * len(_columns(found)))
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0, labelsize=9)
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(axis="x", color="#dddddd", linewidth=0.7)
    axis.set_axisbelow(True)
    axis.locator_params(axis="x", nbins=6, integer=True)
    said = "p < .001" if found.p < 0.001 else f"p = {found.p:.3f}".replace("0.", ".")
    axis.set_title(heading(f"{part.title} · {found.tasks} tasks"), fontsize=10, fontweight="bold", loc="left")
    chance = "" if found.p < ALPHA else f":\n{CHANCE}"
    axis.set_xlabel(f"mean rank, 1 is best; Friedman {said}{chance}", fontsize=8)


def _columns(found: "Ranks") -> list[list[tuple[int, int]]]:
    """The groups that are not told apart, from their first place to their last, in as few columns as keep them from touching.

    If Friedman's test does not tell the ranks from chance, all are one group.
    """
    columns: list[list[tuple[int, int]]] = []
    for group in found.groups if found.p < ALPHA else (found.methods,):
        span = found.methods.index(group[0]), found.methods.index(group[-1])
        free = next((column for column in columns if column[-1][1] < span[0]), None)
        if free is None:
            columns.append([span])
        else:
            free.append(span)
    return columns
