"""Which records may stand in one table: same test set, same draws, one run a cell (PROTOCOL rule 1)."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import Any

from prompt_lab.errors import LabError

Record = Mapping[str, Any]
"""A finished run, as ``experiment.py`` writes it."""

_REMEDY = "Delete the folder of one of them and run it again, or keep the two apart with another --out."
_OF_A_ROW = ("strategy", "backbone_revision", "selection", "answer", "tuning")
"""What the runs that are averaged have in common; their seeds alone differ."""
_CHOSEN = ("strategy", "answer", "tuning")
"""What a candidate may change."""


def check(records: Iterable[Record]) -> None:
    """Refuse records that cannot be compared.

    Raises:
        LabError: two runs of one cell (paradigm, task, backbone, K, split seed); two runs of a task with different test
            examples or metrics; two runs of a task, K and seed with different draws (K = 0 draws nothing); or two
            seeds of one paradigm that differ in more than the seed. The message names both runs.
    """
    records = list(records)
    _one_a_cell(records)
    _same(records, "tests on other examples", lambda r: r["task"], lambda r: r["data"]["test_fingerprint"])
    _same(records, "reports another metric", lambda r: r["task"], lambda r: r["metric"])
    drawn = [r for r in records if r["k"] != 0]
    _same(
        drawn,
        "was given other examples",
        lambda r: (r["task"], r["k"], r["split_seed"]),
        lambda r: r["data"]["fingerprint"],
    )
    for part in _OF_A_ROW:
        _same(records, f"has another {part.replace('_', ' ')}", row_key, partial(_part, part))


def _part(name: str, record: Record) -> object:
    """Of a run that chose between candidates, what it chose is its result, and may differ from seed to seed."""
    return None if name in _CHOSEN and record.get("chosen") else record.get(name)


def row_key(record: Record) -> tuple[Hashable, ...]:
    """What the runs of one row share: all of the cell but its seed."""
    return record["task"], record["backbone"], record["k"], record["paradigm"]


def _one_a_cell(records: Iterable[Record]) -> None:
    seen: dict[Hashable, Record] = {}
    for record in records:
        if seen.setdefault((*row_key(record), record["split_seed"]), record) is not record:
            raise LabError(
                f"two records of the same cell: {_named(record)} on {record['task']}, {record['backbone']}, "
                f"K = {record['k']}. Delete one of their folders, or report one output folder at a time."
            )


def _same(
    records: Iterable[Record], what: str, group: Callable[[Record], Hashable], fact: Callable[[Record], object]
) -> None:
    """Refuse a fact that differs within a group, against the group's first record."""
    first: dict[Hashable, Record] = {}
    for record in records:
        other = first.setdefault(group(record), record)
        if fact(record) != fact(other):
            raise LabError(
                f"cannot compare runs on {record['task']}, K = {record['k']}: {_named(record)} {what} "
                f"({_short(fact(record))}) than {_named(other)} ({_short(fact(other))}). {_REMEDY}"
            )


def _named(record: Record) -> str:
    return f"{record['paradigm']} seed {record['split_seed']}"


def _short(fact: object) -> str:
    """A fingerprint's first characters are enough to see that two differ."""
    text = str(fact)
    return text[:19] if text.startswith("sha256:") else text
