"""Which records may stand in one table: same test set, same draws, one run a cell (PROTOCOL rule 1)."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import Any

from prompt_lab.errors import LabError
from prompt_lab.reporting import files
from prompt_lab.trees import Tree, difference, identity

Record = Mapping[str, Any]
"""A finished run, as ``experiment.py`` writes it."""

_REMEDY = "Delete the folder of one of them and run it again, or keep the two apart with another --out."
_OF_A_ROW = ("strategy", "backbone_revision", "selection", "answer", "tuning")
"""What the runs that are averaged have in common; their seeds alone differ."""
_CHOSEN = ("strategy", "answer", "tuning")
"""What a candidate may change."""
_SEEDS = ("seed", "init_seed", "order_seed")
"""Settings in which the seeds of a row may differ, wherever they stand."""


def check(records: Iterable[Record]) -> None:
    """Refuse records that cannot be compared.

    Raises:
        LabError: two runs of one cell (paradigm, task, backbone, K, split seed); two runs of a task with different test
            examples or metrics; two runs of a task, K and seed with different draws (K = 0 draws nothing); or two
            seeds of one paradigm that differ in more than the seed: in what was trained, or in any setting that decides what is
            computed. The message names both runs.
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
    _same_settings(records)


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


def _same_settings(records: Iterable[Record]) -> None:
    """Refuse seeds of a row with unlike settings, against the row's first record; candidates are a setting, the chosen one is not."""
    first: dict[Hashable, tuple[Record, Tree]] = {}
    for record in records:
        if not record.get("config"):
            continue  # made in Python: nothing is known of its settings
        settings = _settings(record["config"])
        other, others = first.setdefault(row_key(record), (record, settings))
        if differing := list(difference(_shared(others, settings), _shared(settings, others))):
            raise LabError(
                f"cannot compare runs on {record['task']}, K = {record['k']}: the seeds of one row differ in more than the seed. "
                f"{_folder(record)} has other settings than {_folder(other)} ({'; '.join(differing[:3])}). {_REMEDY}"
            )


def _settings(config: Mapping[str, Any]) -> Tree:
    """What decides what is computed, but for the seeds, and for the files that hold a seed's draw."""
    settings = _seedless(identity(config))
    return settings | {"data": {k: v for k, v in (settings.get("data") or {}).items() if k != "files"}}


def _seedless(tree: Any) -> Any:
    if not isinstance(tree, Mapping):
        return tree
    return {name: _seedless(value) for name, value in tree.items() if name not in _SEEDS}


def _shared(one: Any, other: Any) -> Any:
    """A tree without the settings that the other one, which another version wrote, does not know."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return one
    return {name: _shared(value, other[name]) for name, value in one.items() if name in other}


def _folder(record: Record) -> str:
    """A run's folder, below that of all results."""
    cell = record["task"], record["paradigm"], record["backbone"], record["k"], record["split_seed"]
    return str(files.cell_folder("", *cell))


def _named(record: Record) -> str:
    return f"{record['paradigm']} seed {record['split_seed']}"


def _short(fact: object) -> str:
    """A fingerprint's first characters are enough to see that two differ."""
    text = str(fact)
    return text[:19] if text.startswith("sha256:") else text
