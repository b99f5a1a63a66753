"""All pictures of a report: which there are, what they show, and why some are not there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_lab.reporting import (
    against_k,
    against_parameters,
    against_setting,
    confusion,
    gates,
    picture,
    rank_diagram,
    reliability,
    seed_variance,
)  # fmt: skip
from prompt_lab.reporting.against_parameters import PARAMETERS, SECONDS, STORED
from prompt_lab.reporting.comparable import Record
from prompt_lab.reporting.rows import Row

if TYPE_CHECKING:
    from prompt_lab.reporting.outcomes import Outcome

SEEDS, K, SETTING, TRAINED, GATES = (
    "comparison.png", "score_against_k.png", "score_against_setting.png", "score_against_parameters.png", "gates.png",
)  # fmt: skip
TIME, BYTES, RANKS, CONFUSION, CALIBRATION, VARIANCE = (
    "score_against_seconds.png", "score_against_bytes.png", "ranks.png", "confusion.png", "calibration.png", "seed_variance.png",
)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A picture that was drawn.

    Attributes:
        name: of its file.
        title: what it shows, in a few words.
        about: how to read it, for those who cannot see it too.
    """

    name: str
    title: str
    about: str


_BARS = "Bars are one sample standard deviation, faint dots the seeds."
_PRICE = (
    f"{_BARS} The dotted steps join what nothing beats at its price (Pareto front of the means, without the oracle)."
)
_SAID = {
    SEEDS: (
        "every seed, mean and sd",
        "A panel a task, backbone and K; every seed a point, the mean above it with its standard deviation; the dashed line is the "
        "majority class.",
    ),
    K: ("score against K", f"A line a paradigm over the number of labelled examples of each class. {_BARS}"),
    SETTING: ("score against a setting", f"A panel a setting, over the values that were tried. {_BARS}"),
    TRAINED: ("score against trained parameters", _PRICE),
    TIME: ("score against seconds", _PRICE),
    BYTES: ("score against bytes stored", _PRICE),
    GATES: ("how far gates are open", "A line a method from the first layer to the last, the mean over texts."),
    RANKS: (
        "mean ranks over tasks",
        "Only paradigms that were told the same are ranked with each other; the best at the top. Grey bars at the right join those "
        "that are not told apart, which are all if Friedman's p is .05 or more; the black ruler is the critical difference (Demsar "
        "2006).",
    ),
    CONFUSION: (
        "what was taken for what",
        "A panel a paradigm: the baseline and the best at the largest K. True labels down, given ones across, shares of each true "
        "label over all seeds.",
    ),
    CALIBRATION: (
        "calibration",
        "How often a label was right against how probable it was said to be, in 15 bins, the baseline and the best at the largest K; "
        "on the dotted diagonal both agree (Guo et al. 2017).",
    ),
    VARIANCE: (
        "where the spread comes from",
        "The standard deviation that each factor brings, and the share of its variance in the sum of those shown; in brackets how "
        "many levels it took. The black line is the 95 % interval of the standard deviation (chi-square), where one factor moved and "
        "the others stayed; one that ends in an arrow goes on.",
    ),
}
ABOUT = {name: Picture(name, *said) for name, said in _SAID.items()}


def draw(rows: Sequence[Row], records: Sequence[Record], folder: Path) -> list[Picture]:
    """The pictures that need no more than records, each where there is something to see."""
    parts = gates.panels(records)
    wanted: dict[str, tuple[object, Callable[[Path], None]]] = {
        SEEDS: (rows, partial(picture.strip_plot, rows)),
        K: (against_k.panels(rows), partial(against_k.curves, rows)),
        SETTING: (against_setting.panels(rows), partial(against_setting.curves, rows)),
        TRAINED: (against_parameters.panels(rows), partial(against_parameters.curves, rows)),
        GATES: (parts, partial(gates.curves, parts)),
    }
    return _drawn(wanted, folder)


def draw_more(
    rows: Sequence[Row], records: Sequence[Record], outcomes: Sequence["Outcome"], baseline: str | None, folder: Path
) -> tuple[list[Picture], list[str]]:
    """The pictures that statistics and stored predictions allow, and why some of them are not there."""
    ranked, reasons = rank_diagram.panels(rows)
    confused = confusion.panels(rows, outcomes, baseline)
    calibrated = reliability.panels(rows, outcomes, baseline)
    varied = seed_variance.panels(records)
    wanted: dict[str, tuple[object, Callable[[Path], None]]] = {
        TIME: (against_parameters.panels(rows, SECONDS), lambda path: against_parameters.curves(rows, path, SECONDS)),
        BYTES: (against_parameters.panels(rows, STORED), lambda path: against_parameters.curves(rows, path, STORED)),
        RANKS: (ranked, partial(rank_diagram.curves, ranked)),
        CONFUSION: (confused, partial(confusion.curves, confused)),
        CALIBRATION: (calibrated, partial(reliability.curves, calibrated)),
        VARIANCE: (varied, partial(seed_variance.curves, varied)),
    }
    missing = [f"No {ABOUT[RANKS].title} for {reason}." for reason in reasons]
    if not against_k.panels(rows):
        missing.append(f"No {ABOUT[K].title}: no task and backbone has runs at two numbers K.")
    for name, measure in ((TRAINED, PARAMETERS), (TIME, SECONDS), (BYTES, STORED)):
        if not against_parameters.panels(rows, measure):
            missing.append(f"No {ABOUT[name].title}: nowhere does one paradigm cost twice as much of it as another.")
    for name, found in ((CONFUSION, confused), (CALIBRATION, calibrated)):
        if not found:
            missing.append(f"No picture of {ABOUT[name].title}: it needs stored predictions of a task with labels.")
    if not varied:
        missing.append(
            f"No picture of {ABOUT[VARIANCE].title}: the runs differ in one kind of seed alone, or in all at once."
        )
    return _drawn(wanted, folder), missing


def _drawn(wanted: dict[str, tuple[object, Callable[[Path], None]]], folder: Path) -> list[Picture]:
    found = []
    for name, (what, write) in wanted.items():
        if what:
            write(folder / name)
            found.append(ABOUT[name])
        else:
            (folder / name).unlink(missing_ok=True)  # an older report's, which this one would seem to have
    return found
