"""Records of every schema there has been, read as those of today."""

from collections.abc import Callable
from typing import Any

SCHEMA = 2
"""What is written now. A key that is added does not need another one, as long as readers can do without it."""


def today(record: dict[str, Any]) -> dict[str, Any]:
    """A record of today's schema from one of today's or an older one.

    Raises:
        ValueError: its schema is none of ours, or newer than this program.
    """
    schema = record.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        raise ValueError(
            f"its schema is {schema!r}, and this version of prompt_lab reads {_known()}" + "; update it" * newer
        )
    for old in range(schema, SCHEMA):
        record = _NEXT[old](record) | {"schema": old + 1}
    return record


def _known() -> str:
    return " and ".join(map(str, range(1, SCHEMA + 1)))


def _from_1(record: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 knew no candidates, and at first no figures of the parameters in training."""
    cost = dict(record.get("cost", {}))
    if "total_parameters" in cost:
        cost.setdefault("parameters", {"total": max(cost["total_parameters"], cost.get("trained_parameters", 0))})
    config = record.get("config") or {}
    since = {"candidates": None, "parts": 4, "trials": 1} if config else {}
    return {"chosen": None, "trials": 1} | record | {"cost": cost, "config": since | config}


_NEXT: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
