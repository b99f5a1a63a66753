"""Whole-run time and peak memory against bare PyTorch loops of the same model, steps and batches, side by side.

    python experiments/bench/overhead.py [--repeats 5] [--steps 60] [--out runs/bench]

Three things are timed in turn, again and again, in one process, with the backbone already loaded:

- ours: an experiment from its settings to its record, with W&B offline, CSV logs, validation and the test;
- bare: the same batches through the same forward pass and optimizer in a plain loop, then the test, nothing logged or stored;
- plain model: as bare, but calling the Hugging Face model as its documentation does, with logits of the whole vocabulary at
  every token.
"""

import argparse
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch.nn import functional as F

from prompt_lab.backbones.load import load_backbone
from prompt_lab.data.encoded import collate
from prompt_lab.data.few_shot import FewShotData, ShuffledBatches, encoded
from prompt_lab.experiment import Experiment, Run
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.progress import Bars
from prompt_lab.reporting.cost import Meter, peak_memory
from prompt_lab.running import execute

TASK, SEED, MAX_LENGTH, BACKBONE = "rotten_tomatoes", 13, 128, "minilm-mlm"


def data() -> FewShotData:
    """Sixteen examples a class of film reviews."""
    return FewShotData(TASK, seed=SEED, max_length=MAX_LENGTH)


def ours(steps: int) -> None:
    """From settings to record."""
    trainer = {"max_steps": steps, "log_every_n_steps": 1, "num_sanity_val_steps": 0, "gradient_clip_val": 1.0}
    with tempfile.TemporaryDirectory() as out:
        run = Run(backbone=BACKBONE, out=out, wandb="offline", save_model=False)
        execute(Experiment(PatternTuning(), data(), run, trainer | {"check_val_every_n_epoch": 5}), Bars())


def bare(steps: int) -> None:
    """The same forward pass in a plain loop."""
    module = _module()
    _loop(module, module.backbone, lambda batch: module(batch), steps)


def plain_model(steps: int) -> None:
    """The Hugging Face model, whole vocabulary at every token."""
    module = _module()
    words = torch.tensor([module.reader.word_ids(w[0], " ")[0] for w in module.task.label_words.values()])
    model = module.backbone.model

    def forward(batch: Any) -> torch.Tensor:
        logits = model(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, token_type_ids=batch.token_type_ids
        ).logits
        return logits[torch.arange(len(batch)), batch.slots[:, 0, 0]][:, words]

    _loop(module, model, forward, steps)


def _module() -> PatternTuning:
    pl.seed_everything(SEED, verbose=False)
    backbone = load_backbone(BACKBONE)
    return PatternTuning().prepare(data().task, backbone.reader).build(backbone.fresh())


def _loop(module: PatternTuning, model: torch.nn.Module, forward: Callable[[Any], torch.Tensor], steps: int) -> None:
    source, encoder = data(), module.encoder(MAX_LENGTH)
    rows = encoded(encoder, source.drawn.train)
    batches, order = ShuffledBatches(len(rows), source.batch_size, SEED), []
    while len(order) < steps:
        order += list(batches)
    optimizer = torch.optim.AdamW(module.tuning.groups(module.backbone), fused=True)
    model.train()
    for batch in order[:steps]:
        inputs = collate([rows[i] for i in batch], module.reader)
        F.cross_entropy(forward(inputs), inputs.label).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    test = sorted(encoded(encoder, source.sealed_test(), labels=False), key=lambda row: -row.length)
    with torch.inference_mode():
        for start in range(0, len(test), source.eval_batch_size):
            forward(collate(test[start : start + source.eval_batch_size], module.reader))


def main() -> None:
    """Print and write seconds, ratios and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    ways: dict[str, Callable[[int], None]] = {"ours": ours, "bare": bare, "plain model": plain_model}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    memory: dict[str, int] = dict.fromkeys(ways, 0)
    for way in ways.values():
        way(2)  # loads, tokenises and warms up
    for repeat in range(options.repeats):
        for name, way in ways.items():
            gc.collect()
            Meter()  # begins a new peak of memory
            start = time.perf_counter()
            way(options.steps)
            seconds[name].append(time.perf_counter() - start)
            memory[name] = max(memory[name], peak_memory())
        print(
            f"repeat {repeat + 1}: " + ", ".join(f"{name} {times[-1]:.1f} s" for name, times in seconds.items()),
            flush=True,
        )
    _write(seconds, memory, options.out)


def _write(seconds: dict[str, list[float]], memory: dict[str, int], out: Path) -> None:
    lines = ["| | median s | ratio to bare (median of pairs) | peak memory |", "|---|---|---|---|"]
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(times, seconds["bare"], strict=True))
        lines.append(f"| {name} | {statistics.median(times):.1f} | {ratio:.2f} | {memory[name] / 2**30:.2f} GiB |")
    print("\n".join(lines))
    out.mkdir(parents=True, exist_ok=True)
    (out / "overhead.md").write_text("\n".join(lines) + "\n")
    (out / "overhead.json").write_text(json.dumps({"seconds": seconds, "peak_memory_bytes": memory}, indent=1) + "\n")


if __name__ == "__main__":
    main()
