"""The columns of a comparison: headings, and figures as they are printed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prompt_lab.reporting.findings import BOTH
from prompt_lab.reporting.rows import Group, Row

REFERENCE = "fine_tuning"
"""The paradigm whose cost others are measured by."""
NONE = "–"
BYTES = " B", " kB", " MB", " GB"
TIE = "≈ "
"""Stands before a difference that is none, as far as the design can tell."""
ITEMS_ALONE = "†"
"""Stands behind an interval, a difference and what is said of it, if the test items alone vary."""


@dataclass(frozen=True)
class Column:
    """A column: its heading, which may take the metric's name, and its cell.

    Attributes:
        head: the heading; a line break shows where the terminal may break it.
        cell: what a row shows.
        words: flush left.
        spared: left out on a terminal that is too narrow for it, the highest first.
        strong: whether a row's cell stands out.
    """

    head: str
    cell: Callable[[Row], str]
    words: bool = False
    spared: int = 0
    strong: Callable[[Row], bool] = lambda row: False

    def heading(self, metric: str) -> str:
        """The heading over scores such as ``test/acc``."""
        return self.head.format(metric=metric.rpartition("/")[2])


def percent(fraction: float | None, digits: int = 1) -> str:
    """``0.6612`` as ``66.1``."""
    return NONE if fraction is None else f"{100 * fraction:.{digits}f}"


def scaled(number: float | None, units: Sequence[str] = ("", "K", "M", "B")) -> str:
    """``22713216`` as ``22.7M``; units grow by thousands."""
    if not number:
        return NONE if number is None else "0"
    step = 0
    while step + 1 < len(units) and number >= 999.95:  # 999.95 would be rounded to 1000.0
        number, step = number / 1000, step + 1
    return f"{number:.{1 if step else 0}f}{units[step]}"


def _seconds(row: Row) -> str:
    return NONE if row.seconds is None else f"{row.seconds:.1f}"


def _memory(row: Row) -> str:
    return NONE if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 1e9:.1f} GB"


def _share(row: Row) -> str:
    """In percent; a soft prompt of a large model has next to nothing."""
    if not row.trained_share:
        return NONE if row.trained_share is None else "0"
    return f"{100 * row.trained_share:.3g}" if row.trained_share >= 1e-5 else "<0.001"


def _step(row: Row) -> str:
    return NONE if row.step_seconds is None else f"{row.step_seconds:.3f}"


def times(number: float | None, reference: float | None) -> str:
    """How many times the reference: ``6`` and ``12`` as ``0.50``."""
    if number is None or not reference:
        return NONE
    ratio = number / reference
    return f"{ratio:.2f}" if ratio >= 0.095 or not ratio else f"{ratio:.1g}"


def _labels(row: Row) -> str:
    """Labels, and how many texts without labels where any were read."""
    return (NONE if row.labels is None else str(row.labels)) + (f" + {row.unlabeled}" if row.unlabeled else "")


def signed(fraction: float | None) -> str:
    """``-0.012`` as ``−1.2``, ``0.03`` as ``+3.0``."""
    if fraction is None:
        return NONE
    shown = f"{100 * fraction:+.1f}"
    return ("+0.0" if shown == "-0.0" else shown).replace("-", "−")


def probability(p: float | None) -> str:
    """``0.0321`` as ``.032``, and what is smaller than that can show as ``<.001``."""
    if p is None:
        return NONE
    return "<.001" if p < 0.001 else "1" if p >= 0.9995 else f"{p:.3f}"[1:]


def _interval(row: Row) -> str:
    if row.found is None or row.found.low is None or row.found.high is None:
        return NONE
    return f"[{percent(row.found.low)}, {percent(row.found.high)}]{_alone(row.found.over)}".replace("-", "−")


def _alone(over: str | None) -> str:
    return "" if over == BOTH else ITEMS_ALONE


def _difference(row: Row) -> str:
    """A tie is marked; nothing is said of whether it is real where there is no verdict."""
    if row.found is None or row.found.difference is None:
        return NONE
    tie = TIE if row.found.verdict == "tie" else ""
    return f"{tie}{signed(row.found.difference)}{_alone(row.found.difference_over)}"


def _corrected(row: Row) -> str:
    if row.found is None or row.found.p_holm is None:
        return NONE
    return probability(row.found.p_holm) + _alone(row.found.difference_over)


def _smallest(row: Row) -> str:
    if row.found is None or row.found.smallest is None:
        return NONE
    return percent(row.found.smallest) + _alone(row.found.difference_over)


PARADIGM = Column("paradigm", lambda row: row.paradigm, words=True)
MEAN = Column(
    "mean\n{metric} %", lambda row: percent(row.mean), strong=lambda row: row.found is not None and row.found.ahead
)
TRAINED = Column("trained\nparams", lambda row: scaled(row.trained_parameters))
STORED = Column("bytes\nstored", lambda row: scaled(row.stored_bytes, BYTES), spared=2)
TIME = Column("time\ns", _seconds)
MEMORY = Column("peak\nmemory", _memory, spared=1)
LABELS = Column("labels\nused", _labels)
STRATEGY = Column("strategy", lambda row: row.strategy or NONE, words=True, spared=3)
SPREAD = (
    MEAN,
    Column("sd\nddof=1", lambda row: percent(row.sd)),
    Column("worst\nseed", lambda row: percent(row.worst)),
    Column("n", lambda row: str(row.n or NONE)),
    Column("col-\nlapsed", lambda row: NONE if row.collapsed is None else f"{percent(row.collapsed, 0)}%"),
)
COLUMNS = (PARADIGM, STRATEGY, *SPREAD, TRAINED, TIME, MEMORY, STORED, LABELS)
"""What paradigms score, and in short what they cost."""
GAP = Column("selec-\ntion gap", lambda row: signed(row.selection_gap), spared=3)
INTERVAL = Column("95 %\ninterval", _interval, spared=1)


def found_columns(baseline: str | None) -> tuple[Column, ...]:
    """What paradigms score, with what statistics say of it, and in short what they cost.

    Args:
        baseline: whom the differences are taken to; without one there are none.
    """

    def difference(row: Row) -> str:
        return "baseline" if row.paradigm == baseline else _difference(row)

    against = (
        Column(f"against\n{baseline}", difference),
        Column("p\n(Holm)", _corrected, spared=2),
        Column("smallest\nseen", _smallest, spared=4),
    )
    spared = ((TRAINED, 5), (TIME, 6), (MEMORY, 6), (STORED, 7), (LABELS, 3))
    cost = [replace(column, spared=rank) for column, rank in spared]
    return PARADIGM, replace(STRATEGY, spared=8), *SPREAD, INTERVAL, *(against if baseline else ()), *cost


def full(reference: str) -> str:
    """What the reference is called above ratios to its cost; fine-tuning is full fine-tuning."""
    return "full" if reference == REFERENCE else reference


def cost_columns(rows: Sequence[Row], reference: str = REFERENCE) -> tuple[Column, ...]:
    """What paradigms cost, each figure beside its ratio to that of the reference in the same group, if that is there."""
    beside: dict[Group, Row] = {row.group: row for row in rows if row.paradigm == reference}

    def ratio(name: str, spared: int = 0) -> list[Column]:
        def cell(row: Row) -> str:
            return times(getattr(row, name), getattr(beside.get(row.group), name, None))

        return [Column(f"×\n{full(reference)}", cell, spared=spared)] if beside else []

    return (
        PARADIGM,
        MEAN,
        TRAINED,
        Column("% of\nall", _share),
        *ratio("trained_parameters", 3),
        replace(STORED, spared=0),
        *ratio("stored_bytes", 1),
        Column("s a\nstep", _step),
        *ratio("step_seconds", 1),
        replace(MEMORY, spared=0),
        *ratio("peak_memory_bytes", 1),
        replace(TIME, spared=2),
    )
