"""Executes a pretraining run: read, train with checkpoints, store, measure what was stored, and write record and card."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from prompt_lab.backbones import delta
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import checkpoint, load_backbone
from prompt_lab.callbacks import ProgressCallback
from prompt_lab.pretraining import card, curves
from prompt_lab.pretraining.probe import Followed
from prompt_lab.pretraining.run import CHECKPOINTS, RECORD, SETTINGS, Pretrain, last_checkpoint
from prompt_lab.progress import Bars
from prompt_lab.reporting import files
from prompt_lab.reporting.cost import Meter
from prompt_lab.reporting.environment import environment
from prompt_lab.reporting.tracking import Tracker, loggers
from prompt_lab.trainer import make_trainer, quiet

INSIDE = "backbone.model."
"""What stands before a backbone's parameter in the names of the module."""


def execute(pretrain: Pretrain, bars: Bars) -> dict[str, Any]:
    """Train, from the last checkpoint if there is one, and write delta, record, card and curves.

    Returns:
        The record.

    Raises:
        LabError: settings or texts that cannot be used.
    """
    run, module, data, meter = pretrain.run, pretrain.module, pretrain.data, Meter()
    begun = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "environment": environment()}
    pretrain.check()
    reader = checkpoint(run.backbone).reader
    with meter.phase("prepare"), quiet():
        prompt = run.probe.prepare(reader)
        data.read(reader, module.measured, bars)
    files.write_json(run.folder / SETTINGS, pretrain.settings)
    pl.seed_everything(data.seed, verbose=False)  # a head that the checkpoint lacks is drawn at random
    with meter.phase("load"):
        base = load_backbone(run.backbone)
        module.build(base.fresh())
    step, path = last_checkpoint(run.folder / CHECKPOINTS) or (0, None)
    if path is not None:
        bars.say(f"going on from step {step} ({path})")
    identity = _identity(pretrain, reader.revision)
    # a folder for each process, since Lightning begins its CSV file anew
    logs = loggers(run.folder / f"from_step_{step}", identity, run.wandb, run.wandb_project, pretrain.settings)
    followed = Followed(prompt, bars)
    code = 1
    try:
        with quiet():
            trainer = _trainer(pretrain, logs, [meter, ProgressCallback(bars, run.name), followed])
            with meter.phase("fit"):
                trainer.fit(module, datamodule=data, ckpt_path=path)
            with meter.phase("measure"):
                _store(pretrain, trainer, base)
                _measure_stored(pretrain, trainer)
        code = 0
    except SystemExit as stop:  # Lightning turns Ctrl-C into an exit
        raise KeyboardInterrupt from stop
    finally:
        for one in logs:
            if isinstance(one, Tracker):
                one.finish(code)
    meter.gather(trainer)
    record = {**identity, **begun, "scores": followed.figures, **_facts(pretrain, trainer, meter)}
    if trainer.is_global_zero:
        _conclude(run.folder, record)
    return record


def _identity(pretrain: Pretrain, revision: str) -> dict[str, Any]:
    """Facts to filter on in W&B, under the names that other runs use."""
    return {
        "paradigm": "pretraining",
        "strategy": " + ".join(objective.name for objective in pretrain.module.learnt),
        "task": pretrain.run.name,
        "backbone": pretrain.run.backbone,
        "backbone_revision": revision,
        "k": "full",
        "split_seed": pretrain.data.seed,
    }


def _trainer(pretrain: Pretrain, logs: Any, callbacks: list[pl.Callback]) -> pl.Trainer:
    saving = ModelCheckpoint(
        pretrain.run.folder / CHECKPOINTS, filename="{step}", every_n_train_steps=pretrain.run.checkpoint_every, save_top_k=1,
        monitor="step", mode="max", save_on_train_epoch_end=False,
    )  # fmt: skip
    return make_trainer(
        pretrain.trainer, enable_checkpointing=True, default_root_dir=pretrain.run.folder, logger=logs,
        callbacks=[*callbacks, saving], num_sanity_val_steps=0, max_epochs=-1, check_val_every_n_epoch=None,
    )  # fmt: skip


def _store(pretrain: Pretrain, trainer: pl.Trainer, base: Backbone) -> None:
    """Write the delta, and beside it the objectives' own heads."""
    if trainer.is_global_zero:
        folder, moved = pretrain.run.folder, pretrain.module.moved_state()
        adapter = delta.adapter_settings(pretrain.module.backbone.model)
        made = delta.Made(pretrain.run.backbone, base.reader.revision, base.reader.kind, adapter)
        before = {n: v for n, v in base.model.state_dict().items() if n not in base.missing}
        learnt = {n.removeprefix(INSIDE): v for n, v in moved.items() if n.startswith(INSIDE)}
        delta.write(folder / delta.FILE, learnt, before, made, int8=pretrain.run.int8)
        for number, objective in enumerate(pretrain.module.learnt):
            start = f"objectives.{number}."
            own = {n.removeprefix(start): v for n, v in moved.items() if n.startswith(start)}
            if own:
                delta.write(folder / f"{objective.name}.safetensors", own, {}, made, int8=False)
    trainer.strategy.barrier()


def _measure_stored(pretrain: Pretrain, trainer: pl.Trainer) -> None:
    """Measure what was stored, rounding and all, in place of what was trained."""
    trained = pretrain.module.backbone
    pretrain.module.backbone = load_backbone(str(pretrain.run.folder)).fresh()
    trainer.validate(pretrain.module, datamodule=pretrain.data, verbose=False)
    pretrain.module.backbone = trained


def _facts(pretrain: Pretrain, trainer: pl.Trainer, meter: Meter) -> dict[str, Any]:
    data, module = pretrain.data, pretrain.module
    return {
        "objectives": [objective.settings() for objective in module.measured],
        "tuning": type(module.tuning).__name__,
        "corpus": data.counts,
        "corpus_tokens": data.tokens,
        "steps": trainer.global_step,
        "tokens_read": trainer.global_step * trainer.accumulate_grad_batches * data.batch_size * data.max_length,
        "seed": data.seed,
        "learnt_parameters": sum(value.numel() for value in module.moved_state().values()),
        "licence": pretrain.run.licence,
        "cost": meter.cost(module, (pretrain.run.folder / delta.FILE).stat().st_size),
        "settings": pretrain.settings,
    }


def _conclude(folder: Path, record: dict[str, Any]) -> None:
    """Card, curves and record; then the checkpoints are of no more use."""
    with files.atomic(folder / "README.md") as temporary:
        temporary.write_text(card.text(record), encoding="utf-8")
    curves.picture(folder, folder / "curves.png")
    files.write_json(folder / RECORD, record)
    for path in (folder / CHECKPOINTS).glob("*.ckpt"):
        path.unlink()
