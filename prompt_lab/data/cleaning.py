"""Removes what would make a comparison wrong: texts that come twice, and texts that stand in two splits."""

from collections import Counter
from collections.abc import Iterable, Mapping

from prompt_lab.batch import Example
from prompt_lab.errors import LabError, listed
from prompt_lab.tasks.base import Split

# A text that stands in several splits belongs to the first of these: the test is never made smaller by the others.
PRECEDENCE: tuple[Split, ...] = ("test", "train", "validation", "unlabeled")


def clean(
    splits: Mapping[Split, list[Example]], *, strict: bool, allow_overlap: bool = False
) -> tuple[dict[Split, list[Example]], dict[str, int]]:
    """Splits in which every text comes once, and the number of rows that were removed to get there.

    Two rows are the same when their ``Example.key`` is, that is, all their fields. In ready-made data sets rows are
    dropped. In the user's own files (``strict``) a repeated row is dropped, but a text with two labels or in two splits
    is an error, for only the user knows which row is right. Published split files have such rows (LM-BFF's TREC draws
    have test questions, FewCLUE's EPRSTMT repeats reviews): with ``allow_overlap`` the rows of train, validation and
    test stay as they are and are only counted. The unlabelled pool always loses the rows that come twice or stand in
    another split.

    Args:
        splits: the examples of each split.
        strict: raise an error where a row would have to be chosen.
        allow_overlap: keep every row of train, validation and test.

    Returns:
        The splits, and counts for the record: ``duplicates`` (repeated in their split), ``conflicting`` (same text,
        two labels: all of them), ``in_test``, ``in_train``, ``in_validation`` (rows of another split whose text stands
        there). Rows that were counted but kept have ``_kept`` behind the name. Counts of zero are left out.

    Raises:
        LabError: ``strict``, and a text has two labels or stands in two splits; names both places.
    """
    counts: Counter[str] = Counter()
    home: dict[str, tuple[Split, Example]] = {}
    cleaned: dict[Split, list[Example]] = {}
    for split in sorted(splits, key=PRECEDENCE.index):
        faults = dict(_faults(splits[split], home))
        keep = allow_overlap and split != "unlabeled"
        if strict and not keep:
            _refuse(split, splits[split], faults, home)
        counts.update(f"{fault}_kept" if keep else fault for fault in faults.values())
        cleaned[split] = [e for i, e in enumerate(splits[split]) if keep or i not in faults]
        for example in splits[split]:
            home.setdefault(example.key, (split, example))
    return {split: cleaned[split] for split in splits}, dict(counts)


def _faults(examples: list[Example], home: Mapping[str, tuple[Split, Example]]) -> Iterable[tuple[int, str]]:
    """(row, fault) of the rows to drop, where ``home`` holds the texts of the splits that come before."""
    labels: dict[str, set[object]] = {}
    for example in examples:
        labels.setdefault(example.key, set()).add(_told(example))
    seen: set[str] = set()
    for row, example in enumerate(examples):
        if example.key in home:
            yield row, f"in_{home[example.key][0]}"
        elif len(labels[example.key]) > 1:
            yield row, "conflicting"
        elif example.key in seen:
            yield row, "duplicates"
        seen.add(example.key)


def _told(example: Example) -> object:
    """The label; two numbers on the same side of a regression's middle are two labels as well."""
    return example.label, example.soft


def _refuse(
    split: Split, examples: list[Example], faults: Mapping[int, str], home: Mapping[str, tuple[Split, Example]]
) -> None:
    """An error for the faults that the user has to settle."""
    first: dict[str, Example] = {}
    two_labels, two_splits = [], []
    for row, example in enumerate(examples):
        before = first.setdefault(example.key, example)
        if faults.get(row) == "conflicting" and _told(example) != _told(before):
            two_labels.append(f"{before.origin} and {example.origin}")
        elif split != "unlabeled" and faults.get(row, "").startswith("in_"):
            where, other = home[example.key]
            two_splits.append(f"{example.origin} ({split}) and {other.origin} ({where})")
    if two_labels:
        raise LabError(listed("the same text has two labels", two_labels) + "\nRemove the wrong ones.")
    if two_splits:
        raise LabError(
            listed("the same text stands in two splits", two_splits)
            + "\nRemove it from one of the files, or set allow_overlap to use published splits as they are."
        )
