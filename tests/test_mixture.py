"""Mixtures of tunings: each moves what it moves, at its own rate, in whatever order they are given."""

from pathlib import Path
from typing import Any

import pytest
import torch

from prompt_lab import settings, trees
from prompt_lab.answers.head import Head
from prompt_lab.backbones.load import load_backbone, load_reader
from prompt_lab.errors import LabError
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.p_tuning import PTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.paradigms.prompt_tuning import PromptTuning
from prompt_lab.progress import Bars
from prompt_lab.reporting import delta
from prompt_lab.running import execute
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.deep_prompt import DeepPrompt
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.mixture import Mixture
from prompt_lab.tuning.soft_prompt import SoftPrompt
from prompt_lab.tuning.virtual import virtual_tokens

import runs

VECTORS = "backbone.virtual.vectors.weight"
ORDERS = pytest.mark.parametrize("prompt_first", [True, False])


def mixture(other: Tuning, prompt_first: bool = True, **prompt: Any) -> Mixture:
    soft = SoftPrompt(length=3, learning_rate=0.3, weight_decay=0.2, **prompt)
    return Mixture([soft, other] if prompt_first else [other, soft])


def rates(module: Any) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of every parameter that an optimizer would get, each of them once."""
    groups = module.tuning.groups(module.backbone) + module.tuning.groups(module.answer, module.answer.learning_rate)
    pairs = [(id(p), (g["lr"], g["weight_decay"])) for g in groups for p in g["params"]]
    assert len(pairs) == len(dict(pairs))
    names = {id(p): n for n, p in module.named_parameters() if p.requires_grad}
    assert names.keys() == dict(pairs).keys()
    return {names[i]: rate for i, rate in pairs}


class TestWhatMoves:
    @ORDERS
    def test_a_prompt_and_the_model(self, prompt_first: bool) -> None:
        subject = Subject(lambda: PatternTuning(tuning=mixture(Full(1e-4, 0.01), prompt_first)))
        module = subject.built()
        found = rates(module)
        assert found.keys() == {n for n, _ in module.named_parameters()}, "all of it"
        assert found.pop(VECTORS) == (0.3, 0.2)
        for name, parameter in module.backbone.model.named_parameters():
            assert found[f"backbone.model.{name}"] == (1e-4, 0.01 if parameter.ndim > 1 else 0.0)
        assert module.strategy == "prompt+LM tuning"
        assert (module.tuning.moves_backbone, module.tuning.moves_prompt, module.tuning.moves) == (True, True, True)

    @ORDERS
    @pytest.mark.parametrize("encoder", ["none", "lstm"])
    def test_a_prompt_and_matrices(self, encoder: Any, prompt_first: bool) -> None:
        module = Subject(
            lambda: PatternTuning(tuning=mixture(Lora(rank=2, learning_rate=1e-3), prompt_first, encoder=encoder))
        ).built()
        found = rates(module)
        prompt = {n: rate for n, rate in found.items() if ".virtual." in n}
        assert set(prompt.values()) <= {(0.3, 0.2), (0.3, 0.0)}
        assert (VECTORS in prompt) == (encoder == "none")
        matrices = {n: rate for n, rate in found.items() if n not in prompt}
        assert matrices
        assert all(".lora_" in n for n in matrices), "peft freezes what is not its own, and only that"
        assert set(matrices.values()) == {(1e-3, 0.01)}
        assert module.strategy == "prompt+LM tuning"

    @ORDERS
    def test_a_head_goes_by_the_tuning_that_was_given_first(self, prompt_first: bool) -> None:
        module = Subject(lambda: FineTuning(tuning=mixture(Full(1e-4, 0.01), prompt_first))).built()
        assert rates(module)["answer.linear.weight"] == ((0.3, 0.2) if prompt_first else (1e-4, 0.01))
        assert rates(module)["answer.linear.bias"] == ((0.3, 0.0) if prompt_first else (1e-4, 0.0))
        own = Subject(lambda: PromptTuning("none", Head(learning_rate=0.7), mixture(Full(1e-4), prompt_first))).built()
        assert rates(own)["answer.linear.weight"][0] == 0.7

    def test_what_two_of_them_move_belongs_to_the_first(self) -> None:
        module = Subject(lambda: PatternTuning(tuning=Mixture([Full(1e-4), Full(1e-2)]))).built()
        assert {rate for rate, _ in rates(module).values()} == {1e-4}
        assert module.strategy == "fixed-prompt LM tuning"

    def test_matrices_beside_a_model_that_moves(self) -> None:
        module = Subject(lambda: PatternTuning(tuning=Mixture([Full(1e-4), Lora(rank=2, learning_rate=1e-3)]))).built()
        found = rates(module)
        assert found.keys() == {n for n, _ in module.named_parameters()}
        assert {n: rate for n, (rate, _) in found.items()} == {n: 1e-3 if ".lora_" in n else 1e-4 for n in found}

    def test_with_nothing_else_moved(self) -> None:
        module = Subject(lambda: PatternTuning(tuning=mixture(Frozen()))).built()
        assert rates(module) == {VECTORS: (0.3, 0.2)}
        assert module.strategy == "fixed-LM prompt tuning"

    @pytest.mark.parametrize(("one", "other"), [(True, False), (False, True), (False, False)])
    def test_dropout_is_on_if_any_of_them_wants_it(self, one: bool, other: bool) -> None:
        assert mixture(Full(dropout=one), dropout=other).dropout == (one or other)

    @ORDERS
    def test_a_run_moves_both(self, prompt_first: bool) -> None:
        finished = Subject(lambda: PatternTuning(tuning=mixture(Full(1e-2), prompt_first))).run()
        before = load_backbone("tiny-masked").model.state_dict()
        after = finished.module.backbone.model.state_dict()
        assert [n for n, v in after.items() if n.endswith("weight") and torch.equal(v, before[n])] == []
        assert finished.record["method"]["prompt"]["moved"] > 0.01
        assert finished.record["strategy"] == "prompt+LM tuning"
        assert "prompt/grad_norm" in finished.metrics


class TestStored:
    @pytest.mark.parametrize(("name", "rate"), [("Full", 1e-2), ("Lora", 1e-1)])
    def test_a_checkpoint_is_put_back(self, name: str, rate: float, tmp_path: Path) -> None:
        parts = [
            {"class_path": name, "init_args": {"learning_rate": rate}},
            {"class_path": "SoftPrompt", "init_args": {"length": 3, "learning_rate": 0.1, "encoder": "mlp"}},
        ]
        tuning = {"class_path": "Mixture", "init_args": {"tunings": parts}}
        change = {"save_model": True, "model": {"class_path": "PatternTuning", "init_args": {"tuning": tuning}}}
        experiment = runs.experiment(tmp_path, change)
        runs.record(tmp_path, change)
        other = Full() if name == "Full" else Lora()
        subject = Subject(lambda: PatternTuning(tuning=Mixture([other, SoftPrompt(length=3, encoder="mlp")])))
        module = subject.built(seed=5)
        test = list(experiment.data.sealed_test())
        untrained = subject.scores(module, test).log_softmax(-1)
        delta.load(experiment.folder / delta.FILE, module)
        stored = torch.tensor([r["log_probabilities"] for r in runs.lines(experiment.folder / "predictions.jsonl")])
        found = subject.scores(module, test).log_softmax(-1)
        torch.testing.assert_close(found.double(), stored.double(), atol=1e-5, rtol=0)
        assert (found - untrained).abs().max() > 0.01
        assert virtual_tokens(module.backbone).vectors.encoder is None

    def test_from_yaml(self, experiments: Path, tmp_path: Path) -> None:
        fast = runs.tree(tmp_path, {"model": None})
        tree = trees.merged(fast, trees.read_yaml(experiments / "paradigms" / "p_tuning_full.yaml"))
        record = execute(settings.parse_tree(tree).experiment(), Bars())
        whole = sum(p.numel() for p in load_backbone("tiny-masked").parameters())
        encoder = Subject(PTuning).built()
        inside = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
        assert record["strategy"] == "prompt+LM tuning"
        assert record["cost"]["trained_parameters"] == whole + inside
        assert record["cost"]["stored_bytes"] == 4 * (whole + 6 * 32), "the LSTM is folded away"
        assert record["cost"]["total_parameters"] == whole + 6 * 32


class TestRefused:
    @pytest.mark.parametrize("number", [0, 1])
    def test_fewer_than_two(self, number: int) -> None:
        with pytest.raises(LabError, match=f"made of two tunings or more; it was given {number}"):
            Mixture([Full()] * number)

    def test_two_optimizers(self) -> None:
        with pytest.raises(LabError, match="share one optimizer"):
            Mixture([SoftPrompt(length=2, optimizer="adafactor"), Full()])
        assert Mixture([SoftPrompt(length=2), Full()]).optimizer == "adamw"

    def test_virtual_tokens_that_nobody_trains(self) -> None:
        module = PatternTuning("{soft:2}{text_a} {mask}", tuning=Mixture([Full(), Lora()]))
        with pytest.raises(LabError, match="has virtual tokens, and Mixture trains none"):
            module.prepare(load_task(TOY), load_reader("tiny-masked"))

    def test_two_prompts(self) -> None:
        with pytest.raises(LabError, match="one SoftPrompt trains all of them"):
            Subject(lambda: PatternTuning(tuning=mixture(SoftPrompt(length=2)))).built()


def test_virtual_tokens_beside_keys_and_values() -> None:
    """Each trains what is its own."""
    tuning = Mixture([SoftPrompt(length=3, learning_rate=0.3), DeepPrompt(length=2, learning_rate=0.1)])
    module = Subject(lambda: PatternTuning(tuning=tuning)).built()
    moved = {name for name, p in module.backbone.named_parameters() if p.requires_grad}
    assert moved == {"virtual.vectors.weight", "deep_prompt.vectors.weight"}


def test_two_prompts_in_the_layers_are_refused() -> None:
    """The first would be read, and the second trained."""
    tuning = Mixture([DeepPrompt(length=2, layers="1"), DeepPrompt(length=2, layers="2")])
    with pytest.raises(LabError, match="has a prompt in its layers already; list DeepPrompt once"):
        Subject(lambda: PatternTuning(tuning=tuning)).built()


def test_hidden_states_have_virtual_tokens_of_their_own() -> None:
    tuning = Mixture([SoftPrompt(length=3), DeepPrompt(length=2, mechanism="hidden_states")])
    with pytest.raises(LabError, match="DeepPrompt trains none but those at which"):
        Subject(lambda: PatternTuning(tuning=tuning)).built()
