"""The order of training: passes through the examples, cut into batches and shared out over devices."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.utils.data import Dataset

from prompt_lab.batch import Example
from prompt_lab.data.batching import mixed
from prompt_lab.data.encoded import EncodedExample, Encodes


class Part(NamedTuple):
    """A batch, or the part of one that is read at a time.

    Attributes:
        rows: row numbers.
        share: what the mean over these rows counts in the mean over all parts.
    """

    rows: list[int]
    share: float


class Rows(Dataset[tuple[list[EncodedExample], float]]):
    """Encoded examples that are fetched a batch of a pass at a time; each pass is encoded when it begins."""

    def __init__(self, encoder: Encodes, examples: Sequence[Example], seed: int) -> None:
        self._encoder, self._examples, self._seed = encoder, examples, seed
        self._pass, self._rows = -1, list[EncodedExample]()

    def __getitem__(self, item: tuple[int, Part]) -> tuple[list[EncodedExample], float]:
        number, part = item
        if number != self._pass:
            self._rows = self._encoder.encode_pass(self._examples, number, mixed(self._seed, number))
            self._pass = number
        return [self._rows[i] for i in part.rows], part.share


class Passes:
    """Batches, each with the number of the pass through the examples it belongs to, and with texts beside them.

    Args:
        batches: of the training examples.
        beside: batches of other texts, gone through as often as needed; or None.
        offset: the row number of the first of these.
    """

    def __init__(self, batches: "ShuffledBatches", beside: "ShuffledBatches | None" = None, offset: int = 0) -> None:
        self._batches, self._offset = batches, offset
        self._others = None if beside is None else _endless(beside)
        self._pass = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple[int, Part]]:
        number, self._pass = self._pass, self._pass + 1
        for part in self._batches:
            others = [] if self._others is None else [self._offset + i for i in next(self._others).rows]
            yield number, Part([*part.rows, *others], part.share)


def _endless(batches: "ShuffledBatches") -> Iterator[Part]:
    while True:
        yield from batches


class ShuffledBatches:
    """Row numbers of each batch, in a new order every time it is gone through.

    A batch is shared out over devices, and each one's share may be cut into parts that come one after the other, so neither number
    changes the batches or the number of steps. The gradient is the mean of those of all parts; where these are not of one size, each
    counts by how many rows it has. One that would have none reads a row that counts for nothing: no device steps without the others.

    Args:
        rows: how many there are.
        batch_size: over all devices and parts.
        seed: of the orders.
        part: this device's number, and how many there are.
        parts: of each device's share.
    """

    def __init__(self, rows: int, batch_size: int, seed: int, part: tuple[int, int] = (0, 1), parts: int = 1) -> None:
        self._rows, self._batch_size, self._seed, self._parts = rows, batch_size, seed, parts
        self._rank, self._world = part
        self._epoch = 0

    def __len__(self) -> int:
        return -(-self._rows // self._batch_size) * self._parts

    def __iter__(self) -> Iterator[Part]:
        generator = torch.Generator().manual_seed(mixed(self._seed, self._epoch))
        self._epoch += 1
        order = torch.randperm(self._rows, generator=generator).tolist()
        for start in range(0, self._rows, self._batch_size):
            batch = order[start : start + self._batch_size]
            of = self._world * self._parts
            for number in range(self._parts):
                rows = batch[self._rank + self._world * number :: of]
                yield Part(rows or batch[:1], len(rows) * of / len(batch))
