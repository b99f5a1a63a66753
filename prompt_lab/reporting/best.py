"""Which few paradigms a picture shows that has no room for all: the baseline, and the best."""

from collections.abc import Sequence

from prompt_lab.reporting.rows import Row, groups
from prompt_lab.reporting.told import ORACLE

SHOWN = 4


def largest(rows: Sequence[Row]) -> list[list[Row]]:
    """Of every task and backbone the group with the most examples."""
    found = {part[0].group[:2]: part for part in groups(rows)}  # groups come in the order of K
    return list(found.values())


def best(part: Sequence[Row], baseline: str | None, number: int = SHOWN) -> list[Row]:
    """The baseline, then those with the highest means, so many in all; the oracle, which was chosen on the test, is none of them."""
    runs = [row for row in part if row.n and row.told != ORACLE]
    return sorted(runs, key=lambda row: (row.paradigm != baseline, -(row.mean or 0.0)))[:number]
