"""The columns of a comparison: headings, and figures as they are printed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from prompt_lab.reporting.rows import Group, Row

REFERENCE = "fine_tuning"
"""The paradigm whose cost others are measured by."""
NONE = "–"
BYTES = " B", " kB", " MB", " GB"


@dataclass(frozen=True)
class Column:
    """A column: its heading, which may take the metric's name, and its cell.

    Attributes:
        head: the heading; a line break shows where the terminal may break it.
        cell: what a row shows.
        words: flush left.
        spared: left out on a terminal that is too narrow for it, the highest first.
    """

    head: str
    cell: Callable[[Row], str]
    words: bool = False
    spared: int = 0

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


PARADIGM = Column("paradigm", lambda row: row.paradigm, words=True)
MEAN = Column("mean\n{metric} %", lambda row: percent(row.mean))
TRAINED = Column("trained\nparams", lambda row: scaled(row.trained_parameters))
STORED = Column("bytes\nstored", lambda row: scaled(row.stored_bytes, BYTES), spared=2)
TIME = Column("time\ns", _seconds)
MEMORY = Column("peak\nmemory", _memory, spared=1)
COLUMNS = (
    PARADIGM,
    Column("strategy", lambda row: row.strategy or NONE, words=True, spared=3),
    MEAN,
    Column("sd\nddof=1", lambda row: percent(row.sd)),
    Column("worst\nseed", lambda row: percent(row.worst)),
    Column("n", lambda row: str(row.n or NONE)),
    Column("col-\nlapsed", lambda row: NONE if row.collapsed is None else f"{percent(row.collapsed, 0)}%"),
    TRAINED,
    TIME,
    MEMORY,
    STORED,
    Column("labels\nused", _labels),
)
"""What paradigms score, and in short what they cost."""


def cost_columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """What paradigms cost, each figure beside its ratio to that of fine-tuning in the same group, if that is there."""
    full: dict[Group, Row] = {row.group: row for row in rows if row.paradigm == REFERENCE}

    def ratio(name: str, spared: int = 0) -> list[Column]:
        def cell(row: Row) -> str:
            return times(getattr(row, name), getattr(full.get(row.group), name, None))

        return [Column("×\nfull", cell, spared=spared)] if full else []

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
