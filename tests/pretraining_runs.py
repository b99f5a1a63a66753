"""Short pretraining runs on a tiny backbone and a few texts."""

import json
from pathlib import Path
from typing import Any

from prompt_lab.pretraining import settings
from prompt_lab.pretraining.run import Pretrain
from prompt_lab.pretraining.running import execute
from prompt_lab.progress import Bars

SENTENCES = [
    "The film was a great delight.", "Its plot is thin, but the actors save it.", "Nobody laughed.", "We left early.",
    "The music is loud and the jokes are old.", "A warm and gentle story about two brothers.", "The match ended in a draw.",
    "Shares fell again on Monday.", "The minister spoke of growth.", "A new phone was shown in London.",
]  # fmt: skip


def texts(folder: Path, documents: int = 60) -> Path:
    """A file with a document a paragraph: each of four sentences, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "texts.txt"
    paragraphs = [
        " ".join(SENTENCES[(n * 7 + i * (1 + n % 3)) % len(SENTENCES)] for i in range(4)) + f" Number {n}."
        for n in range(documents)
    ]
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    return path


def words(folder: Path, *more: str, steps: int = 6, backbone: str = "tiny-masked") -> list[str]:
    """The command line of a run."""
    source = json.dumps([{"class_path": "TextFiles", "init_args": {"paths": [str(texts(folder))]}}])
    return [
        "--name", "run", "--out", str(folder / "runs"), "--backbone", backbone, "--wandb", "disabled", "--probe.task", "null",
        "--data.texts", source, "--data.max_length", "32", "--data.batch_size", "4", "--data.held_out", "0.2",
        "--model.objectives", '[{"class_path": "TokenMasking"}]',
        "--model.tuning", "Full", "--model.tuning.learning_rate", "1e-3",
        "--trainer.max_steps", str(steps), "--trainer.accelerator", "cpu", "--trainer.val_check_interval", "3",
        "--trainer.log_every_n_steps", "1", *more,
    ]  # fmt: skip


def made(folder: Path, *more: str, **how: Any) -> Pretrain:
    return settings.parse(words(folder, *more, **how))


def record(folder: Path, *more: str, **how: Any) -> dict[str, Any]:
    return execute(made(folder, *more, **how), Bars())
