"""Where the spread of a paradigm's scores comes from, as a picture: a panel for runs that differ in more than one kind of seed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_lab.errors import LabError
from prompt_lab.reporting import points
from prompt_lab.reporting.comparable import Record
from prompt_lab.reporting.picture import heading
from prompt_lab.reporting.points import COLOURS, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prompt_lab.statistics.variance import Component

FACTORS = {"split_seed": "split", "init_seed": "initialisation", "order_seed": "order", "template": "template"}
"""What of a record may vary, and what it is called."""
REACH = 4
"""An interval is drawn up to so many times the largest standard deviation; few levels leave it far longer."""
_INCIDENTAL = {"name", "out", "wandb", "wandb_project", "save_model", "init_seed", "order_seed"}


@dataclass(frozen=True)
class Panel:
    """Runs of one paradigm with the same settings but for seeds and template.

    Attributes:
        title: where, and of which paradigm.
        runs: how many.
        how: how the factors were varied.
        components: the variance that belongs to each.
    """

    title: str
    runs: int
    how: str
    components: Sequence["Component"]


def panels(records: Iterable[Record]) -> list[Panel]:
    """Every set of runs in which two or more factors can be told apart; seeds that only ever change together are one."""
    sets: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        paradigm = record["paradigm"].partition(".")[0]
        place = record["task"], record["backbone"], record["k"], paradigm
        sets.setdefault((*place, json.dumps(_else(record), sort_keys=True, default=str)), []).append(record)
    found = [_panel(key[:4], runs) for key, runs in sets.items()]
    return [panel for panel in found if panel is not None]


def curves(parts: Sequence[Panel], path: Path) -> None:
    """Write the picture as PNG.

    Raises:
        LabError: the file cannot be written.
    """
    save(draw(parts), path)


def draw(parts: Sequence[Panel]) -> "Figure":
    """The figure: the standard deviation that each factor brings, in points of the score, with its 95 % interval where it is known.

    An interval that goes on beyond what is drawn of it ends in an arrow.
    """
    figure, axes = points.panes(len(parts), 4.8, 2.5, 6.4, 0.1, hspace=0.1)
    for axis, part in zip(axes, parts, strict=True):
        _draw(axis, part)
    return figure


def _draw(axis: "Axes", part: Panel) -> None:
    furthest = REACH * max(100 * one.variance**0.5 for one in part.components)
    for place, one in enumerate(part.components):
        sd = 100 * one.variance**0.5
        axis.barh(place, sd, height=0.55, color=COLOURS[0], alpha=0.85)
        end = _interval(axis, place, one, furthest) or sd
        axis.annotate(
            f"{100 * one.share:.0f} %", (end, place), (5, 0), textcoords="offset points", va="center", fontsize=8
        )
    names = [f"{one.factor} ({one.levels})" for one in part.components]
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.margins(x=0.18)
    axis.set_xlim(left=0)
    points.dress(
        axis,
        heading(part.title),
        f"sd of the score in points, and share of the sum of variances\n{part.how}, {part.runs} runs",
        "",
    )
    axis.set_ylabel("")
    axis.grid(axis="y", visible=False)


def _interval(axis: "Axes", place: int, one: "Component", furthest: float) -> float | None:
    """Draw the 95 % interval of the standard deviation up to some place, and say where it ends; None where there is none."""
    if one.low is None or one.high is None:
        return None
    low, high = 100 * one.low**0.5, 100 * one.high**0.5
    end = min(high, furthest)
    look: dict[str, Any] = {"color": "#000000", "linewidth": 1.1}
    axis.plot([low, end], [place, place], marker="|", markersize=7, markevery=[0], **look)
    axis.plot(end, place, marker="|" if end == high else ">", markersize=7 if end == high else 4, **look)
    return end


def _panel(place: Sequence[Any], runs: Sequence[Record]) -> Panel | None:
    from prompt_lab.statistics import variance

    task, backbone, k, paradigm = place
    levels = [
        ({name: str(run.get(key)) for key, name in FACTORS.items()}, run["scores"][run["metric"]]) for run in runs
    ]
    title = f"{task} · {backbone} · K = {k} · {paradigm}"
    for how, ask in (("all combinations", variance.crossed), ("one varied at a time", variance.one_at_a_time)):
        with suppress(LabError):  # the runs are of another design
            components = ask(levels)
            return Panel(title, len(runs), how, components) if len(components) > 1 else None
    return None


def _else(record: Record) -> Mapping[str, Any]:
    """The settings without those that name the run, and without those that are factors."""
    config = {k: v for k, v in (record.get("config") or record["settings"]).items() if k not in _INCIDENTAL}
    data = {k: v for k, v in (config.get("data") or {}).items() if k != "seed"}
    model = dict(config.get("model") or {})
    model["init_args"] = {k: v for k, v in (model.get("init_args") or {}).items() if k != "template"}
    return {**config, "data": data, "model": model}
