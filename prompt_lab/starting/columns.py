"""Which column of a file is the label and which are the texts: by their names, and by what stands in them."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from prompt_lab.errors import LabError, unknown
from prompt_lab.starting.language import is_han
from prompt_lab.starting.lexicon import LABEL_COLUMNS, PAIRS, TEXT_COLUMNS
from prompt_lab.starting.reading import Data

MOSTLABEL_COLUMNS = 200
_LONG = 60
_FEW = 10


@dataclass(frozen=True)
class Column:
    """A column and what can be said of it."""

    name: str
    values: Sequence[str]

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each value comes; empty cells are left out."""
        return Counter(v for v in self.values if v)

    @cached_property
    def is_number(self) -> bool:
        """Whether every value is one."""
        return all(re.fullmatch(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?", v) for v in self.counts)

    @cached_property
    def length(self) -> float:
        """Characters of a value, in the mean over rows."""
        return sum(len(v) * n for v, n in self.counts.items()) / max(self.counts.total(), 1)

    @cached_property
    def words(self) -> float:
        """Words of a value, in the mean over rows; two Chinese characters count as one."""
        total = sum(max(len(v.split()), sum(map(is_han, v)) / 2) * n for v, n in self.counts.items())
        return total / max(self.counts.total(), 1)

    def hint(self, names: Collection[str]) -> int:
        """2 if its name is one of these, 1 if a part of it is."""
        name = re.sub(r"\W+", "_", self.name.strip().lower())
        return 2 if name in names else int(any(part in names for part in name.split("_")))

    @cached_property
    def no_label(self) -> str | None:
        """Why it cannot be the label, or None if it can."""
        different, number = len(self.counts), self.counts.total()
        many = f"has {different:,} different values in {number:,} rows"
        if different < 2:
            return f"has {'one value only' if different else 'no values'}, and a task needs two labels"
        if self.is_number and different > _FEW and any(not v.lstrip("+-").isdecimal() for v in self.counts):
            return f"{many}: numbers to predict. That is regression; write the task by hand with bounds, as prompt_lab/tasks/stsb.py"
        if different == number or (different > number / 2 and different > _FEW):
            return (
                f"{many}: {'numbers to predict (regression), or ids' if self.is_number else 'texts or ids'}, no labels"
            )
        if different > MOSTLABEL_COLUMNS:
            return f"{many}; at most {MOSTLABEL_COLUMNS} labels are compared"
        return "holds texts, no labels" if self.length > _LONG else None


@dataclass(frozen=True)
class Choice:
    """Which column is what.

    Attributes:
        label: the label's column.
        texts: one or two columns of texts, in the order of the fields.
        notes: what was not clear.
    """

    label: str
    texts: tuple[str, ...]
    notes: list[str] = field(default_factory=list)


def choose(data: Data, label: str | None = None, texts: Sequence[str] = ()) -> Choice:
    """Find the columns, or take those that are named.

    Raises:
        LabError: a column that is named is not there, the label's has no labels (too many values, one value, numbers to
            predict), no column looks like a label or a text, or more than two texts are named.
    """
    columns = {name: Column(name, data.values(name)) for name in data.columns}
    for name in (*([label] if label else []), *texts):
        if name not in columns:
            raise unknown("column", name, columns, more=f"{data.path} was read.")
    if len(texts) > 2 or len(set(texts)) < len(texts) or label in texts:
        raise LabError("one or two columns are texts, and neither is the label; join others before, or leave them out")
    notes: list[str] = []
    others = [c for c in columns.values() if c.name not in texts]
    found = columns[label] if label else _label(data, others, notes)
    if found.no_label:
        raise LabError(
            f"{data.path}: column {found.name!r} {found.no_label}. Name another with --label, if there is one."
        )
    left = [c for c in columns.values() if c.name != found.name]
    return Choice(found.name, tuple(texts) or _texts(data, found, left, notes), notes)


def _label(data: Data, columns: Sequence[Column], notes: list[str]) -> Column:
    hinted = sorted(
        (c for c in columns if c.hint(LABEL_COLUMNS)), key=lambda c: (-c.hint(LABEL_COLUMNS), len(c.counts))
    )
    usable = [c for c in hinted or columns if not c.no_label]
    if not usable:
        if hinted:
            return hinted[0]
        why = "".join(f"\n  {c.name!r} {c.no_label}" for c in columns)
        raise LabError(f"{data.path}: no column looks like a label; name it with --label.{why}")
    best = usable[0] if hinted else min(reversed(usable), key=lambda c: len(c.counts))
    if not hinted:
        notes.append(
            f"no column is called label or the like; {best.name!r} was taken for it as it has the fewest values (--label)"
        )
    named = [c for c in columns if c is not best and not c.no_label and _same(best, c) and not c.is_number]
    if best.is_number and named:
        notes.append(f"{named[0].name!r} says in words what {best.name!r} says in numbers, and was taken as the label")
        return named[0]
    rivals = [c.name for c in usable if c is not best and not _same(best, c)]
    if rivals:
        notes.append(f"{', '.join(map(repr, rivals))} could be the label as well (--label)")
    return best


def _same(one: Column, other: Column) -> bool:
    """Whether each value of one column stands with one value of the other, always the same."""
    return len(set(zip(one.values, other.values, strict=True))) == len(set(one.values)) == len(set(other.values))


def _texts(data: Data, label: Column, columns: Sequence[Column], notes: list[str]) -> tuple[str, ...]:
    likely = [c for c in columns if _is_text(c, label)]
    if not likely:
        raise LabError(
            f"{data.path}: no column looks like a text beside the label {label.name!r}; name one or two with --text"
        )
    names = {re.sub(r"\W+", "_", c.name.strip().lower()): c.name for c in likely}
    if pair := next((p for p in PAIRS if set(p) <= set(names)), None):
        return names[pair[0]], names[pair[1]]
    hinted = [c for c in likely if c.hint(TEXT_COLUMNS)]
    long = [c for c in hinted or likely if c.words >= 4]
    chosen = (hinted or long)[:2] if len(hinted or long) == 2 else _longest(hinted or long or likely)
    if not hinted:
        names_taken = " and ".join(repr(c.name) for c in chosen)
        notes.append(f"no column is called text or the like; taken for texts: {names_taken} (--text)")
    elif len(chosen) == 2:
        notes.append(
            f"{chosen[0].name!r} and {chosen[1].name!r} were taken as a pair of texts; --text takes one of them alone"
        )
    if more := [c.name for c in likely if c not in chosen]:
        notes.append(f"{', '.join(map(repr, more))} could be a text as well (--text)")
    return tuple(c.name for c in chosen)


def _longest(columns: Sequence[Column]) -> list[Column]:
    return [max(columns, key=lambda c: c.length)]


def _is_text(column: Column, label: Column) -> bool:
    """Whether it holds words, more than a few different ones; a name alone is believed, unless there are only numbers."""
    if column.is_number or not column.counts:
        return False
    varied = len(column.counts) > max(len(label.counts), column.counts.total() / 20)
    return varied and (column.words >= 2 or bool(column.hint(TEXT_COLUMNS)))
