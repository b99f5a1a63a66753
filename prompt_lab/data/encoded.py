"""Encoded examples, what makes them, and how they become a batch."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy
import torch

from prompt_lab.backbones.reader import Reader, Row
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.sampling import fingerprint


@dataclass(frozen=True)
class EncodedExample:
    """One example as its G rows.

    Attributes:
        rows: G rows.
        label: class index, -100 where unknown.
        index: the example's place in its split.
        soft: a probability for each label, if it has them.
        view: which of its views the rows show, if an encoder has several and shows one.
    """

    rows: Sequence[Row]
    label: int
    index: int
    soft: tuple[float, ...] | None = None
    view: int | None = None

    @property
    def length(self) -> int:
        """Tokens of the longest row."""
        return max(len(r.input_ids) for r in self.rows)


class Encodes(Protocol):
    """How examples become what a paradigm reads: what the data module asks of an encoder."""

    @property
    def reader(self) -> Reader: ...  # noqa: D102

    @property
    def key(self) -> tuple[Any, ...]:
        """Everything the encoding depends on but the examples."""

    def encode(self, examples: Sequence[Example], *, labels: bool = True) -> list[EncodedExample]:
        """The rows of each example, in order, as they are evaluated. Test examples are encoded without ``labels``."""

    def encode_pass(self, examples: Sequence[Example], number: int, seed: int) -> list[EncodedExample]:
        """The rows of each example, in order, as one pass of training sees them.

        Args:
            examples: all that are trained on.
            number: of the pass, from 0.
            seed: for what is drawn anew in every pass; another one in each.
        """


def known(example: Example, index: int, *, labels: bool) -> tuple[int, int, tuple[float, ...] | None]:
    """Label, index and soft labels of an encoded example; without ``labels`` nothing of either is told."""
    label = example.label if labels and example.label is not None else -100
    return label, index, example.soft if labels else None


def filled(example: EncodedExample, width: int) -> list[Row]:
    """The rows of an example, the last one repeated: a batch is a block, and what fills it up is not read."""
    return [example.rows[min(g, len(example.rows) - 1)] for g in range(width)]


LIMIT = 2**23
"""Tokens that are kept in memory, each in a list of Python's: about a third of a gigabyte."""


class _Kept:
    """Encoded lists of examples, the last used of them."""

    def __init__(self) -> None:
        self._found: OrderedDict[Any, tuple[list[EncodedExample], int]] = OrderedDict()

    def get(self, key: Any, make: Callable[[], list[EncodedExample]]) -> list[EncodedExample]:
        if key not in self._found:
            made = make()
            tokens = sum(len(row.input_ids) + len(row.decoder_ids) for one in made for row in one.rows)
            self._found[key] = made, tokens
            while len(self._found) > 1 and sum(size for _, size in self._found.values()) > LIMIT:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return self._found[key][0]

    def clear(self) -> None:
        self._found.clear()


_KEPT = _Kept()


def encoded(encoder: Encodes, examples: Sequence[Example], *, labels: bool = True) -> list[EncodedExample]:
    """The encoded examples, kept in memory so that all seeds of a suite share one tokenised test set.

    They are known by all that an encoder says its rows depend on, by the texts with their labels, and by whether labels are told.
    """
    key = (encoder.key, fingerprint(examples), labels)
    return _KEPT.get(key, lambda: encoder.encode(examples, labels=labels))


def forget() -> None:
    """Forget all encoded examples."""
    _KEPT.clear()


def collate(examples: Sequence[EncodedExample], reader: Reader) -> Encoded:
    """A batch, its rows padded to the longest among them."""
    rows = [r for e in examples for r in e.rows]
    lengths = numpy.array([len(r.input_ids) for r in rows])
    labels = max(len(e.soft or ()) for e in examples)
    soft = [e.soft or (0.0,) * labels for e in examples] if labels else None
    view = [e.view for e in examples if e.view is not None]
    slots = max(len(r.slots) for r in rows)
    return Encoded(
        input_ids=_padded([r.input_ids for r in rows], reader.pad_id),
        attention_mask=torch.from_numpy((numpy.arange(lengths.max()) < lengths[:, None]).astype(numpy.int64)),
        slots=torch.tensor([r.slots + [-1] * (slots - len(r.slots)) for r in rows], dtype=torch.long).view(
            len(examples), len(rows) // len(examples), slots
        ),
        label=torch.tensor([e.label for e in examples]),
        index=torch.tensor([e.index for e in examples]),
        soft=None if soft is None else torch.tensor(soft),
        view=torch.tensor(view) if view else None,
        token_type_ids=_padded([r.type_ids for r in rows], 0) if reader.has_types else None,
        decoder_input_ids=_padded([r.decoder_ids for r in rows], reader.pad_id) if rows[0].decoder_ids else None,
        tokens=sum(len(r.input_ids) + len(r.decoder_ids) for r in rows),
    )


def _padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    # torch reads nested lists in three times the time
    found = numpy.full((len(rows), max(map(len, rows))), value, numpy.int64)
    for place, row in zip(found, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(found)
