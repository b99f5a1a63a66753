"""A W&B workspace and a W&B report, made from code, in which the runs of a project are compared (W&B, "wandb-workspaces")."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prompt_lab.errors import LabError
from prompt_lab.tracking import account, panels

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import PanelGrid, Report, Runset
    from wandb_workspaces.workspaces import Workspace

TITLE = "Methods with few labels"
METRIC = "test/acc"
"""What is compared where no run says otherwise."""


@dataclass(frozen=True)
class Part:
    """Runs that may be compared: those of one task and backbone.

    Attributes:
        task: its name.
        backbone: as it was given.
        metric: the task's own.
        ks: every K that was run, without 0.
    """

    task: str
    backbone: str
    metric: str
    ks: tuple[int | str, ...]


def parts(records: Iterable[Mapping[str, Any]]) -> list[Part]:
    """The tasks and backbones of finished runs, each with its Ks."""
    found: dict[tuple[str, str], tuple[str, set[int | str]]] = {}
    for record in records:
        _, ks = found.setdefault((record["task"], record["backbone"]), (record["metric"], set()))
        ks.add(record["k"])
    return [
        Part(task, backbone, metric, tuple(sorted(ks - {0}, key=lambda k: (isinstance(k, str), k))))
        for (task, backbone), (metric, ks) in sorted(found.items())
    ]


def workspace(entity: str, project: str, found: Sequence[Part]) -> "Workspace":
    """A workspace over one task, backbone and K at a time: the filters on its left say which, and can be turned.

    Without parts there are no filters, and runs are grouped by task, backbone, K and paradigm, so that no mean is over two tasks.
    """
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    first = found[0] if found else None
    metric = first.metric if first else METRIC
    runset = ws.RunsetSettings(
        filters=_filter(first, first.ks[0] if first and first.ks else None),
        groupby=[] if first else [expr.Config(name) for name in ("task", "backbone", "k", "paradigm")],
        order=[expr.Ordering(expr.Summary(metric), ascending=False)],
        pinned_columns=["run:displayName", *panels.columns(metric)],
    )
    sections = {
        "Scores (filters: one task, backbone and K)": panels.scores(metric),
        "Against K (take the filter on k away)": panels.against_k(metric),
        "Training and validation": panels.curves(),
        "What moves": panels.movement(),
        "Cost": panels.cost(),
        "Predictions": panels.predictions(),
    }
    return ws.Workspace(
        entity=entity,
        project=project,
        name=TITLE,
        sections=[
            ws.Section(name=name, panels=shown if first else panels.following(shown), is_open=True)
            for name, shown in sections.items()
        ],
        settings=ws.WorkspaceSettings(x_axis=panels.STEP, smoothing_type="none", max_runs=panels.MANY),
        runset_settings=runset,
    )


def report(entity: str, project: str, found: Sequence[Part], *, linked: bool) -> "Report":
    """A report with a chapter for each task and backbone, and in it a section for each K and one over all of them.

    Args:
        entity: whose project it is.
        project: where the runs are.
        found: what there is to compare; without it there is one section, grouped by task, backbone, K and paradigm.
        linked: name the project in every set of runs, for which W&B is asked for its number; without it they are those of the report.
    """
    from wandb_workspaces.reports.v2 import interface as wr

    place: dict[str, Any] = {"entity": entity, "project": project} if linked else {}
    blocks: list[Any] = [wr.P(_EXPLAINED), wr.TableOfContents()]
    for part in found:
        blocks.append(wr.H1(f"{part.task} · {part.backbone}"))
        for k in part.ks or (0,):
            shown = [
                *panels.scores(part.metric),
                *panels.curves(),
                *panels.movement(),
                *panels.cost(),
                *panels.predictions(),
            ]
            blocks += [wr.H2(f"K = {k}"), _grid(shown, _runset(part, k, place))]
        if len(part.ks) > 1:
            blocks += [wr.H2("Against K"), _grid(panels.against_k(part.metric), _runset(part, None, place))]
    if not found:
        shown = [
            *panels.scores(METRIC),
            *panels.against_k(METRIC),
            *panels.curves(),
            *panels.movement(),
            *panels.cost(),
        ]
        shown = panels.following([*shown, *panels.predictions()])
        blocks += [wr.H1("All runs"), _grid(shown, _runset(None, None, place))]
    return wr.Report(entity=entity, project=project, title=TITLE, description=_SHORT, blocks=blocks, width="fluid")


def definition(workspace: "Workspace", report: "Report") -> dict[str, Any]:
    """What W&B is sent for both, as JSON can hold it."""
    view, page = workspace._to_model(), report._to_model()
    return {
        "workspace": {
            "name": view.display_name,
            "entity": view.entity,
            "project": view.project,
            "spec": _plain(view.spec),
        },
        "report": {
            "name": page.display_name,
            "entity": report.entity,
            "project": report.project,
            "spec": _plain(page.spec),
        },
    }


def publish(entity: str, project: str, found: Sequence[Part]) -> tuple[str, str]:
    """Send both to W&B. Each call makes new ones.

    Returns:
        The links to the workspace and to the report.

    Raises:
        LabError: there is no such project, or W&B refuses them.
    """
    try:
        if project in {one.name for one in account.api().projects(entity)}:
            made = workspace(entity, project, found).save()
            return made.url, report(entity, project, found, linked=True).save().url
    except Exception as error:
        raise LabError(
            f"W&B does not take it ({type(error).__name__}: {str(error).strip().splitlines()[0]})"
        ) from error
    raise LabError(
        f"{entity} has no project {project} in W&B. Runs make it: prompt-lab sync RUNS --entity {entity} --project {project}"
    )


_SHORT = "Paradigms by task, backbone and K: scores, curves, cost and what each was told."
_EXPLAINED = (
    "Bars and lines are means over the seeds of the split, with one standard deviation or the range. Runs are compared within one "
    "task, backbone and K; those with K = 0 stand beside every K. The table below each set of panels holds what a run cost and was "
    "told, and its filters can be turned. Differences are tested by `prompt-lab report`, not here."
)


def _filter(part: Part | None, k: int | str | None) -> str:
    """W&B's words for the runs of a part with a K, and those that need no examples."""
    if part is None:
        return ""
    of_k = [] if k is None else [f"Config('k') in {[0] if k == 0 else [0, k]}"]
    return " and ".join([f"Config('task') = {part.task!r}", f"Config('backbone') = {part.backbone!r}", *of_k])


def _runset(part: Part | None, k: int | str | None, place: Mapping[str, Any]) -> "Runset":
    from wandb_workspaces.reports.v2 import interface as wr

    metric = part.metric if part else METRIC
    return wr.Runset(
        **place,
        name="all runs" if part is None else f"{part.task}, {part.backbone}" + (f", K = {k}" if k is not None else ""),
        filters=_filter(part, k),
        groupby=[] if part else [f"config.{name}" for name in ("task", "backbone", "k", "paradigm")],
        order=[wr.OrderBy(wr.SummaryMetric(metric))],
        pinned_columns=["run:displayName", "config:paradigm.value"],
        visible_columns=panels.columns(metric),
    )


def _grid(shown: "Sequence[Any]", runset: "Runset") -> "PanelGrid":
    from wandb_workspaces.reports.v2 import interface as wr

    return wr.PanelGrid(runsets=[runset], panels=list(shown))


def _plain(spec: Any) -> Any:
    return json.loads(spec.model_dump_json(by_alias=True, exclude_none=True))
