"""The data module that all paradigms share: K examples a class, disjoint validation, the sealed test set, unlabelled texts."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, Dataset

from prompt_lab.batch import Example
from prompt_lab.data.batching import mixed, refuse_below_one, refuse_uneven
from prompt_lab.data.encoding import EncodedExample, Encoder, collate
from prompt_lab.data.reading import read
from prompt_lab.data.sampling import Draw, K, ValidationSize, draw, fingerprint
from prompt_lab.errors import LabError
from prompt_lab.tasks import Task, load_task
from prompt_lab.tasks.files import Files

_KEPT = 8


class FewShotData(pl.LightningDataModule):
    """Few-shot examples of one task, encoded as the paradigm that is being trained reads them.

    Batches hold training and validation labels; test batches never do: the runner alone compares with the test labels.

    Args:
        task: name of a task, or the path of a Python file that defines ``TASK``.
        k: training examples of each class; 0 for none, ``full`` for all.
        seed: which examples are drawn; published ones are 13, 21, 42, 87 and 100.
        batch_size: examples in a training step, over all devices together.
        eval_batch_size: examples in an evaluation batch.
        max_length: the most tokens of an example; its fields are shortened to fit.
        test_size: evaluate on a fixed sample of this many test examples, the same for every seed; all by default.
        validation: as many validation as training examples (``k``), or up to ten times as many (``dev10x``).
        files: read the task from your own files instead of its source.
    """

    def __init__(
        self,
        task: str,
        k: K = 16,
        seed: int = 13,
        batch_size: int = 8,
        eval_batch_size: int = 64,
        max_length: int = 128,
        test_size: int | None = None,
        validation: ValidationSize = "k",
        files: Files | None = None,
    ) -> None:
        super().__init__()
        refuse_below_one(
            batch_size=batch_size, eval_batch_size=eval_batch_size, max_length=max_length, test_size=test_size
        )
        self.task: Task = load_task(task)
        self.k = k
        self.seed = seed
        self.order_seed = seed
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.max_length = max_length
        self.test_size = test_size
        self.validation = validation
        self.files = files if files and files.named() else None
        self._task_name = task
        self._draw: Draw | None = None
        self._unlabeled_used = 0

    # ---------------------------------------------------------------- examples

    @property
    def drawn(self) -> Draw:
        """The examples of this K and seed; drawn once.

        Raises:
            LabError: the texts cannot be had or used, or a class has too few.
        """
        if self._draw is None:
            splits, _ = read(self._task_name, self.files)
            self._draw = draw(
                splits.get("train", []), self.task.labels, self.k, self.seed,
                validation_pool=splits.get("validation"), size=self.validation,
            )  # fmt: skip
        return self._draw

    def unlabeled(self) -> tuple[Example, ...]:
        """Texts without labels, counted in the information budget: the source's own, or training texts that were not drawn."""
        own = read(self._task_name, self.files)[0].get("unlabeled")
        pool = self.drawn.unlabeled if own is None else tuple(own)
        self._unlabeled_used = len(pool)
        return pool

    def sealed_test(self) -> tuple[Example, ...]:
        """The test examples with their labels. For the runner alone, after training and selection."""
        return self._test

    @cached_property
    def _test(self) -> tuple[Example, ...]:
        test = read(self._task_name, self.files)[0].get("test", [])
        if not test:
            raise LabError(f"task {self.task.name!r} has no test texts; give some with --data.files.test")
        if self.test_size is None or self.test_size >= len(test):
            return tuple(test)
        return tuple(sorted(test, key=lambda e: hashlib.sha256(f"test\n{e.key}".encode()).digest())[: self.test_size])

    def facts(self) -> dict[str, Any]:
        """What the record says of the data: fingerprints and counts."""
        test = self.sealed_test()
        return {
            "fingerprint": self.drawn.fingerprint,
            "test_fingerprint": fingerprint(test),
            "train": len(self.drawn.train),
            "validation": len(self.drawn.validation),
            "test": len(test),
            "cleaned": read(self._task_name, self.files)[1],
        }

    def budget(self) -> dict[str, int]:
        """What a paradigm was told (CLUES; Mukherjee et al. 2021): labels, and texts without labels."""
        return {
            "labels_train": len(self.drawn.train),
            "labels_validation": 0,
            "unlabeled_texts": self._unlabeled_used,
            "external_labels": 0,
            "demonstrations": 0,
        }

    # ---------------------------------------------------------------- batches

    def setup(self, stage: str) -> None:
        """Draw the examples."""
        _ = self.drawn

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches in a new order every epoch; the orders follow from ``order_seed`` alone."""
        refuse_uneven(self.batch_size, self._rank_and_world()[1])
        rows = encoded(self._encoder(), self.drawn.train)
        sampler = ShuffledBatches(len(rows), self.batch_size, self.order_seed, self._rank_and_world())
        return self._loader(Rows(rows), self._encoder(), sampler)

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation examples, all on every device."""
        return self._grouped(encoded(self._encoder(), self.drawn.validation), self._encoder(), (0, 1))

    def evaluation(self, encoder: Encoder, examples: Sequence[Example]) -> DataLoader[Any]:
        """Batches of examples without their labels, grouped by length and shared out over devices."""
        return self._grouped(encoded(encoder, examples, labels=False), encoder, self._rank_and_world())

    def _encoder(self) -> Encoder:
        assert self.trainer is not None
        module: Any = self.trainer.lightning_module
        return module.encoder(self.max_length)

    def _rank_and_world(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _grouped(self, rows: list[EncodedExample], encoder: Encoder, part: tuple[int, int]) -> DataLoader[Any]:
        """Batches of one device's share; where there are fewer rows than devices, some read the first row again."""
        rows = sorted(rows, key=lambda row: -row.length)
        rows = rows[part[0] :: part[1]] or rows[:1]
        batches = [rows[i : i + self.eval_batch_size] for i in range(0, len(rows), self.eval_batch_size)]
        return self._loader(batches, encoder)

    def _loader(self, batches: Any, encoder: Encoder, sampler: Any = None) -> DataLoader[Any]:
        """A loader whose items are whole batches, since Lightning makes batch samplers anew when it evaluates."""
        return DataLoader(batches, batch_size=None, sampler=sampler, collate_fn=partial(collate, reader=encoder.reader))


class Rows(Dataset[list[EncodedExample]]):
    """Encoded examples that are fetched a batch at a time."""

    def __init__(self, rows: list[EncodedExample]) -> None:
        self._rows = rows

    def __getitem__(self, batch: list[int]) -> list[EncodedExample]:
        return [self._rows[i] for i in batch]


class ShuffledBatches:
    """Row numbers of each batch, in a new order every time it is gone through.

    A batch is shared out over devices, so their number changes neither the batches nor the number of steps. A batch that cannot
    be shared out evenly is filled up from its beginning.
    """

    def __init__(self, rows: int, batch_size: int, seed: int, part: tuple[int, int] = (0, 1)) -> None:
        self._rows, self._batch_size, self._seed = rows, batch_size, seed
        self._rank, self._world = part
        self._epoch = 0

    def __len__(self) -> int:
        return -(-self._rows // self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(mixed(self._seed, self._epoch))
        self._epoch += 1
        order = torch.randperm(self._rows, generator=generator).tolist()
        for start in range(0, self._rows, self._batch_size):
            batch = order[start : start + self._batch_size]
            batch += [batch[i % len(batch)] for i in range(-len(batch) % self._world)]
            yield batch[self._rank :: self._world]


_ENCODED: OrderedDict[Any, list[EncodedExample]] = OrderedDict()


def encoded(encoder: Encoder, examples: Sequence[Example], *, labels: bool = True) -> list[EncodedExample]:
    """The encoded examples, kept in memory so that all seeds of a suite share one tokenised test set."""
    key = (encoder.key, fingerprint(examples), labels)
    if key not in _ENCODED:
        _ENCODED[key] = encoder.encode(examples, labels=labels)
        while len(_ENCODED) > _KEPT:
            _ENCODED.popitem(last=False)
    _ENCODED.move_to_end(key)
    return _ENCODED[key]
