"""The panels by which methods are compared in W&B. Every key in here is one that runs log; a test checks that in a run's own file."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import PanelTypes

STEP = "trainer/global_step"
BY = "paradigm"
MANY = 100
"""Runs or groups in a panel; W&B would show the first ten."""
TABLE = "test/predictions"
IDENTITY = ("task", "paradigm", "strategy", "backbone", "k", "split_seed", "selection", "tuning", "answer", "template")
COST = ("trained_parameters", "stored_bytes", "seconds.total", "steps", "flops_estimate", "peak_memory_bytes")
BUDGET = (
    "labels_train", "labels_validation", "external_labels", "unlabeled_texts", "demonstrations", "model_calls",
)  # fmt: skip
LEGEND = "${config:paradigm}"
PAGE = 24
"""How wide a page is, in W&B's units; it puts panels of its usual size side by side, three a line."""


def columns(metric: str) -> list[str]:
    """Columns of the table of runs: what was run, its scores, what it cost, and what it was told."""
    summary = [
        metric,
        "val/acc",
        "collapsed",
        *(f"cost.{name}" for name in COST),
        *(f"budget.{name}" for name in BUDGET),
    ]
    return [*(f"config:{name}.value" for name in IDENTITY), *(f"summary:{name}" for name in summary)]


def scores(metric: str) -> "list[PanelTypes]":
    """The score of each paradigm: bars of the mean with one standard deviation over seeds, and their extremes."""
    from wandb_workspaces.reports.v2 import interface as wr

    return [
        bars(metric, f"{_said(metric)}: mean and sd over seeds"),
        bars(metric, f"{_said(metric)}: mean, worst and best seed", "minmax"),
        bars("val/acc", "validation accuracy: mean and sd over seeds"),
        wr.ScatterPlot(
            title=f"{_said(metric)} against trained parameters", x=wr.SummaryMetric("cost.trained_parameters"),
            y=wr.SummaryMetric(metric), log_x=True, legend_template=LEGEND,
        ),
        wr.ScatterPlot(
            title=f"{_said(metric)} against seconds", x=wr.SummaryMetric("cost.seconds.total"), y=wr.SummaryMetric(metric),
            log_x=True, legend_template=LEGEND,
        ),
        wr.ScatterPlot(
            title=f"{_said(metric)} against validation accuracy", x=wr.SummaryMetric("val/acc"), y=wr.SummaryMetric(metric),
            legend_template=LEGEND,
        ),
    ]  # fmt: skip


def against_k(metric: str) -> "list[PanelTypes]":
    """The score against K, a line a paradigm, and the same as a dot a run."""
    from wandb_workspaces.reports.v2 import interface as wr

    return [
        curve(f"{_said(metric)} against K: mean and sd over seeds", [metric], x="k", area="stddev", log_x=True),
        wr.ScatterPlot(
            title=f"{_said(metric)} against K: every run", x=wr.Config("k"), y=wr.SummaryMetric(metric), legend_template=LEGEND,
        ),
    ]  # fmt: skip


def curves() -> "list[PanelTypes]":
    """Training and validation, a line a paradigm, with the range of its seeds."""
    return [
        curve("training loss", ["train/loss"]),
        curve("validation loss", ["val/loss"]),
        curve("validation accuracy", ["val/acc"]),
    ]


def movement() -> "list[PanelTypes]":
    """What moves: prompts, the gradient that reaches them, and gates (UniPELT: Mao et al. 2022)."""
    return [
        curve("how far the prompt has moved, as a share of its length", ["prompt/moved"]),
        curve("norm of the prompt's gradient", ["prompt/grad_norm"], log_y=True),
        curve("how far gates are open", [], metric_regex="gate/.*"),
    ]


def cost() -> "list[PanelTypes]":
    """What a paradigm costs, in the mean of its runs."""
    return [
        bars("cost.seconds.total", "seconds a run"),
        bars("cost.peak_memory_bytes", "peak memory, bytes"),
        bars("cost.stored_bytes", "bytes stored of a run"),
    ]


def predictions() -> "list[PanelTypes]":
    """The test examples with what each run said of them."""
    from wandb_workspaces.reports.v2 import interface as wr

    return [wr.WeavePanelSummaryTable(table_name=TABLE, layout=wr.Layout(w=PAGE, h=12))]


def bars(metric: str, title: str, area: str = "stddev") -> "PanelTypes":
    """A bar a paradigm: the mean of its runs, and their spread."""
    from wandb_workspaces.reports.v2 import interface as wr

    spread: Any = area
    return wr.BarPlot(
        title=title, metrics=[metric], groupby=wr.Config(BY), groupby_aggfunc="mean", groupby_rangefunc=spread,
        max_runs_to_show=MANY, max_bars_to_show=MANY,
    )  # fmt: skip


def curve(title: str, metrics: Sequence[str], x: str = STEP, area: str = "minmax", **more: Any) -> "PanelTypes":
    """A line a paradigm: the mean of its runs, and their spread."""
    from wandb_workspaces.reports.v2 import interface as wr

    spread: Any = area
    return wr.LinePlot(
        title=title, x=x, y=list(metrics), groupby=wr.Config(BY), groupby_aggfunc="mean", groupby_rangefunc=spread,
        max_runs_to_show=MANY, **more,
    )  # fmt: skip


def following(panels: "Sequence[PanelTypes]") -> "list[PanelTypes]":
    """The same panels, grouped as the table of runs is."""
    for panel in panels:
        if hasattr(panel, "groupby"):
            panel.groupby = None
    return list(panels)


def _said(metric: str) -> str:
    return metric.replace("/", " ")
