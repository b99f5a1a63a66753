"""The data module of pretraining: plain text, packed, in an order that a killed run goes on with."""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from prompt_lab.backbones.reader import Reader
from prompt_lab.data.batching import mixed, refuse_below_one, refuse_uneven
from prompt_lab.errors import LabError
from prompt_lab.pretraining.corpus import Corpus, corpus, is_held_out
from prompt_lab.pretraining.left_out import LeftOut
from prompt_lab.pretraining.objective import Objective
from prompt_lab.pretraining.packing import FullSequences, Packing, Pairs
from prompt_lab.pretraining.passages import Passages
from prompt_lab.pretraining.texts.base import Texts
from prompt_lab.progress import Bars


class PlainText(pl.LightningDataModule):
    """Documents, of which a share is held out, packed into passages.

    The batch of a step is a function of ``seed`` and the step alone: which passages, how they are cut, and what is hidden in
    them. A run that goes on from a checkpoint therefore sees what it would have seen. Several devices share the passages of
    a step; what is hidden in them depends on how many they are.

    Args:
        texts: where documents come from.
        leave_out: names of tasks whose test texts must not be read, and files of digests of such texts.
        batch_size: passages in a step, over all devices together.
        eval_batch_size: passages in an evaluation batch.
        max_length: tokens of a passage.
        held_out: share of the documents that is kept for evaluation, chosen by their texts.
        held_out_passages: the most passages that are evaluated.
        seed: of the order of the passages and of what is hidden in them.
    """

    def __init__(
        self,
        texts: list[Texts],
        leave_out: list[str] | None = None,
        batch_size: int = 32,
        eval_batch_size: int = 32,
        max_length: int = 128,
        held_out: float = 0.02,
        held_out_passages: int = 500,
        seed: int = 13,
    ) -> None:
        super().__init__()
        refuse_below_one(batch_size=batch_size, eval_batch_size=eval_batch_size, held_out_passages=held_out_passages)
        if max_length < 16:
            raise LabError(f"data.max_length must be at least 16 tokens; it was {max_length}")
        if not 0 < held_out < 1:
            raise LabError(f"data.held_out is the share of documents to keep back, between 0 and 1; it was {held_out}")
        if not texts:
            raise LabError("data.texts names no texts to learn from")
        self.texts = texts
        self.leave_out = LeftOut(leave_out or [])
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.max_length = max_length
        self.held_out, self.held_out_passages = held_out, held_out_passages
        self.seed = seed
        self.counts: list[dict[str, Any]] = []
        self.train: Packing | None = None
        self.evaluated: Packing | None = None

    def read(self, reader: Reader, objectives: Sequence[Objective], bars: Bars) -> None:
        """Read, leave out, hold out, tokenise and pack.

        Raises:
            LabError: texts that cannot be read, or too few.
        """
        if self.max_length > reader.max_length:
            raise LabError(
                f"data.max_length is {self.max_length}, but {reader.name!r} reads {reader.max_length} tokens at most"
            )
        self.counts = []
        kept: tuple[list[str], list[str]] = ([], [])
        seen: set[str] = set()
        for texts in self.texts:
            count: dict[str, Any] = {
                "texts": texts.name,
                "licence": texts.licence,
                "documents": 0,
                "held_out": 0,
                "left_out": 0,
                "repeated": 0,
            }
            bars.begin(f"reading {texts.name}", None)
            for text in texts.documents():
                if text in seen:
                    count["repeated"] += 1
                elif self.leave_out.holds(text):
                    count["left_out"] += 1
                else:
                    seen.add(text)
                    out = is_held_out(text, self.held_out)
                    kept[out].append(text)
                    count["held_out" if out else "documents"] += 1
                bars.advance()
            self.counts.append(count)
        if kept[0] and not kept[1]:
            raise LabError(
                f"none of {len(kept[0])} documents is held out for evaluation: give more, or raise data.held_out "
                f"(it is {self.held_out})"
            )
        self.train = self._packed(kept[0], reader, objectives, bars, "tokenising")
        self.evaluated = self._packed(kept[1], reader, objectives, bars, "tokenising what is held out")

    def _packed(
        self, texts: list[str], reader: Reader, objectives: Sequence[Objective], bars: Bars, what: str
    ) -> Packing:
        bars.begin(what, len(texts))
        found: Corpus = corpus(texts, reader, objectives, lambda _: bars.advance())
        ways = max((o.relations for o in objectives), default=0)
        if ways:
            return Pairs(found, reader, self.max_length, ways)
        return FullSequences(found, reader, self.max_length)

    @property
    def tokens(self) -> int:
        """Tokens of the text to learn from."""
        assert self.train is not None
        return len(self.train.corpus.ids)

    # ---------------------------------------------------------------- batches

    def train_dataloader(self) -> DataLoader[Any]:
        """The batches of all steps, from the trainer's step on."""
        trainer = self.trainer
        assert trainer is not None
        refuse_uneven(self.batch_size, trainer.world_size)
        steps = trainer.max_steps * trainer.accumulate_grad_batches
        begun = trainer.global_step * trainer.accumulate_grad_batches
        module: Any = trainer.lightning_module
        return _loader(Steps(begun, steps), partial(self.batch, objectives=module.learnt))

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """Passages of held-out documents for each objective that is measured, with the same words hidden every time."""
        assert self.evaluated is not None
        assert self.trainer is not None
        batches = -(-min(len(self.evaluated), self.held_out_passages) // self.eval_batch_size)
        module: Any = self.trainer.lightning_module
        return [_loader(range(batches), partial(self.held_out_batch, objectives=[one])) for one in module.measured]

    def batch(self, step: int, objectives: Sequence[Objective]) -> Passages:
        """The batch of a step; this device's share of it."""
        assert self.train is not None
        a_pass = max(len(self.train) // self.batch_size, 1)
        number, at = divmod(step, a_pass)
        shift, order = _pass(self.seed, number, len(self.train))
        chosen = order[at * self.batch_size : (at + 1) * self.batch_size].tolist()
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        drawing = torch.Generator().manual_seed(mixed(self.seed, step) * world + rank)
        return _hidden(self.train, chosen[rank::world] or chosen[:1], shift, objectives, drawing)

    def held_out_batch(self, number: int, objectives: Sequence[Objective]) -> Passages:
        """The held-out passages of a number."""
        assert self.evaluated is not None
        order = torch.randperm(len(self.evaluated), generator=torch.Generator().manual_seed(self.seed))
        order = order[: self.held_out_passages]
        chosen = order[number * self.eval_batch_size : (number + 1) * self.eval_batch_size].tolist()
        return _hidden(self.evaluated, chosen, 0, objectives, torch.Generator().manual_seed(number))


class Steps:
    """Counts the steps of a run, from the one it goes on with; as long as the whole run, as Lightning counts."""

    def __init__(self, begun: int, steps: int) -> None:
        self._begun, self._steps = begun, steps

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> int:
        return step

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._begun, self._steps))


@lru_cache(maxsize=1)
def _pass(seed: int, number: int, passages: int) -> tuple[int, torch.Tensor]:
    """How far a pass over the corpus shifts its cuts, and the order of its passages; kept for all steps of the pass."""
    generator = torch.Generator().manual_seed(mixed(seed, number))
    shift = int(torch.randint(2**31, (), generator=generator))
    return shift, torch.randperm(passages, generator=generator)


def _hidden(
    packing: Packing, numbers: list[int], shift: int, objectives: Sequence[Objective], generator: torch.Generator
) -> Passages:
    passages = packing.passages(numbers, shift)
    for objective in objectives:
        passages = objective.hide(passages, generator)
    return passages


def _loader(numbers: Any, batch: Any) -> DataLoader[Any]:
    """A loader that makes each batch from its number."""
    return DataLoader(
        numbers, batch_size=None, sampler=numbers if isinstance(numbers, Steps) else None, collate_fn=batch
    )
