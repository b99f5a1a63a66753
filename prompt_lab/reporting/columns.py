"""The columns of a comparison: headings, and figures as they are printed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prompt_lab.reporting.rows import Row

NONE = "–"


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


def _labels(row: Row) -> str:
    """Labels, and how many texts without labels where any were read."""
    return (NONE if row.labels is None else str(row.labels)) + (f" + {row.unlabeled}" if row.unlabeled else "")


COLUMNS = (
    Column("paradigm", lambda row: row.paradigm, words=True),
    Column("strategy", lambda row: row.strategy or NONE, words=True, spared=3),
    Column("mean\n{metric} %", lambda row: percent(row.mean)),
    Column("sd\nddof=1", lambda row: percent(row.sd)),
    Column("worst\nseed", lambda row: percent(row.worst)),
    Column("n", lambda row: str(row.n or NONE)),
    Column("col-\nlapsed", lambda row: NONE if row.collapsed is None else f"{percent(row.collapsed, 0)}%"),
    Column("trained\nparams", lambda row: scaled(row.trained_parameters)),
    Column("time\ns", _seconds),
    Column("peak\nmemory", _memory, spared=1),
    Column("bytes\nstored", lambda row: scaled(row.stored_bytes, (" B", " kB", " MB", " GB")), spared=2),
    Column("labels\nused", _labels),
)
