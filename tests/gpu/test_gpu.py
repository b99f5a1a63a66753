"""What only a GPU can show. Collected where there is one: `pytest tests/gpu`."""

from pathlib import Path
from typing import Any

import pytest
import torch

from prompt_lab import together
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.experiment import Experiment, Run
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.testing.subject import TOY
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.soft_prompt import SoftPrompt

TRAINER = {"accelerator": "gpu", "devices": 1, "max_steps": 6, "num_sanity_val_steps": 0, "log_every_n_steps": 1}
TUNINGS: dict[str, Any] = {
    "soft_prompt": lambda: SoftPrompt(length=4, learning_rate=0.1),
    "lora": lambda: Lora(rank=1, dropout=False),
}


def experiment(out: Path, tuning: Any, seed: int = 13, trainer: dict[str, Any] | None = None, **run: Any) -> Experiment:
    data = FewShotData(TOY, k=4, seed=seed, batch_size=4, max_length=64)
    settings = Run(backbone="tiny-masked", out=str(out), wandb="disabled", **run)
    return Experiment(PatternTuning(tuning=tuning), data, settings, {**TRAINER, **(trainer or {})})


def state(one: Experiment) -> dict[str, torch.Tensor]:
    return {name: value.cpu() for name, value in one.paradigm.moved_state().items()}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_run_in_every_precision(precision: str, tmp_path: Path) -> None:
    record = execute(experiment(tmp_path, Full(), trainer={"precision": precision}), Bars())
    assert torch.tensor(list(record["scores"].values())).isfinite().all()
    assert record["cost"]["peak_memory_bytes"] > 0


@pytest.mark.parametrize("name", TUNINGS)
def test_side_by_side_gives_the_same(name: str, tmp_path: Path) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    alone = [experiment(tmp_path / "alone", TUNINGS[name](), seed) for seed in (13, 21, 42)]
    for one in alone:
        execute(one, Bars())
    beside = [experiment(tmp_path / "beside", TUNINGS[name](), seed) for seed in (13, 21, 42)]
    for record in together.execute(beside, Bars(), most=1.0):
        assert not isinstance(record, Exception), record
        assert record["cost"]["side_by_side"] == 3
    for one, other in zip(alone, beside, strict=True):
        states = state(one), state(other)
        assert all(torch.allclose(states[0][n], states[1][n], atol=1e-4) for n in states[0])


def test_checkpointing_changes_no_numbers(tmp_path: Path) -> None:
    found = []
    for again in (False, True):
        one = experiment(tmp_path / str(again), Full(dropout=False), gradient_checkpointing=again)
        execute(one, Bars())
        found.append(state(one))
    assert all(torch.allclose(found[0][n], found[1][n], atol=1e-4) for n in found[0])


def test_memory_that_is_not_enough_is_met_with_parts(tmp_path: Path) -> None:
    """A real lack of memory: the process is allowed so little that a batch at once does not fit."""

    class Hungry(PatternTuning):
        def training_step(self, batch, batch_idx):
            held = torch.empty(
                len(batch), 2**28, dtype=torch.uint8, device=self.device
            )  # a quarter of a GiB an example
            loss = super().training_step(batch, batch_idx)
            del held
            return loss

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 0.75 * 2**30) / total)
    try:
        one = experiment(tmp_path, Full(dropout=False), micro_batches="auto")
        one.paradigm = Hungry(tuning=Full(dropout=False))
        record = execute(one, Bars())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert record["stages"][0]["micro_batches"] == 2
    assert record["cost"]["steps"] == 6
