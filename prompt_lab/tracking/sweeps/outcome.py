"""What a sweep came to: the best setting of every paradigm, as a table, as lines to use it, and as `sweep.json`."""

from collections.abc import Sequence
from typing import Any

from prompt_lab.reporting import files
from prompt_lab.tracking.sweeps.file import Sweep
from prompt_lab.tracking.sweeps.naming import shorts
from prompt_lab.tracking.sweeps.search import SUMMARY, Search, Trial

_NO_PERCENT = ("nll", "mse")
"""Scores that are no fractions."""


def best(tried: Sequence[Trial], sweep: Sweep) -> dict[str, Trial | None]:
    """The best trial of each paradigm: the one with the best mean over all seeds, of equal ones the first; None where none has one."""
    sign = 1 if sweep.goal == "maximize" else -1
    found: dict[str, Trial | None] = {}
    for name in sweep.paradigms:
        scored = [(sign * one.mean, -one.number, one) for one in tried if one.paradigm == name and one.mean is not None]
        found[name] = max(scored, key=lambda entry: entry[:2])[2] if scored else None
    return found


def use(trial: Trial, search: Search) -> list[str]:
    """The words that give a run the setting of a trial, and its record the number of settings that were tried."""
    config = search.sweep.paradigms[trial.paradigm]
    settings = [f"--{key}={value}" for key, value in sorted(trial.settings.items())]
    return [*([] if config is None else [f"--config={config}"]), *settings, f"--trials={search.trials}"]


def write(search: Search) -> None:
    """Write ``sweep.json``: the choice, how it was made, and every trial."""
    sweep, tried = search.sweep, search.tried
    chosen = best(tried, sweep)
    records = [record for one in tried for record in one.records]
    content = {
        "sweep": sweep.name,
        "finished": len(tried) == search.trials * len(sweep.paradigms),
        "trials": search.trials,
        "metric": sweep.metric,
        "goal": sweep.goal,
        "seeds": sorted({record["split_seed"] for record in records}),
        "labels_validation": max((record["data"]["validation"] for record in records), default=0),
        "paradigms": {
            name: {
                "tried": sum(one.paradigm == name for one in tried),
                "failed": sum(one.paradigm == name and one.mean is None for one in tried),
                "best": None if trial is None else _facts(trial) | {"use": use(trial, search)},
            }
            for name, trial in chosen.items()
        },
        "all": [{"paradigm": one.paradigm, **_facts(one)} for one in tried],
        "definition": search.definition,
    }
    files.write_json(search.folder / SUMMARY, content)


def table(search: Search) -> Any:
    """A rich table: the best setting of each paradigm, with its validation score over the seeds."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    sweep = search.sweep
    unit = "" if is_plain(sweep.metric) else " %"
    shown = Table(title=Text(f"{sweep.name} · {_where(search.tried)}"), title_justify="left", title_style="bold")
    shown.box, shown.show_edge, shown.pad_edge, shown.padding = box.SIMPLE_HEAD, False, False, (0, 1, 0, 0)
    for head in ("paradigm", "best setting"):
        shown.add_column(head, overflow="fold")
    for head in (f"{sweep.metric}{unit}", "sd", "seeds", "tried", "failed"):
        shown.add_column(head, justify="right", no_wrap=True)
    for name, trial in best(search.tried, sweep).items():
        own = [one for one in search.tried if one.paradigm == name]
        counts = [str(len(own)), str(sum(one.mean is None for one in own))]
        cells = ["–"] * 4
        if trial is not None and trial.mean is not None:
            setting = ", ".join(
                f"{short}={said(trial.settings[one.name])}" for short, one in shorts(sweep.searched).items()
            )
            sd = "–" if trial.sd is None else figure(trial.sd, sweep.metric)
            cells = [setting, figure(trial.mean, sweep.metric), sd, str(trial.planned)]
        shown.add_row(Text(name), Text(cells[0]), *cells[1:], *counts)
    return shown


def lines(search: Search) -> list[str]:
    """How the settings were chosen, and the words that use them."""
    chosen = {name: trial for name, trial in best(search.tried, search.sweep).items() if trial is not None}
    if not chosen:
        return ["no setting has a score"]
    validation = max(record["data"]["validation"] for trial in chosen.values() for record in trial.records)
    many = f"{search.trials} settings" if search.trials > 1 else "1 setting"
    head = (
        f"{many} tried for each paradigm, chosen by {search.sweep.metric} on {validation} validation examples; "
        f"runs that use them say so with --trials={search.trials}:"
    )
    return [head, *(f"  {' '.join(use(trial, search))}" for trial in chosen.values())]


def is_plain(metric: str) -> bool:
    """Whether a score is no fraction, and so not told in percent."""
    return metric.rpartition("/")[2] in _NO_PERCENT


def figure(score: float, metric: str) -> str:
    """A score, in percent where it is a fraction."""
    return f"{score:.3f}" if is_plain(metric) else f"{100 * score:.1f}"


def said(value: Any) -> str:
    """A setting, for people."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _facts(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "settings": dict(trial.settings),
        "mean": trial.mean,
        "sd": trial.sd,
        "scores": {str(seed): score for seed, score in trial.scores.items()},
    }


def _where(tried: Sequence[Trial]) -> str:
    record = next((record for one in tried for record in one.records), None)
    return "nothing finished" if record is None else f"{record['task']} · {record['backbone']} · K = {record['k']}"
