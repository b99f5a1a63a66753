"""The curves of a pretraining run: read from the CSV files of all its processes, and drawn."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_lab.reporting.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {
    "loss": ("train/loss", "held_out/*_loss"),
    "held-out accuracy": ("held_out/*_acc",),
    "zero-shot": ("zero_shot/*",),
}
"""Panels of the picture, and what each shows."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
Curves = dict[str, dict[int, float]]


def read(folder: Path) -> Curves:
    """By figure, its value at each step.

    A process that was killed may have gone on past the checkpoint from which the next one began; what the next one logged
    counts.

    Args:
        folder: of a pretraining run.
    """
    found: Curves = {}
    parts = sorted(folder.glob("from_step_*/metrics.csv"), key=lambda p: int(p.parent.name.rpartition("_")[2]))
    for path in parts:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if value and name not in ("step", "epoch"):
                        found.setdefault(name, {})[int(row["step"])] = float(value)
    return {name: dict(sorted(values.items())) for name, values in sorted(found.items())}


def draw(curves: Mapping[str, Mapping[int, float]]) -> "Figure":
    """A panel each for losses, held-out accuracies and zero-shot scores; a panel with nothing to show is left out."""
    from matplotlib.figure import Figure

    shown = {title: [n for n in curves if any(Path(n).match(p) for p in wanted)] for title, wanted in PANELS.items()}
    shown = {title: names for title, names in shown.items() if names}
    figure = Figure(figsize=(4.2 * len(shown), 3.4))
    figure.set_layout_engine("constrained")
    for panel, (title, names) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        for name, colour in zip(names, COLOURS * len(names), strict=False):
            steps, values = [*curves[name]], [*curves[name].values()]
            dense = len(steps) > 50
            panel.plot(
                steps, values, label=name.replace("held_out/", "held-out ").replace("zero_shot/", ""), color=colour,
                linewidth=0.8 if dense else 1.6, alpha=0.6 if dense else 1.0, marker="" if dense else "o", markersize=3,
            )  # fmt: skip
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("step", fontsize=9)
        panel.set_xlim(left=0)
        panel.grid(alpha=0.25)
        panel.legend(fontsize=8, frameon=False)
    return figure


def picture(folder: Path, path: Path) -> None:
    """Write the curves of a run as PNG.

    Raises:
        LabError: the file cannot be written.
    """
    curves = read(folder)
    if curves:
        with atomic(path) as temporary:
            draw(curves).savefig(temporary, format="png", dpi=130)
