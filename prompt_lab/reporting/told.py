"""What a run was told, by name: rows of one name stand on equal terms (PROTOCOL rule 7; CLUES: Mukherjee et al. 2021)."""

from collections.abc import Iterable, Mapping
from typing import Any

PARTS = {
    "labels_train": "labels",
    "labels_validation": "validation labels",
    "unlabeled_texts": "unlabelled texts",
    "external_labels": "external labels",
    "demonstrations": "demonstrations",
}
"""What a record's budget counts, and what it is called; what hardly any method reads stands last."""
NOTHING = "no labels"
ORACLE = "oracle, chosen on the test: to see what selection costs, never ranked"
BY_TEST = "oracle"
"""The selection regime that reads the test (Perez et al. 2021)."""


def told(records: Iterable[Mapping[str, Any]]) -> str:
    """What any of some runs was told, such as ``labels + unlabelled texts``; nothing is asked about how much of it."""
    records = list(records)
    if any(record.get("selection") == BY_TEST for record in records):
        return ORACLE
    found = [name for part, name in PARTS.items() if any(record["budget"].get(part, 0) for record in records)]
    return " + ".join(found) or NOTHING


def rank(name: str) -> tuple[int, ...]:
    """A place to sort by: who was told nothing comes first, then one kind of information, then more; the oracle last."""
    names = list(PARTS.values())
    kinds = [] if name in (NOTHING, ORACLE) else name.split(" + ")
    return (int(name == ORACLE), len(kinds), *map(names.index, kinds))
