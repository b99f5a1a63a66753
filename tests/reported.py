"""Finished runs whose every prediction is chosen by hand, for the tests of reports."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from test_table import record

from prompt_lab.reporting.loading import Loaded, load

LABELS = "bad", "good"
ITEMS = 200


def write(out: Path, paradigm: str = "pattern_tuning", seed: int = 13, right: float = 0.6, **other: Any) -> Path:
    """A run that is right on that share of its items: on the first ones, but for ``shift`` items further on."""
    items, shift = other.pop("items", ITEMS), other.pop("shift", 0)
    task = other.get("task", "sst2")
    hits = np.roll(np.arange(items) < round(right * items), shift)
    labels = np.arange(items) % 2
    rows = []
    for i, (hit, label) in enumerate(zip(hits, labels, strict=True)):
        said = label if hit else 1 - label
        p = np.where(np.arange(2) == said, 0.8, 0.2)
        rows.append(_row(f"{task}{i}", LABELS[label], LABELS[said], p))
    return _write(out, record(paradigm, seed, float(hits.mean()), **other), rows)


def write_numbers(out: Path, paradigm: str, seed: int, noise: float, k: int = 16) -> Path:
    """A run that predicts numbers from 0 to 5, which are off by some noise."""
    random = np.random.default_rng(seed)
    true = np.linspace(0, 5, 60)
    share = np.clip(true / 5 + noise * random.normal(size=60), 0.01, 0.99)
    rows = []
    for i, (value, p) in enumerate(zip(true, share, strict=True)):
        near, said = LABELS[int(value >= 2.5)], LABELS[int(p > 0.5)]
        number = {"value": value, "predicted_value": round(5 * p, 9)}
        rows.append(_row(f"stsb{i}", near, said, np.array([1 - p, p])) | number)
    score = float(np.corrcoef(true, share)[0, 1])
    made = record(paradigm, seed, score, metric="test/pearson", task="stsb", k=k)
    return _write(out, {**made, "collapsed": False}, rows)


def loaded(out: Path) -> Loaded:
    return load(out)


def _row(key: str, label: str, said: str, p_C: Any) -> dict[str, Any]:
    return {"key": f"{key:0>16}", "label": label, "predicted": said, "log_probabilities": np.log(p_C).tolist()}


def _write(out: Path, made: dict[str, Any], rows: list[dict[str, Any]]) -> Path:
    made = {
        "schema": 2,
        "recall_per_class": dict.fromkeys(LABELS, 0.5),
        "settings": {"backbone": "minilm-mlm", "data": {"task": made["task"], "k": made["k"]}},
        **made,
    }
    made["data"] = {**made["data"], "test": len(rows)}
    cell = made["task"], made["paradigm"], made["backbone"], f"k{made['k']}", f"seed{made['split_seed']}"
    folder = out.joinpath(*cell)
    folder.mkdir(parents=True)
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "record.json").write_text(json.dumps(made))
    return folder
