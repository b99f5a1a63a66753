"""Less memory for the same numbers: layers computed again on the way back, batches read in parts."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from prompt_lab.backbones import eight_bits
from prompt_lab.backbones.layers import layers_of
from prompt_lab.backbones.load import load_backbone
from prompt_lab.data.passes import ShuffledBatches
from prompt_lab.errors import LabError
from prompt_lab.experiment import Experiment
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.predicting import predictors
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.stored_run import read_run
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.ada_lora import AdaLora
from prompt_lab.tuning.adapter import Adapter
from prompt_lab.tuning.deep_prompt import DeepPrompt
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.layer_norm import LayerNorm
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.soft_prompt import SoftPrompt

import runs

TUNINGS: dict[str, Any] = {
    "full": lambda: Full(dropout=False),
    "lora": lambda: Lora(rank=1, dropout=False),
    "dora": lambda: Lora(rank=1, dora=True, dropout=False),
    "ada_lora": lambda: AdaLora(rank=1, first_rank=2, dropout=False),
    "layer_norm": lambda: LayerNorm(dropout=False),
    "adapter": lambda: Adapter(width=1, dropout=False),
    "soft_prompt": lambda: SoftPrompt(length=2),
    "deep_prompt": lambda: DeepPrompt(length=2),
    "hidden_states": lambda: DeepPrompt(length=2, mechanism="hidden_states"),
}


class Crowded(PatternTuning):
    """Has no room for more than a number of examples at a time."""

    room = 2

    def training_step(self, batch, batch_idx):
        if len(batch) > self.room:
            raise torch.OutOfMemoryError("planted")
        return super().training_step(batch, batch_idx)


class Noted(PatternTuning):
    """Notes the gradient of its first step."""

    gradient: dict[str, torch.Tensor]

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        if not self.global_step:
            self.gradient = {n: p.grad.clone() for n, p in self.named_parameters() if p.grad is not None}


def experiment(
    out: Path, tuning: str = "full", kind: str = "tiny-masked", make: Any = PatternTuning, **run: Any
) -> Experiment:
    made = runs.of(make(tuning=TUNINGS[tuning]()), Subject(make).data(), out, run=run, max_steps=3)
    made.run.backbone = kind
    return made


def finished(*args: Any, **given: Any) -> tuple[Experiment, dict[str, Any]]:
    made = experiment(*args, **given)
    return made, execute(made, Bars())


def same(one: Experiment, other: Experiment) -> bool:
    states = [e.paradigm.moved_state() for e in (one, other)]
    return all(torch.allclose(states[0][name], states[1][name], atol=1e-4) for name in states[0])


def same_gradient(one: Experiment, other: Experiment) -> bool:
    """That of the first step: what AdamW makes of it hides how large it was."""
    mine, theirs = one.paradigm.gradient, other.paradigm.gradient  # type: ignore[attr-defined]
    largest = max(float(g.abs().max()) for g in mine.values())
    assert largest > 1e-3
    assert mine.keys() == theirs.keys()
    return all(torch.allclose(mine[name], theirs[name], atol=1e-5 * largest) for name in mine)


# ------------------------------------------------------------------------------------------------- computed again


@pytest.mark.parametrize("kind", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
@pytest.mark.parametrize(
    "tuning", sorted(TUNINGS.keys() - {"layer_norm"})
)  # peft runs copies of the norms that are counted
def test_checkpointing_changes_no_numbers(
    tuning: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _ = finished(tmp_path / "plain", tuning, kind, Noted)
    calls: list[int] = []
    made = experiment(tmp_path / "again", tuning, kind, Noted, gradient_checkpointing=True)
    start = made.paradigm.on_train_start

    def counted() -> None:
        start()
        first = layers_of(made.paradigm.backbone.stacks()[0])[0]
        norm = next(m for m in first.modules() if "Norm" in type(m).__name__)
        norm.register_forward_hook(lambda *_: calls.append(torch.is_grad_enabled()))

    made.paradigm.on_train_start = counted  # type: ignore[method-assign]
    execute(made, Bars())
    assert same(plain, made)
    assert same_gradient(plain, made)
    assert sum(calls) == 2 * 3, "three steps, each forward and once more on the way back"


def test_a_model_that_cannot_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="CopyingModel does not support gradient checkpointing"):
        finished(tmp_path, "soft_prompt", "copycat", gradient_checkpointing=True)


# ------------------------------------------------------------------------------------------------- in parts


@pytest.mark.parametrize("examples", [4, 3])
@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_a_batch_give_the_gradient_of_all(parts: int, examples: int, tmp_path: Path) -> None:
    """Three examples are read as two and one, or one by one beside a row that counts for nothing."""
    made = [experiment(tmp_path / name, make=Noted) for name in ("whole", "parts")]
    made[1].run.micro_batches = parts
    records = []
    for one in made:
        one.data = one.data.trained_on(one.data.drawn.train[:examples])
        records.append(execute(one, Bars()))
    assert same_gradient(*made)
    assert [record["cost"]["steps"] for record in records] == [3, 3]
    assert [record["stages"][0].get("micro_batches") for record in records] == [None, parts]
    if examples == 4:
        assert records[0]["cost"]["tokens"] == records[1]["cost"]["tokens"]


def test_parts_are_found(tmp_path: Path) -> None:
    whole, _ = finished(tmp_path / "whole")
    made, record = finished(tmp_path / "found", make=Crowded, micro_batches="auto")
    assert record["stages"][0]["micro_batches"] == 2
    assert record["cost"]["steps"] == 3
    assert same(whole, made), "what was begun in vain has left nothing"


def test_what_does_not_fit_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match=r"not enough memory for batches of 4 examples .* set micro_batches: auto"):
        finished(tmp_path, make=Crowded)
    monkeypatch.setattr(Crowded, "room", 0)
    with pytest.raises(LabError, match="not enough memory for batches of 1 examples"):
        finished(tmp_path, make=Crowded, micro_batches="auto")


@pytest.mark.parametrize(
    ("parts", "message"), [(3, "data.batch_size is 4, which 1 devices cannot read in 3 parts"), (0, "at least 1")]
)
def test_parts_that_make_no_sense_are_refused(parts: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=message):
        finished(tmp_path, micro_batches=parts)


def test_parts_and_devices_share_the_same_batches() -> None:
    plain = list(ShuffledBatches(13, 8, 13))
    assert [(len(batch.rows), batch.share) for batch in plain] == [(8, 1), (5, 1)]
    shared = [list(ShuffledBatches(13, 8, 13, (rank, 2), 2)) for rank in range(2)]
    assert [[len(part.rows) for part in parts] for parts in shared] == [[2, 2, 2, 1], [2, 2, 1, 1]]
    for number, batch in enumerate(plain):
        parts = [part for own in shared for part in own[2 * number : 2 * number + 2]]
        assert sorted(row for part in parts for row in part.rows) == sorted(batch.rows)
        weights = [part.share / (4 * len(part.rows)) for part in parts]
        assert weights == pytest.approx([1 / len(batch.rows)] * 4), "every row counts alike in the mean over parts"
    assert len(ShuffledBatches(13, 8, 13, (0, 2), 2)) == 4


def test_a_part_without_rows_counts_for_nothing() -> None:
    parts = [part for rank in range(2) for part in ShuffledBatches(3, 8, 13, (rank, 2), 2)]
    assert sorted(part.share for part in parts) == [0, 4 / 3, 4 / 3, 4 / 3]
    assert all(len(part.rows) == 1 for part in parts)
    assert len({part.rows[0] for part in parts if part.share}) == 3


# ------------------------------------------------------------------------------------------------- in half the bits


@pytest.mark.parametrize("kind", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
@pytest.mark.parametrize("tuning", ["lora", "dora", "ada_lora", "adapter", "soft_prompt", "deep_prompt", "layer_norm"])
def test_frozen_matrices_in_fewer_bits(tuning: str, kind: str, tmp_path: Path) -> None:
    found = {}
    for weights in ("float32", "bfloat16", "int8"):
        made = experiment(tmp_path / weights, tuning, kind, frozen_weights=weights)
        made.trainer = {**made.trainer, "precision": "bf16-mixed"}
        execute(made, Bars())
        found[weights] = made
    for name, parameter in found["bfloat16"].paradigm.backbone.named_parameters():
        is_half = not parameter.requires_grad and parameter.ndim > 1
        assert parameter.dtype == (torch.bfloat16 if is_half else torch.float32), name
    in_eight = [p for p in found["int8"].paradigm.backbone.parameters() if p.dtype == torch.int8]
    assert bool(in_eight) == (tuning != "dora")  # which reads every matrix that it goes with
    said = {name: said_by(made) for name, made in found.items()}
    assert (said["float32"] - said["bfloat16"]).abs().max() < 0.1, "the same but for rounding to eight bits of fraction"
    assert 0 < (said["float32"] - said["int8"]).abs().max() < 0.2, "a matrix has 255 steps in every row"


def said_by(made: Experiment) -> torch.Tensor:
    return torch.tensor([row["log_probabilities"] for row in runs.lines(made.folder / "predictions.jsonl")])


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_fewer_bits_need_mixed_precision(weights: str, precision: str, tmp_path: Path) -> None:
    made = experiment(tmp_path, "lora", frozen_weights=weights)
    made.trainer = {**made.trainer, "precision": precision}
    with pytest.raises(LabError, match=r"needs mixed precision, such as --trainer.precision bf16-mixed"):
        execute(made, Bars())


def test_linear_layers_that_stay_frozen_have_eight_bits_and_no_others() -> None:
    """The last layer is trained, biases too; embeddings, which the head shares, are no linear layer's alone."""
    backbone = load_backbone("tiny-masked").fresh()
    layers = layers_of(backbone.model.base_model)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    layers[-1].requires_grad_(True)
    biases = {id(p) for p in backbone.parameters() if p.requires_grad}
    backbone.keep_frozen("int8")
    assert biases == {id(p) for p in backbone.parameters() if p.requires_grad}, "the optimizer's are still there"
    in_eight = {name for name, p in backbone.named_parameters() if p.dtype == torch.int8}
    last = {name for name, _ in backbone.named_parameters() if f".{len(layers) - 1}." in name}
    linear = {f"{n}.weight" for n, m in backbone.named_modules() if isinstance(m, torch.nn.Linear)}
    body = {name for name in linear if ".layer." in name}
    assert in_eight == body - last
    assert in_eight
    assert {p.dtype for name, p in backbone.named_parameters() if name not in in_eight} == {
        torch.bfloat16,
        torch.float32,
    }


def test_gradients_pass_through_eight_bits() -> None:
    """To what lies below every frozen layer, such as a soft prompt, as they do through float32."""
    ways = []
    for weights in ("float32", "int8"):
        backbone = load_backbone("tiny-masked").fresh().eval().requires_grad_(False)
        backbone.keep_frozen(weights)
        torch.manual_seed(0)
        inputs = torch.randn(2, 6, backbone.model.config.hidden_size, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = backbone.model.base_model(inputs_embeds=inputs).last_hidden_state
        (hidden.float() * torch.linspace(-1, 1, hidden.shape[-1])).sum().backward()
        assert inputs.grad is not None
        ways.append(inputs.grad.flatten())
    assert torch.cosine_similarity(*ways, dim=0) > 0.95
    assert not torch.equal(*ways)


def test_eight_bits_need_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    eight_bits._layer.cache_clear()
    monkeypatch.setitem(sys.modules, "bitsandbytes.nn.modules", None)
    with pytest.raises(LabError, match=r"pip install 'prompt-lab\[int8\]', or take bfloat16"):
        load_backbone("tiny-masked").fresh().keep_frozen("int8")


def test_a_run_in_eight_bits_answers_as_it_did(tmp_path: Path) -> None:
    record = runs.record(
        tmp_path,
        {"frozen_weights": "int8", "save_model": True, "trainer": {"precision": "bf16-mixed"}},
        {"model": {"init_args": {"tuning": {"class_path": "Lora", "init_args": {"rank": 1}}}}},
    )
    (folder,) = [path.parent for path in tmp_path.rglob("record.json")]
    stored = read_run(folder)
    examples = stored.experiment.data.sealed_test()
    (answering,) = predictors([stored], "cpu")
    found = answering.log_probabilities(examples)
    rows = runs.lines(folder / "predictions.jsonl")
    assert record["settings"]["frozen_weights"] == "int8"
    assert torch.allclose(found, torch.tensor([row["log_probabilities"] for row in rows]), atol=1e-3)
