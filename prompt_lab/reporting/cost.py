"""What a run cost: parameters, bytes, seconds by phase, tokens, model calls, floating-point operations, peak memory."""

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import lightning.pytorch as pl
import torch
from torch import nn

from prompt_lab.reporting.parameters import Figures, figures


class Meter(pl.Callback):
    """Counts while a run goes on, over all of its fits and devices.

    Tokens leave padding out; a model call is one row of tokens read once: an example beside sixteen sets of demonstrations is sixteen.

    Args:
        side_by_side: how many runs share the machine at a time; the peak of memory is that of all.
        clock: seconds that this run has had; what it did alone, and its share of what was done for several.
    """

    def __init__(self, side_by_side: int = 1, clock: Callable[[], float] = time.perf_counter) -> None:
        self.side_by_side, self._clock = side_by_side, clock
        self.seconds: dict[str, float] = {}
        self.steps = 0
        self.calls = {"train": 0, "evaluation": 0}
        self.tokens = {"train": 0, "evaluation": 0}
        self.peak = 0
        self._figures: WeakKeyDictionary[nn.Module, Figures] = WeakKeyDictionary()
        _reset_peak()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time that passes inside to a phase."""
        start = self._clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._clock() - start

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Count the optimizer steps of a fit, and what it trained, before the module folds what need not be kept."""
        self.steps += trainer.global_step
        self._figures[module] = figures(module)

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Count what a training step reads."""
        self._count("train", *module.reads(batch))

    def on_validation_batch_start(
        self, trainer: Any, module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count a validation batch."""
        self._count("evaluation", len(batch.input_ids), batch.tokens)

    def on_predict_batch_start(
        self, trainer: Any, module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Count an evaluation batch."""
        self._count("evaluation", len(batch.input_ids), batch.tokens)

    def counted(self) -> dict[str, Any]:
        """What has been counted up to now, as JSON can hold it."""
        return {
            "seconds": dict(self.seconds),
            "steps": self.steps,
            "calls": dict(self.calls),
            "tokens": dict(self.tokens),
        }

    def since(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """What has been counted since ``counted`` gave what it had up to then."""
        now = self.counted()
        parts = {n: {k: v - before[n].get(k, 0) for k, v in now[n].items()} for n in ("seconds", "calls", "tokens")}
        parts["seconds"] = {phase: passed for phase, passed in parts["seconds"].items() if passed}
        return {**parts, "steps": now["steps"] - before["steps"]}

    def add(self, counted: Mapping[str, Any]) -> None:
        """Add what another process counted in this run before it ended."""
        self.steps += counted["steps"]
        for mine, theirs in ((self.seconds, "seconds"), (self.calls, "calls"), (self.tokens, "tokens")):
            for name, value in counted[theirs].items():
                mine[name] = mine.get(name, 0) + value

    def _count(self, phase: str, rows: int, tokens: int) -> None:
        self.calls[phase] += rows
        self.tokens[phase] += tokens

    def gather(self, trainer: pl.Trainer) -> None:
        """Add up what all devices counted, and take the highest peak of memory among them."""
        self.peak = peak_memory(trainer.strategy.root_device)
        if trainer.world_size == 1:
            return
        mine: tuple[Any, ...] = (self.calls, self.tokens, self.peak)
        found: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(found, mine)
        calls, tokens, peaks = zip(*found, strict=True)
        self.calls = {phase: sum(c[phase] for c in calls) for phase in self.calls}
        self.tokens = {phase: sum(t[phase] for t in tokens) for phase in self.tokens}
        self.peak = max(peaks)

    def cost(self, module: nn.Module, stored_bytes: int) -> dict[str, Any]:
        """The record's ``cost``.

        ``parameters`` are the figures of what was fitted; trained ones of the backbone and added ones are the
        ``trained_parameters``. ``total_parameters`` are left once encoders of prompts are folded away.

        Floating-point operations are estimated as 2 a parameter and token forward and 4 backward, 2 where the backbone does not
        move (Kaplan et al. 2020, section 2.1), over the parameters that are no embeddings.
        """
        left = figures(module)
        fitted = self._figures.get(module, left)
        trained, total = fitted.moving, left.total
        embedded = sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Embedding))
        backward = 4 if trained > total // 2 else 2
        forward_tokens = sum(self.tokens.values())
        flops = (total - embedded) * (2 * forward_tokens + backward * self.tokens["train"])
        return {
            "trained_parameters": trained,
            "total_parameters": total,
            "parameters": fitted.facts(),
            "stored_bytes": stored_bytes,
            "seconds": {**self.seconds, "total": sum(self.seconds.values())},
            "steps": self.steps,
            "tokens": self.tokens,
            "model_calls": sum(self.calls.values()),
            "flops_estimate": flops,
            "peak_memory_bytes": self.peak,
            "side_by_side": self.side_by_side,
        }


def _reset_peak() -> None:
    """Begin a new peak: of the GPU, or of this process where the system lets us."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        try:
            clear.write_text("5")
        except OSError:
            return  # the peak is then that of the whole process, an upper bound


def peak_memory(device: torch.device) -> int:
    """Bytes: of a GPU's allocations where that is what computed, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        line = next((x for x in status.read_text().splitlines() if x.startswith("VmHWM")), None)
        if line:
            return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
