"""The data module that all paradigms share: K examples a class, disjoint validation, the sealed test set, unlabelled texts."""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from typing import Any

import lightning.pytorch as pl
from torch.utils.data import DataLoader

from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.batching import mixed, refuse_below_one, refuse_uneven
from prompt_lab.data.encoded import EncodedExample, Encodes, collate, encoded
from prompt_lab.data.passes import Passes, Rows, ShuffledBatches
from prompt_lab.data.reading import read
from prompt_lab.data.sampling import Draw, K, ValidationSize, draw, fingerprint, shuffled
from prompt_lab.errors import LabError
from prompt_lab.pretraining.texts import Texts
from prompt_lab.tasks import Task, load_task
from prompt_lab.tasks.files import Files


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
        self._told = {"unlabeled_texts": 0, "demonstrations": 0}
        self._elsewhere: dict[str, int] = {}
        self._chooses = False
        self._shown: tuple[Example, ...] | None = None
        self._pool: tuple[Example, ...] | None = None
        self.beside: tuple[Example, ...] = ()
        self.parts = 1

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

    def unlabeled(self, at_most: int | None = None) -> tuple[Example, ...]:
        """Texts without labels, counted in the information budget: the source's own, or training texts that were not drawn.

        Args:
            at_most: take this many of them, in an order that depends on the seed alone; all by default.
        """
        pool: Sequence[Example]
        if self._pool is None:
            own = read(self._task_name, self.files)[0].get("unlabeled")
            pool = self.drawn.unlabeled if own is None else shuffled(own, self.seed)
        else:
            pool = self._pool
        pool = tuple(pool[:at_most])
        self._told["unlabeled_texts"] = max(self._told["unlabeled_texts"], len(pool))
        return pool

    def documents(self, texts: Texts, at_most: int) -> tuple[str, ...]:
        """Plain texts from elsewhere, the first of their source, counted in the information budget; none is a text of the test."""
        test = {"\n".join(e.fields.values()) for e in self._test}
        found = tuple(islice((t for t in texts.documents() if t not in test), at_most))
        self._told["unlabeled_texts"] = max(self._told["unlabeled_texts"], len(found))
        return found

    def elsewhere(self, task: str) -> Draw:
        """K training and validation examples of another task, drawn by the same seed.

        The former count as external labels; the latter too if they choose the state that is kept (see ``choosing``).
        """
        drawn = FewShotData(task, self.k, self.seed).drawn
        self._elsewhere[task] = len(drawn.train) + (len(drawn.validation) if self._chooses else 0)
        return drawn

    def demonstrations(self) -> tuple[Example, ...]:
        """Labelled examples that may be shown in the input: those that were drawn to train on, counted in the information budget."""
        shown = self.drawn.train if self._shown is None else self._shown
        self._told["demonstrations"] = max(self._told["demonstrations"], len(shown))
        return shown

    def trained_on(
        self,
        train: Sequence[Example],
        *,
        validation: Sequence[Example] | None = None,
        order: int = 0,
        pool: Sequence[Example] | None = None,
        beside: Sequence[Example] = (),
    ) -> "FewShotData":
        """The same data with other training examples; the test stays as it is.

        Args:
            train: examples with labels, or with soft ones.
            validation: examples to validate on; those of this data by default.
            order: 0 for the order of this data's seed, other numbers for other orders.
            pool: its unlabelled texts; those of this data by default.
            beside: texts without labels, as many of which go into every batch as it has training examples.
        """
        twin = copy.copy(self)
        twin.trainer = None
        twin.order_seed = mixed(self.order_seed, order) % 2**32 if order else self.order_seed
        twin._shown = self.drawn.train if self._shown is None else self._shown
        held = self.drawn.validation if validation is None else validation
        twin._draw = replace(self.drawn, train=tuple(train), validation=tuple(held))
        twin._pool = self._pool if pool is None else tuple(pool)
        twin.beside = tuple(beside)
        return twin

    def given(self, train: Sequence[Example], validation: Sequence[Example]) -> "FewShotData":
        """The same data as if these labelled examples had been drawn; no other one is trained on, validated by, or shown."""
        twin = copy.copy(self)
        twin.trainer = None
        twin._draw = replace(self.drawn, train=tuple(train), validation=tuple(validation))
        return twin

    def choosing(self) -> "FewShotData":
        """The same data for fits that go back to their best validated state: they read the labels that they are validated by."""
        twin = copy.copy(self)
        twin.trainer = None
        twin._chooses = True
        return twin

    def told(self) -> dict[str, dict[str, int]]:
        """What has been read up to now beside the examples that were drawn, as JSON can hold it: by its kind, and labels by task."""
        return {"here": dict(self._told), "elsewhere": dict(self._elsewhere)}

    def also_told(self, told: Mapping[str, Mapping[str, int]]) -> None:
        """Count what another fit of this run was told, as ``told`` gave it: the most of each kind, as all have the same source."""
        for mine, theirs in ((self._told, told["here"]), (self._elsewhere, told["elsewhere"])):
            for name, count in theirs.items():
                mine[name] = max(mine.get(name, 0), count)

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
            "external_labels": sum(self._elsewhere.values()),
            **self._told,
        }

    # ---------------------------------------------------------------- batches

    def setup(self, stage: str) -> None:
        """Draw the examples."""
        _ = self.drawn

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches in a new order every epoch; the orders follow from ``order_seed`` alone.

        The loader's items are whole batches, since Lightning makes batch samplers anew when it evaluates.
        """
        refuse_uneven(self.batch_size, self._rank_and_world()[1], self.parts)
        encoder, train, beside = self._encoder(), self.drawn.train, self.beside
        part = self._rank_and_world()
        batches = ShuffledBatches(len(train), self.batch_size, self.order_seed, part, self.parts)
        others = None
        if beside:
            others = ShuffledBatches(len(beside), self.batch_size, self.order_seed, part, self.parts)
        sampler = Passes(batches, others, offset=len(train))
        rows = Rows(encoder, (*train, *beside), self.order_seed)
        return DataLoader(rows, batch_size=None, sampler=sampler, collate_fn=partial(_part, reader=encoder.reader))

    def val_dataloader(self) -> DataLoader[Any]:
        """The validation examples, all on every device."""
        return self._grouped(encoded(self._encoder(), self.drawn.validation), self._encoder(), (0, 1))

    def evaluation(self, encoder: Encodes, examples: Sequence[Example]) -> DataLoader[Any]:
        """Batches of examples without their labels, grouped by length and shared out over devices."""
        return self._grouped(encoded(encoder, examples, labels=False), encoder, self._rank_and_world())

    def _encoder(self) -> Encodes:
        assert self.trainer is not None
        module: Any = self.trainer.lightning_module
        return module.encoder(self)

    def _rank_and_world(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _grouped(self, rows: list[EncodedExample], encoder: Encodes, part: tuple[int, int]) -> DataLoader[Any]:
        """Batches of one device's share. All have as many rows: where they cannot be shared evenly, some read one row again."""
        rows = sorted(rows, key=lambda row: -row.length)
        rows += rows[-1:] * (-len(rows) % part[1])
        rows = rows[part[0] :: part[1]]
        batches: Any = [rows[i : i + self.eval_batch_size] for i in range(0, len(rows), self.eval_batch_size)]
        return DataLoader(batches, batch_size=None, collate_fn=partial(collate, reader=encoder.reader))


def _part(item: tuple[list[EncodedExample], float], reader: Reader) -> Encoded:
    """A training batch, or a part of one, of what ``Rows`` gives."""
    rows, share = item
    return replace(collate(rows, reader), share=share)
