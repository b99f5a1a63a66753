"""How far gates are open in every layer, as a picture (UniPELT: Mao et al. 2022, section 4.5): a panel a task and paradigm."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from prompt_lab.reporting import points
from prompt_lab.reporting.comparable import Record
from prompt_lab.reporting.picture import heading
from prompt_lab.reporting.points import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Gates = Mapping[str, Mapping[str, float]]
"""How far the gates of every method are open, by place."""


class Panel(NamedTuple):
    """The gates of a paradigm's runs, seed by seed, in one group."""

    title: str
    seeds: list[Gates]


def panels(records: Iterable[Record]) -> list[Panel]:
    """Every task, backbone, K and paradigm whose runs have gates."""
    found: dict[str, Panel] = {}
    for record in records:
        if gates := record.get("method", {}).get("gates"):
            title = f"{record['task']} · {record['backbone']} · K = {record['k']} · {record['paradigm']}"
            found.setdefault(title, Panel(title, [])).seeds.append(gates)
    return list(found.values())


def curves(parts: Sequence[Panel], path: Path) -> None:
    """Write the picture as PNG.

    Raises:
        LabError: the file cannot be written.
    """
    save(draw(parts), path)


def draw(parts: Sequence[Panel]) -> "Figure":
    """The figure: every method's gates from the first layer to the last, the mean over seeds as a line, the seeds as faint dots."""
    from matplotlib.lines import Line2D

    figure, axes = points.panes(len(parts), 4.6, 3.0, 6.4, 0.4)
    names = sorted({method for part in parts for gates in part.seeds for method in gates})
    looks = {name: points.look(i) for i, name in enumerate(names)}
    for axis, part in zip(axes, parts, strict=True):
        for method, (colour, marker) in looks.items():
            rows = [list(gates[method].values()) for gates in part.seeds if method in gates]
            if not rows:
                continue
            places = [(i + 0.5) / len(rows[0]) for i in range(len(rows[0]))]
            for row in rows:
                axis.plot(places, row, "o", color=colour, alpha=0.35, markersize=3, markeredgewidth=0)
            mean = [fmean(at) for at in zip(*rows, strict=True)]
            axis.plot(places, mean, color=colour, marker=marker, markersize=4, linewidth=1.3)
        axis.set_xlim(0, 1)
        axis.set_xticks([0, 1], ["first layer", "last layer"])
        points.dress(axis, heading(part.title), "", "gates")
        axis.set_ylabel("open, mean over texts", fontsize=8)
    handles = [Line2D([], [], color=c, marker=m, markersize=4, label=name) for name, (c, m) in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    return figure
