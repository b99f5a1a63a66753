"""Test examples that every paradigm misses, and those on which they disagree."""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prompt_lab.reporting.best import largest
from prompt_lab.reporting.rows import Row
from prompt_lab.reporting.study import outcomes_of
from prompt_lab.reporting.told import ORACLE

if TYPE_CHECKING:
    from prompt_lab.reporting.outcomes import Outcome

SHOWN, LETTERS, NAMES = 8, 300, 4
"""Examples of each kind, letters of a text, and paradigms that are named."""


@dataclass(frozen=True)
class Instance:
    """A test example.

    Attributes:
        key: the first 16 hex digits of the hash of its texts.
        text: its fields, shortened; None where the task's texts are not to be had.
        label: the true one.
        said: who was right and who was not, in words.
    """

    key: str
    text: str | None
    label: str
    said: str


@dataclass(frozen=True)
class Instances:
    """Of one task and backbone, at its largest K.

    Attributes:
        title: of the group.
        methods: how many paradigms were asked.
        items: how many test items there are.
        missed: those that no run of any paradigm got right, the first few.
        missed_count: how many these are in all.
        disputed: those on which paradigms disagree most.
        note: why there are no texts; empty if there are.
    """

    title: str
    methods: int
    items: int
    missed: Sequence[Instance]
    missed_count: int
    disputed: Sequence[Instance]
    note: str = ""


def instances(rows: Sequence[Row], outcomes: Sequence["Outcome"]) -> list[Instances]:
    """For every task and backbone with two paradigms or more whose predictions are stored; none for tasks of numbers."""
    found = []
    for part in largest(rows):
        here = {row.paradigm: outcomes_of(row, outcomes) for row in part if row.n and row.told != ORACLE}
        tests = {name: runs for name, runs in here.items() if runs and runs[0].number_N is None}
        found += [_of(part[0], tests)] if len(tests) > 1 else []
    return found


def _of(row: Row, tests: Mapping[str, Sequence["Outcome"]]) -> Instances:
    import numpy as np

    from prompt_lab.statistics.agreement import agreement

    agreed = agreement({name: np.stack([run.right_N for run in runs]) for name, runs in tests.items()})
    one = next(iter(tests.values()))[0]
    missed, disputed = agreed.missed[:SHOWN].tolist(), agreed.disputed[:SHOWN].tolist()
    texts, note = _texts(one.record) if missed or disputed else ({}, "")

    def shown(i: int, said: str) -> Instance:
        return Instance(one.keys[i], texts.get(one.keys[i]), one.labels[int(one.label_N[i])], said)

    given = {
        i: Counter(run.labels[int(run.logp_NC[i].argmax())] for runs in tests.values() for run in runs) for i in missed
    }
    return Instances(
        row.title,
        len(tests),
        len(one.keys),
        [shown(i, "all say " + ", ".join(f"{label} ({n})" for label, n in given[i].most_common(3))) for i in missed],
        len(agreed.missed),
        [shown(i, _sides(dict(zip(agreed.methods, agreed.share_MN[:, i].tolist(), strict=True)))) for i in disputed],
        note,
    )


def _sides(share: Mapping[str, float]) -> str:
    """Who is right in most runs, and who is not."""
    right = [name for name, part in share.items() if part > 0.5]
    wrong = [name for name, part in share.items() if part <= 0.5]
    return f"right: {_named(right)}; not: {_named(wrong)}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more if names else "none"


def _texts(record: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """The task's test texts by the beginning of their key, or why they are not to be had. Nothing is fetched from a network."""
    from prompt_lab.data.reading import read
    from prompt_lab.tasks.files import Files

    data = (record.get("config") or {}).get("data") or record["settings"].get("data", {})
    try:
        with _offline():
            files = Files(**data["files"]) if data.get("files") else None
            splits, _ = read(str(data.get("task", record["task"])), files)
    except Exception as error:  # a report without texts is better than none, whatever a task's source raises
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        return {}, f"The texts are not at hand, so their keys stand alone ({reason[:200]})."
    found = {e.key[:16]: _short(" / ".join(e.fields.values())) for e in splits["test"]}
    return found, ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LETTERS else f"{line[: LETTERS - 1]}…"


@contextmanager
def _offline() -> Iterator[None]:
    """The Hugging Face libraries read their caches alone."""
    from huggingface_hub import constants

    before, was = os.environ.get("HF_HUB_OFFLINE"), constants.HF_HUB_OFFLINE
    os.environ["HF_HUB_OFFLINE"], constants.HF_HUB_OFFLINE = "1", True
    if "datasets" in sys.modules:
        sys.modules["datasets"].config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was
        if "datasets" in sys.modules:
            sys.modules["datasets"].config.HF_HUB_OFFLINE = was
        os.environ.pop("HF_HUB_OFFLINE")
        os.environ |= {} if before is None else {"HF_HUB_OFFLINE": before}
