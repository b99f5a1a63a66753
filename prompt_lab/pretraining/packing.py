"""Cuts a corpus into passages: full sequences without regard to documents, or pairs of passages whose relation is asked for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError
from prompt_lab.masking import NO_UNIT
from prompt_lab.pretraining.corpus import Corpus
from prompt_lab.pretraining.objectives.next_sentence import RELATIONS
from prompt_lab.pretraining.passages import Passages

Span = tuple[int, int]
"""Tokens of the corpus, from and up to."""


class Packing(ABC):
    """Passages of at most ``length`` tokens.

    Args:
        corpus: the tokens.
        reader: puts its special tokens around a passage.
        length: the most tokens of a passage.
    """

    def __init__(self, corpus: Corpus, reader: Reader, length: int) -> None:
        self.corpus, self.reader, self.length = corpus, reader, length

    @abstractmethod
    def __len__(self) -> int:
        """Passages in one pass over the corpus."""

    @abstractmethod
    def passages(self, numbers: Sequence[int], shift: int) -> Passages:
        """The passages of these numbers; each depends on its number and the shift alone.

        Args:
            numbers: which.
            shift: moves the places where the corpus is cut, or draws pairs, so that these differ from pass to pass.
        """

    def _batch(self, rows: list[list[Span]], glue: list[list[int]], relation: Tensor | None = None) -> Passages:
        """Rows of spans, each with special tokens before, between and after its spans, padded to the longest."""
        laid = [self._laid(spans, glue) for spans in rows]
        size = (len(rows), max(len(row["ids"]) for row in laid))
        empty = {"ids": self.reader.pad_id, "types": 0, "mask": 0}
        tensors = {name: torch.full(size, empty.get(name, NO_UNIT)) for name in laid[0]}
        for r, row in enumerate(laid):
            for name, values in row.items():
                tensors[name][r, : len(values)] = torch.from_numpy(values)
        ids, mask, types = (tensors.pop(name) for name in ("ids", "mask", "types"))
        types_or_none = types if self.reader.has_types else None
        return Passages(ids, mask, ids, types_or_none, units=tensors, relation=relation, tokens=int(mask.sum()))

    def _laid(self, spans: list[Span], glue: list[list[int]]) -> dict[str, np.ndarray]:
        """One row: ``ids``, ``mask``, ``types``, and the units of each objective by its name."""
        units = self.corpus.units
        parts: dict[str, list[Any]] = {name: [] for name in ("ids", "types", *units)}
        for number, special in enumerate(glue):
            parts["ids"].append(special)
            parts["types"].append([max(number - 1, 0)] * len(special))  # a separator belongs to what it ends
            for name in units:
                parts[name].append([NO_UNIT] * len(special))
            if number < len(spans):
                start, end = spans[number]
                parts["ids"].append(self.corpus.ids[start:end])
                parts["types"].append([number] * (end - start))
                for name, whole in units.items():
                    parts[name].append(_whole(whole, start, end))
        row = {name: np.concatenate([np.asarray(p, dtype=np.int64) for p in found]) for name, found in parts.items()}
        return {**row, "mask": np.ones_like(row["ids"])}


def _whole(units: np.ndarray, start: int, end: int) -> np.ndarray:
    """The units of a span; one that the span cuts is none, since only a part of it could be hidden."""
    own = units[start:end].astype(np.int64)
    for edge, outside in ((0, start - 1), (-1, end)):
        if len(own) and 0 <= outside < len(units) and own[edge] == units[outside]:
            own[own == own[edge]] = NO_UNIT
    return own


class FullSequences(Packing):
    """Passages that are all ``length`` tokens long and go on over the ends of documents (Liu et al. 2019, section 4.2)."""

    def __init__(self, corpus: Corpus, reader: Reader, length: int) -> None:
        super().__init__(corpus, reader, length)
        self._room = length - len(reader.prefix) - len(reader.suffix)

    def __len__(self) -> int:
        return max((len(self.corpus.ids) - self._room + 1) // self._room, 1)

    def passages(self, numbers: Sequence[int], shift: int) -> Passages:
        """``length`` tokens from each place; a corpus that is shorter makes one short passage."""
        size = len(self.corpus.ids)
        first = shift % (max(size - len(self) * self._room, 0) + 1)  # so that the last passage still ends in the corpus
        starts = [first + n * self._room for n in numbers]
        spans = [[(start, min(start + self._room, size))] for start in starts]
        return self._batch(spans, [self.reader.prefix, self.reader.suffix])


class Pairs(Packing):
    """Two passages of whole sentences, of which the second follows the first, or stands elsewhere; each relation as often.

    Documents are cut into segments of whole sentences, each at most half a passage long; a longer sentence is cut short.

    Args:
        corpus: the tokens.
        reader: puts its special tokens around and between the two.
        length: the most tokens of a passage.
        ways: how many relations there are; see ``NextSentence``.

    Raises:
        LabError: the documents are too few or too short for a relation.
    """

    def __init__(self, corpus: Corpus, reader: Reader, length: int, ways: int) -> None:
        super().__init__(corpus, reader, length)
        self._room = (length - len(reader.prefix) - len(reader.between) - len(reader.suffix)) // 2
        self._spans, documents = self._segments()
        self._first = np.searchsorted(documents, documents, side="left")
        self._last = np.searchsorted(documents, documents, side="right")  # one past
        self.relations = RELATIONS[ways]
        self._check()

    def __len__(self) -> int:
        return len(self._spans)

    def passages(self, numbers: Sequence[int], shift: int) -> Passages:
        """Each segment with another one, or the next segment that has such a one: their relation is drawn."""
        pairs = [self._pair(number, shift) for number in numbers]
        spans = [[self._spans[one], self._spans[other]] for one, other, _ in pairs]
        glue = [self.reader.prefix, self.reader.between, self.reader.suffix]
        return self._batch(spans, glue, torch.tensor([relation for _, _, relation in pairs]))

    def _pair(self, number: int, shift: int) -> tuple[int, int, int]:
        """Two segments and the number of their relation."""
        generator = torch.Generator().manual_seed(shift * len(self) + number)
        kind = int(torch.randint(len(self.relations), (), generator=generator))
        relation = self.relations[kind]
        one = next(n % len(self) for n in range(number, number + len(self)) if self._others(n % len(self), relation))
        others = self._others(one, relation)
        drawn = int(torch.randint(sum(b - a for a, b in others), (), generator=generator))
        for a, b in others:
            if drawn < b - a:
                return one, a + drawn, kind
            drawn -= b - a
        raise AssertionError("drawn from all of them")

    def _others(self, one: int, relation: str) -> list[Span]:
        """Ranges of the segments that have this relation to a segment."""
        first, last = int(self._first[one]), int(self._last[one])
        ranges = {
            "next": [(one + 1, min(one + 2, last))],
            "same document": [(first, one), (one + 2, last)],
            "other document": [(0, first), (last, len(self))],
        }[relation]
        return [(a, b) for a, b in ranges if a < b]

    def _segments(self) -> tuple[list[Span], np.ndarray]:
        """Segments, and the document of each."""
        spans: list[Span] = []
        owners: list[int] = []
        for number, (start, end) in enumerate(pairwise(self.corpus.documents)):
            low, high = np.searchsorted(self.corpus.sentences, (start, end))
            bounds = [*self.corpus.sentences[low:high].tolist(), int(end) - 1]  # without the separator
            begin = bounds[0]
            for left, right in pairwise(bounds):
                if right - begin > self._room and left > begin:
                    spans.append((begin, left))
                    owners.append(number)
                    begin = left
                if right - begin > self._room or right == bounds[-1]:
                    if right > begin:
                        spans.append((begin, min(right, begin + self._room)))
                        owners.append(number)
                    begin = right
        return spans, np.array(owners)

    def _check(self) -> None:
        for relation in self.relations:
            if not any(self._others(one, relation) for one in range(len(self))):
                raise LabError(
                    f"next-sentence prediction needs pairs of the relation {relation!r}, and these texts hold none: give more "
                    "documents, of several sentences each (one document a line has none), or a smaller max_length"
                )
