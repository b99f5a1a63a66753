"""What choosing without the test costs: the same candidates chosen by the test score so much more (Perez, Kiela and Cho 2021)."""

import json
from collections.abc import Hashable, Iterable
from statistics import fmean

from prompt_lab.reporting.comparable import Record, row_key
from prompt_lab.reporting.told import BY_TEST

_APART = ("name", "out", "select", "parts")
"""Settings in which a run and its oracle differ."""


def selection_gaps(records: Iterable[Record]) -> dict[Hashable, float]:
    """The mean over seeds of the oracle's score minus that of a run with the same candidates and settings, by ``comparable.row_key``.

    Rows that chose between no candidates, or that no oracle was run beside on any of their seeds, have none.
    """
    records = [record for record in records if (record.get("config") or {}).get("candidates")]
    oracle = {_choice(record): _score(record) for record in records if record["selection"] == BY_TEST}
    gaps: dict[Hashable, list[float]] = {}
    for record in records:
        if record["selection"] != BY_TEST and (best := oracle.get(_choice(record))) is not None:
            gaps.setdefault(row_key(record), []).append(best - _score(record))
    return {row: fmean(found) for row, found in gaps.items()}


def _choice(record: Record) -> str:
    """What was chosen between, on which examples, from which start."""
    config = {name: value for name, value in record["config"].items() if name not in _APART}
    return json.dumps([config, record["task"], record["backbone"], record["k"], record["split_seed"]], sort_keys=True)


def _score(record: Record) -> float:
    return float(record["scores"][record["metric"]])
