"""Paradigms of a user's own, for tests: one that takes its time, one that fails, one that ends worse than it was."""

import os
import time
from pathlib import Path

import torch

from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.tuning.full import Full


class Slow(PatternTuning):
    """Sleeps LAB_DELAY seconds a step, and writes its process and seed to the file LAB_MARKS when a fit starts."""

    def on_train_start(self):
        super().on_train_start()
        if "LAB_MARKS" in os.environ:
            with Path(os.environ["LAB_MARKS"]).open("a") as marks:
                marks.write(f"{os.getpid()} {self.trainer.datamodule.seed}\n")

    def training_step(self, batch, batch_idx):
        time.sleep(float(os.environ.get("LAB_DELAY", "0")))
        return super().training_step(batch, batch_idx)


class SlowToAnswer(PatternTuning):
    """Makes the file LAB_ANSWERS when it is first asked, and then thinks LAB_DELAY seconds over every batch."""

    def predict_step(self, batch, batch_idx):
        Path(os.environ["LAB_ANSWERS"]).touch()
        time.sleep(float(os.environ["LAB_DELAY"]))
        return super().predict_step(batch, batch_idx)


class Raises(PatternTuning):
    """Fails in its first step, until it is cured."""

    cured = False

    def training_step(self, batch, batch_idx):
        if not self.cured:
            raise RuntimeError("planted failure")
        return super().training_step(batch, batch_idx)


class Watched(FineTuning):
    """Remembers the rows of its batches, its first head, and the state and accuracy at every validation."""

    def __init__(self, turns: int | None = None, learning_rate: float = 1e-3):
        super().__init__(tuning=Full(learning_rate=learning_rate, dropout=False))
        self.turns = turns
        self.rows, self.tokens, self.accuracies, self.states, self.groups = [], 0, [], [], []

    def on_train_start(self):
        super().on_train_start()
        self.head = self.answer.linear.weight.detach().clone()
        self.groups = self.trainer.optimizers[0].param_groups

    def training_step(self, batch, batch_idx):
        self.rows.append(batch.index.tolist())
        self.tokens += int(batch.attention_mask.sum())
        return super().training_step(batch, batch_idx)

    def on_train_batch_end(self, *_):
        """At the step ``turns``, mean the opposite of all that was learned."""
        if self.trainer.global_step == self.turns:
            with torch.no_grad():
                self.answer.linear.weight.neg_()
                self.answer.linear.bias.neg_()

    def on_validation_epoch_end(self):
        self.accuracies.append(float(self.val_acc.compute()))
        self.states.append({n: p.clone() for n, p in self.moved_state().items()})


class TellsItsBackbone(PatternTuning):
    """Writes its process, and which loaded backbone it has a copy of, to the file LAB_MARKS."""

    def build(self, backbone):
        with Path(os.environ["LAB_MARKS"]).open("a") as marks:
            marks.write(f"{os.getpid()} {id(backbone._origin[0])}\n")
        return super().build(backbone)
