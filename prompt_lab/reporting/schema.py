"""Records of every schema there has been, read as those of today, and what a record must hold."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

SCHEMA = 2
"""What is written now. A key that is added does not need another one, as long as readers can do without it."""
_TEXT, _WHOLE, _NUMBER, _FLAG, _TREE, _LIST, _NONE = (
    (str,),
    (int,),
    (int, float),
    (bool,),
    (dict,),
    (list,),
    (type(None),),
)
_ANY = "*"
"""Stands for every name."""
_NEEDED: Mapping[str, Any] = {
    **dict.fromkeys(("paradigm", "strategy", "task", "backbone", "metric"), _TEXT),
    "k": _WHOLE + _TEXT,
    "split_seed": _WHOLE,
    "scores": {_ANY: _NUMBER},
    "trivial": {"majority": _NUMBER, "random": _NUMBER},
    "collapsed": _FLAG,
    "data": {"fingerprint": _TEXT, "test_fingerprint": _TEXT},
    "budget": dict.fromkeys(("labels_train", "labels_validation", "external_labels", "unlabeled_texts"), _WHOLE),
    "cost": {
        **dict.fromkeys(("trained_parameters", "total_parameters", "stored_bytes", "steps"), _NUMBER),
        **dict.fromkeys(("model_calls", "peak_memory_bytes"), _NUMBER),
        "seconds": {"total": _NUMBER, _ANY: _NUMBER},
        "tokens": {"train": _NUMBER, "evaluation": _NUMBER, _ANY: _NUMBER},
    },
    "settings": _TREE,
}
"""The types of what no reader can do without, by name."""
_IF_THERE: Mapping[str, Any] = {
    "recall_per_class": {_ANY: _NUMBER},
    "data": {"test": _WHOLE},
    "budget": {_ANY: _WHOLE},
    "cost": {"parameters": {"total": _NUMBER}},
    "stages": _LIST,
    "method": _TREE,
    "environment": {"packages": _TREE + _NONE},
    "chosen": _TREE + _NONE,
    "settings": {"data": _TREE},
    "config": {"data": _TREE, "model": _TREE, "trainer": _TREE},
}
"""The types of what a record may lack."""


def today(record: dict[str, Any]) -> dict[str, Any]:
    """A record of today's schema from one of today's or an older one.

    Raises:
        ValueError: its schema is none of ours, or newer than this program, or it is no whole record of its schema.
    """
    schema = record.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        raise ValueError(
            f"its schema is {schema!r}, and this version of prompt_lab reads {_known()}" + "; update it" * newer
        )
    for old in range(schema, SCHEMA):
        try:
            record = _NEXT[old](record) | {"schema": old + 1}
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise ValueError(f"it is no whole record of schema {old}: {type(error).__name__}: {error}") from error
    return record


def check(record: Mapping[str, Any]) -> None:
    """Refuse a record of today's schema in which something is missing, or of another type, that readers go by.

    Raises:
        ValueError: with all that is wrong.
    """
    wrong = [*_wrong(record, _NEEDED), *_wrong(record, _IF_THERE, optional=True)]
    if wrong := wrong or [*_wrong(record, _following(record))]:
        raise ValueError("; ".join(dict.fromkeys(wrong)))


def _following(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """What else a record needs, as it says itself: the score that it reports and, if something was fitted, the time that this took."""
    fitted = {"cost": {"seconds": {"fit": _NUMBER}}} if record["cost"]["steps"] else {}
    return {"scores": {record["metric"]: _NUMBER}, **fitted}


def _wrong(found: Any, wanted: Any, path: str = "", *, optional: bool = False) -> Iterator[str]:
    """A line for each name that is missing, unless it may be, and for each value of another type."""
    kinds = _TREE if isinstance(wanted, Mapping) else wanted
    if type(found) not in kinds:
        yield f"{path} must be {' or '.join(map(_NAMES.__getitem__, kinds))}; it is {_shown(found)}"
    elif isinstance(wanted, Mapping):
        for key, below in wanted.items():
            if key not in found and key != _ANY and not optional:
                yield f"it lacks {path and path + '.'}{key}"
            for name in [name for name in found if key in (name, _ANY)]:
                yield from _wrong(found[name], below, f"{path and path + '.'}{name}", optional=optional)


def _shown(found: Any) -> str:
    return _NAMES[type(found)] if found is None or isinstance(found, dict | list) else repr(found)


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


_NAMES = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping", list: "a list",
    type(None): "null",
}  # fmt: skip
"""What the types of JSON are called."""
_NEXT: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
