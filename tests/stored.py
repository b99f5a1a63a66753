"""Short finished runs, for the tests of what is done with them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prompt_lab.progress import Bars
from prompt_lab.running import execute

import runs

ONE_STEP = {"save_model": True, "trainer": {"max_steps": 1}}


def model(name: str, **how: Any) -> dict[str, Any]:
    """Settings of a paradigm."""
    return {"model": {"class_path": name, "init_args": how}}


def tuned(name: str, **how: Any) -> dict[str, Any]:
    """Settings of a tuning."""
    return {"class_path": name, "init_args": how}


def finished(out: Path, *changes: dict[str, Any]) -> Path:
    """The folder of a run of one step."""
    experiment = runs.experiment(out, ONE_STEP, *changes)
    execute(experiment, Bars())
    return experiment.folder


def predictions(folder: Path) -> Tensor:
    """What a run wrote of its test texts [N, C]."""
    rows = runs.lines(folder / "predictions.jsonl")
    return torch.tensor([row["log_probabilities"] for row in rows], dtype=torch.float64)


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found.double(), expected.double(), atol=1e-5, rtol=0)
