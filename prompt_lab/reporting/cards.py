"""A card a row: what exactly was run, on what, with what, and what it was told."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prompt_lab.reporting.columns import BYTES, scaled
from prompt_lab.reporting.comparable import Record
from prompt_lab.reporting.rows import Row
from prompt_lab.reporting.told import PARTS

_PARTS = ("strategy", "template", "answer", "tuning", "selection", "trials")
_HASH = 19
"""Letters of a fingerprint that are enough to tell it from others."""


@dataclass(frozen=True)
class Card:
    """Of one row.

    Attributes:
        title: its group.
        paradigm: its name.
        lines: what is known, by name.
        settings: those that were given, as JSON, without the seed.
    """

    title: str
    paradigm: str
    lines: Mapping[str, str]
    settings: str


def cards(rows: Sequence[Row], records: Sequence[Record]) -> list[Card]:
    """A card for every row that was run, in the table's order."""
    return [_card(row, [r for r in records if row.holds(r)]) for row in rows if row.n]


def _card(row: Row, runs: Sequence[Record]) -> Card:
    runs = sorted(runs, key=lambda r: r["split_seed"])
    budget = {name: max(r["budget"].get(part, 0) for r in runs) for part, name in PARTS.items()}
    lines = {
        "model": f"{row.backbone}, revision {_one(r.get('backbone_revision') for r in runs)}",
        **{part: _one(r.get(part) for r in runs) for part in _PARTS},
        "chosen": _one(r.get("chosen") for r in runs),
        "seeds": "; ".join(_seeds(r) for r in runs),
        "examples drawn": ", ".join(f"{r['split_seed']}: {_short(r['data'].get('fingerprint'))}" for r in runs),
        "test": f"{_one(r['data'].get('test') for r in runs)} items, {_short(runs[0]['data'].get('test_fingerprint'))}",
        "told": ", ".join(f"{count} {name}" for name, count in budget.items() if count) or "nothing",
        "model calls": f"{max(r['cost']['model_calls'] for r in runs)}",
        "tokens": ", ".join(
            f"{scaled(max(r['cost']['tokens'][kind] for r in runs))} {kind}" for kind in runs[0]["cost"]["tokens"]
        ),
        "stored": scaled(row.stored_bytes, BYTES),
        "commit": _one(_environment(r, "commit") for r in runs),
        "device": _one(_environment(r, "device") for r in runs),
        "python": _one(_environment(r, "python") for r in runs),
        "packages": _one(_packages(r) for r in runs),
        "finished": _one([r.get("finished") for r in runs][-1:]),
    }
    known = {name: said for name, said in lines.items() if said not in ("", "None")}
    return Card(row.title, row.paradigm, known, _settings(runs[0]))


def _one(values: Iterable[object]) -> str:
    """What all runs share, or every value that occurs."""
    return " | ".join(dict.fromkeys(str(value) for value in values))


def _seeds(record: Record) -> str:
    split, others = record["split_seed"], [record.get("init_seed"), record.get("order_seed")]
    if all(seed in (None, split) for seed in others):
        return f"{split}"
    return f"split {split}, initialisation {others[0]}, order {others[1]}"


def _short(fingerprint: object) -> str:
    return str(fingerprint)[:_HASH]


def _environment(record: Record, name: str) -> object:
    return record.get("environment", {}).get(name)


def _packages(record: Record) -> str:
    packages: Mapping[str, Any] = record.get("environment", {}).get("packages") or {}
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _settings(record: Record) -> str:
    settings = dict(record.get("settings") or {})
    settings["data"] = {name: value for name, value in (settings.get("data") or {}).items() if name != "seed"}
    return json.dumps(settings, indent=1, ensure_ascii=False, default=str)
