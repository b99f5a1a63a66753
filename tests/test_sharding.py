"""What is frozen is shared out over two processes, and gives what one process gives."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing
from torch.distributed.tensor import DTensor

from prompt_lab.backbones import sharding
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import load_backbone
from prompt_lab.errors import LabError
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.testing.subject import TOY
from prompt_lab.trees import merged
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.adapter import Adapter
from prompt_lab.tuning.layer_norm import LayerNorm
from prompt_lab.tuning.lora import Lora

import runs

TUNINGS: dict[str, Callable[[], Tuning]] = {
    "lora": lambda: Lora(rank=2, dropout=False),
    "adapter": lambda: Adapter(width=2, dropout=False),
    "layer_norm": lambda: LayerNorm(dropout=False),
}


def made(kind: str, tuning: str) -> Backbone:
    torch.manual_seed(13)
    backbone = load_backbone(kind).fresh()
    TUNINGS[tuning]().apply(backbone)
    return backbone


def read(backbone: Backbone, kind: str) -> torch.Tensor:
    ids = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(1))
    given = {"decoder_input_ids": ids[:, :4]} if kind == "tiny-seq2seq" else {}
    logits: torch.Tensor = backbone.model(input_ids=ids, attention_mask=torch.ones_like(ids), **given).logits
    return logits


def _process(rank: int, kind: str, tuning: str, out: str) -> None:
    """One of two: what it reads, keeps and learns before and after the backbone is shared out."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{out}/meeting", rank=rank, world_size=2)
    backbone, said = made(kind, tuning), []
    for again in (False, True):
        if again:
            sharding.shard(backbone, torch.device("cpu"))
        logits = read(backbone, kind)
        logits.square().mean().backward()
        gradient = {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}
        backbone.zero_grad()
        with torch.inference_mode():
            said.append((logits.detach(), gradient, read(backbone, kind).clone()))
    parts = {
        n: (tuple(p.shape), p.to_local().numel()) for n, p in backbone.named_parameters() if isinstance(p, DTensor)
    }
    trained = [n for n, p in backbone.named_parameters() if p.requires_grad]
    torch.save((said, parts, trained), Path(out) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.parametrize("kind", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
@pytest.mark.parametrize("tuning", TUNINGS)
def test_two_processes_keep_half_each_and_give_the_same(kind: str, tuning: str, tmp_path: Path) -> None:
    multiprocessing.spawn(_process, (kind, tuning, str(tmp_path)), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for (whole, shared), parts, trained in found:
        torch.testing.assert_close(shared[0], whole[0])
        torch.testing.assert_close(shared[2], whole[2])
        torch.testing.assert_close(shared[1], whole[1])
        assert whole[1].keys() == set(trained)
        assert not set(trained) & parts.keys(), "what is trained is on both"
    kept = [parts for _, parts, _ in found]
    assert any(".weight" in name for name in kept[0])
    for name, (shape, mine) in kept[0].items():
        assert mine + kept[1][name][1] == torch.Size(shape).numel()
    sizes = [sum(mine for _, mine in parts.values()) for parts in kept]
    assert sizes[0] < 1.2 * sizes[1], "about half"


@pytest.mark.parametrize(
    "more",
    [
        ["--model.tuning", "Lora", "--model.tuning.rank", "2", "--model.tuning.dropout", "false"],
        ["--model.tuning", "DeepPrompt", "--model.tuning.length", "2", "--gradient_checkpointing", "true"],
        [
            "--model.tuning",
            "Adapter",
            "--model.tuning.dropout",
            "false",
            "--frozen_weights",
            "bfloat16",
            "--trainer.precision",
            "bf16-mixed",
        ],
        [
            "--model.tuning",
            "LastLayers",
            "--model.tuning.number",
            "1",
            "--model.tuning.dropout",
            "false",
            "--select",
            "dev_k",
            "--micro_batches",
            "2",
        ],
    ],
)
def test_a_run_gives_what_one_device_gives(tmp_path: Path, more: list[str]) -> None:
    """A test of fifteen texts: one of the devices has a row fewer, and must compute as often all the same."""
    folder = runs.on_two_devices(
        tmp_path / "two", "PatternTuning", *more, "--model.tuning.learning_rate", "1e-2", "--data.test_size", "15",
        "--data.eval_batch_size", "7", "--shard_frozen", "true", "--save_model", "true",
    )  # fmt: skip
    two = json.loads((folder / "record.json").read_text())
    alone = merged(two["settings"], {"shard_frozen": False, "micro_batches": 1})
    record = execute(made := runs.experiment(tmp_path / "one", alone, {"save_model": True}), Bars())
    found = runs.log_probabilities(folder)
    assert len(found) == 15
    tolerance = 2e-2 if "bf16-mixed" in more else 1e-5
    assert torch.allclose(found, runs.log_probabilities(made.folder), atol=tolerance)
    assert two["cost"]["total_parameters"] == record["cost"]["total_parameters"]
    assert (folder / "delta.safetensors").stat().st_size == (made.folder / "delta.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "the trainer has one. Give it more, with --trainer.devices 2"),
        ({"trainer": {"devices": 2, "strategy": "ddp"}, "frozen_weights": "int8"}, "cannot share out int8 weights"),
        (
            {"trainer": {"devices": 2, "strategy": "ddp"}, "micro_batches": "auto"},
            "2 devices would wait for the one that has not enough memory",
        ),
        (
            {
                "trainer": {"devices": 2, "strategy": "ddp"},
                "model": {"class_path": "MultitaskPrompt", "init_args": {"tasks": [TOY]}},
            },
            "how often MultitaskPrompt reads depends on what is in a batch",
        ),
    ],
)
def test_what_cannot_be_shared_out_is_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        runs.experiment(tmp_path, {"shard_frozen": True, **changed}).check()
