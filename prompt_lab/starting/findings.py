"""What stands in a user's file that a comparison should know of: repeats, gaps, rare labels, texts that say their label."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from prompt_lab.batch import Example
from prompt_lab.starting.words import spoken
from prompt_lab.tasks.base import Split

KS = (16, 32)
_LEAK = 0.2
"""The share of texts that may hold their label's name before it is told."""


@dataclass(frozen=True)
class Findings:
    """What was found.

    Attributes:
        labels: rows of each label that can be used, in the file that is learnt from.
        drawable: different texts of each label that training and validation are drawn from.
        test: rows of the test.
        warnings: a sentence each.
    """

    labels: dict[str, int]
    drawable: dict[str, int]
    test: int
    warnings: list[str]

    @property
    def largest_k(self) -> int:
        """The largest K for which every label has K texts to train on and K to validate on."""
        return min(self.drawable.values()) // 2


Splits = Mapping[Split, list[Example]]


def look(labels: Sequence[str], rows: int, splits: Splits, cleaned: Splits, removed: Mapping[str, int]) -> Findings:
    """Look at the texts.

    Args:
        labels: the names of the labels.
        rows: of the files, those without a label or a text too.
        splits: the usable rows.
        cleaned: those that are left of them when texts come once (``data.cleaning.clean``).
        removed: how many were removed from them, and why.
    """
    every = [*splits["train"], *splits["test"]]
    counts, left = (Counter(labels[e.label or 0] for e in part) for part in (every, cleaned["train"]))
    sizes = {label: left[label] for label in labels}
    said = [*_gaps(rows - len(every)), *_repeats(removed), *_rare(sizes), *_leaks(labels, every), *_alike(labels)]
    return Findings({label: counts[label] for label in labels}, sizes, len(cleaned["test"]), said)


def _gaps(rows: int) -> Iterator[str]:
    if rows:
        yield f"{_rows(rows)} without a label or with an empty text: left out"


def _repeats(removed: Mapping[str, int]) -> Iterator[str]:
    if rows := removed.get("duplicates"):
        yield f"{_rows(rows)} repeating the text of another: each text is used once"
    if rows := removed.get("conflicting"):
        yield f"{_rows(rows)} whose text stands there with another label, too: never used; correct them in the file"
    if rows := removed.get("in_test"):
        yield f"{_rows(rows)} of the training file whose text is one of the test's: used in the test alone"


def _rare(sizes: dict[str, int]) -> Iterator[str]:
    for k in KS:
        need = 2 * k
        short = {label: n for label, n in sizes.items() if n < need}
        if short:
            named = ", ".join(f"{label} ({n})" for label, n in sorted(short.items(), key=lambda pair: pair[1])[:5])
            more = f" and {len(short) - 5} more" if len(short) > 5 else ""
            yield f"K = {k} needs {need} texts a label ({k} to train on, {k} to validate on); too few: {named}{more}"
            return  # what is too few for 16 is too few for 32


def _leaks(labels: Sequence[str], examples: Sequence[Example]) -> Iterator[str]:
    """A text that holds the name of its own label, where others hold it far less often: it can be answered without being read."""
    for number, label in enumerate(labels):
        name = spoken(label)
        if not any(c.isalpha() for c in name):
            continue
        edge = r"\b" if name.isascii() else ""
        pattern = re.compile(edge + re.escape(name) + edge, re.IGNORECASE)
        holds = Counter(e.label for e in examples if any(pattern.search(text) for text in e.fields.values()))
        own, size = holds[number], sum(e.label == number for e in examples)
        others = holds.total() - own
        if own > _LEAK * size and own / size > 3 * others / max(len(examples) - size, 1):
            yield f"{own / size:.0%} of the texts of {label!r} hold its name ({own} of {size}): is the label written in the text?"


def _alike(labels: Sequence[str]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(label.lower(), []).append(label)
    for group in groups.values():
        if len(group) > 1:
            yield f"{' and '.join(map(repr, group))} differ in capitals alone: are they one label?"


def _rows(number: int) -> str:
    return f"{number:,} row{'s' * (number > 1)}"
