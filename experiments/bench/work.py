"""The work that benchmarks share: sixteen film reviews a class, 60 steps of eight, the test scored."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch.nn import functional as F

from prompt_lab.backbones import load
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Encoded, Example
from prompt_lab.data import encoded as in_memory
from prompt_lab.data.encoded import collate, encoded
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.data.passes import ShuffledBatches
from prompt_lab.experiment import Experiment, Run
from prompt_lab.paradigms import Paradigm
from prompt_lab.progress import Bars
from prompt_lab.running import execute

TASK, SEED, STEPS, MAX_LENGTH, BACKBONE, CLIP = "rotten_tomatoes", 13, 60, 64, "minilm-mlm", 1.0
TRAINER = {
    "max_steps": STEPS, "accelerator": "auto", "devices": 1, "log_every_n_steps": 1, "num_sanity_val_steps": 0,
    "gradient_clip_val": CLIP, "check_val_every_n_epoch": 5,
}  # fmt: skip


def data(**settings: Any) -> FewShotData:
    """Sixteen examples a class of film reviews."""
    return FewShotData(**{"task": TASK, "seed": SEED, "max_length": MAX_LENGTH, **settings})


def experiment(
    make: Callable[[], Paradigm], out: str, trainer: dict[str, Any] | None = None, **settings: Any
) -> Experiment:
    """A whole run, to be stored in a folder."""
    run = Run(backbone=BACKBONE, out=out, wandb="offline", save_model=False)
    return Experiment(make(), data(**settings), run, TRAINER | (trainer or {}))


def forget() -> None:
    """Forget loaded weights and tokenised texts, for comparison with what loads and tokenises every time."""
    load.forget()
    in_memory.forget()


def ours(make: Callable[[], Paradigm], trainer: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """From settings to record; the record."""
    with tempfile.TemporaryDirectory() as out:
        return execute(experiment(make, out, trainer, **settings), Bars())


def built(make: Callable[[], Paradigm]) -> Paradigm:
    """The paradigm on a backbone of its own."""
    pl.seed_everything(SEED, verbose=False)
    backbone = load_backbone(BACKBONE)
    return make().prepare(data().task, backbone.reader).build(backbone.fresh())


def bare(module: Paradigm, model: torch.nn.Module, forward: Callable[[Encoded], torch.Tensor]) -> None:
    """The same steps, batches, validation and test as a run has, in a plain loop without logs and records."""
    source = data()
    encoder = module.encoder(source)
    rows = encoded(encoder, source.drawn.train)
    batches = ShuffledBatches(len(rows), source.batch_size, SEED)
    optimizer = torch.optim.AdamW(
        module.tuning.groups(module.backbone) + module.tuning.groups(module.answers), fused=True
    )
    done, epoch = 0, 0
    while done < STEPS:
        model.train(module.tuning.dropout)
        for batch in batches:
            if done == STEPS:
                break
            inputs = collate([rows[i] for i in batch.rows], module.reader)
            F.cross_entropy(forward(inputs), inputs.label).backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
            done += 1
        epoch += 1
        if epoch % 5 == 0:
            _evaluate(module, model, forward, source, source.drawn.validation)
    _evaluate(module, model, forward, source, source.sealed_test())
    _evaluate(module, model, forward, source, source.drawn.validation)


def _evaluate(
    module: Paradigm,
    model: torch.nn.Module,
    forward: Callable[[Encoded], torch.Tensor],
    source: FewShotData,
    of: Sequence[Example],
) -> None:
    model.eval()
    rows = sorted(encoded(module.encoder(source), of, labels=False), key=lambda row: -row.length)
    with torch.inference_mode():
        for start in range(0, len(rows), source.eval_batch_size):
            forward(collate(rows[start : start + source.eval_batch_size], module.reader))


def as_folder(folder: Path) -> Path:
    """The backbone as plain weights and tokenizer, for other libraries."""
    backbone = load_backbone(BACKBONE)
    backbone.model.save_pretrained(folder)
    tokenizer = backbone.reader.tokenizer
    tokenizer.save_pretrained(folder)
    words = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")  # which transformers 4 reads
    return folder
