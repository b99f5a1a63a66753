"""Soft prompts in training: vectors alone move and are stored, encoders fold away, and a run says what became of its prompt."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from rich.console import Console
from safetensors import safe_open
from test_soft_prompt import TINY, prompted
from torch import Tensor

from prompt_lab import cli, folding, optimizing
from prompt_lab.backbones.load import load_backbone, load_reader
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.paradigms.embedding_tuning import EmbeddingTuning
from prompt_lab.paradigms.p_tuning import PTuning
from prompt_lab.paradigms.pattern_ensemble import PatternEnsemble
from prompt_lab.paradigms.pet import Pet
from prompt_lab.paradigms.prompt_tuning import PromptTuning
from prompt_lab.paradigms.zero_shot import ZeroShot
from prompt_lab.progress import Bars
from prompt_lab.reporting import delta
from prompt_lab.running import execute
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.tuning.soft_prompt import SoftPrompt
from prompt_lab.tuning.virtual import virtual_tokens

import runs

VECTORS = "backbone.virtual.vectors.weight"


def data() -> FewShotData:
    return FewShotData(TOY, k=2, seed=13, batch_size=4, max_length=64)


def metrics(text: str, column: str) -> list[float]:
    """A column of metrics.csv."""
    header, *rows = [line.split(",") for line in text.strip().split("\n")]
    return [float(row[header.index(column)]) for row in rows if row[header.index(column)]]


class TestTraining:
    @pytest.mark.parametrize("backbone", TINY)
    def test_gradients_reach_every_vector_and_nothing_else_moves(self, backbone: str) -> None:
        subject = Subject(lambda: prompted("{soft:2}{text_a} {soft:It was} {mask}.", length=1), backbone)
        module = subject.built()
        batch = subject.batch(module, subject.examples(2))
        module.loss(module(batch), batch).backward()
        assert [n for n, p in module.named_parameters() if p.requires_grad or p.grad is not None] == [VECTORS]
        gradient = virtual_tokens(module.backbone).vectors.weight.grad
        assert gradient.any(1).tolist() == [True] * 5
        finished = subject.run(learning_rate=0.1)
        before = load_backbone(backbone).model.state_dict()
        assert all(torch.equal(v, before[n]) for n, v in finished.module.backbone.model.state_dict().items())
        assert finished.record["strategy"] == "fixed-LM prompt tuning"

    def test_what_is_stored(self, tmp_path: Path) -> None:
        change = {"save_model": True, "model": {"class_path": "PromptTuning", "init_args": {"tuning": {
            "class_path": "SoftPrompt", "init_args": {"length": 5, "learning_rate": 0.1}}}}}  # fmt: skip
        experiment, record = runs.experiment(tmp_path, change), runs.record(tmp_path, change)
        assert record["cost"]["trained_parameters"] == 5 * 32
        assert record["cost"]["stored_bytes"] == 5 * 32 * 4
        path = experiment.folder / delta.FILE
        assert 5 * 32 * 4 < path.stat().st_size < 5 * 32 * 4 + 3000
        subject = Subject(lambda: prompted(length=5))
        module = subject.built(seed=5)
        delta.load(path, module)
        stored = [r["log_probabilities"] for r in runs.lines(experiment.folder / "predictions.jsonl")]
        found = subject.scores(module, list(experiment.data.sealed_test())).log_softmax(-1)
        torch.testing.assert_close(found, torch.tensor(stored), atol=1e-5, rtol=0)
        with pytest.raises(LabError, match=r"was made for tiny-masked \(.*not for tiny-causal"):
            delta.load(path, Subject(lambda: prompted(length=5), "tiny-causal").built())

    @pytest.mark.parametrize("encoder", ["mlp", "lstm"])
    def test_folding_changes_no_score(self, encoder: Any) -> None:
        subject = Subject(lambda: PTuning(tuning=SoftPrompt(length=4, place="around", encoder=encoder)))
        module = subject.built()
        batch = subject.batch(module, subject.examples())
        trained = [p for p in module.parameters() if p.requires_grad]
        untrained = module(batch).detach()
        module.loss(module(batch), batch).backward()
        assert all(p.grad is not None for p in trained)
        torch.optim.SGD(trained, lr=1.0).step()
        before = module(batch).detach()
        assert (before - untrained).abs().max() > 0.01
        folding.fold(module)
        torch.testing.assert_close(module(batch).detach(), before, atol=1e-6, rtol=0)
        assert [n for n, p in module.named_parameters() if p.requires_grad] == [VECTORS]

    @pytest.mark.parametrize("encoder", ["mlp", "lstm"])
    def test_a_run_through_an_encoder_keeps_the_best_vectors_alone(self, encoder: Any, tmp_path: Path) -> None:
        tuning = {"length": 4, "place": "around", "encoder": encoder, "learning_rate": 0.1}
        change = {"save_model": True, "select": "dev_k", "trainer": {"max_steps": 8}, "model": {"class_path": "PTuning", "init_args": {
            "tuning": {"class_path": "SoftPrompt", "init_args": tuning}}}}  # fmt: skip
        experiment, record = runs.experiment(tmp_path, change), runs.record(tmp_path, change)
        assert record["scores"]["val/acc"] == max(metrics((experiment.folder / "metrics.csv").read_text(), "val/acc"))
        subject = Subject(lambda: PTuning(tuning=SoftPrompt(**tuning)))
        module = subject.built()
        assert record["cost"]["trained_parameters"] == sum(p.numel() for p in module.parameters() if p.requires_grad)
        assert record["cost"]["trained_parameters"] > 4 * 32
        assert record["cost"]["stored_bytes"] == 4 * 32 * 4
        with safe_open(experiment.folder / delta.FILE, framework="pt") as stored:
            assert list(stored.keys()) == [VECTORS]
        delta.load(experiment.folder / delta.FILE, module)
        predicted = [r["log_probabilities"] for r in runs.lines(experiment.folder / "predictions.jsonl")]
        found = subject.scores(module, list(experiment.data.sealed_test())).log_softmax(-1)
        torch.testing.assert_close(found, torch.tensor(predicted), atol=1e-5, rtol=0)

    def test_adafactor(self) -> None:
        group = {"params": [torch.nn.Parameter(torch.ones(2, 3))], "lr": 0.1, "weight_decay": 0.0}
        trainer: Any = SimpleNamespace(estimated_stepping_batches=4)
        made = optimizing.configured([group], trainer, "constant", 0.0, "adafactor", fused=True)["optimizer"]
        assert type(made) is hf.optimization.Adafactor
        assert [made.param_groups[0][n] for n in ("scale_parameter", "relative_step", "lr")] == [False, False, 0.1]
        finished = Subject(lambda: prompted(length=3, optimizer="adafactor")).run(learning_rate=0.1)
        assert type(finished.module.configure_optimizers()["optimizer"]) is hf.optimization.Adafactor
        assert finished.record["method"]["prompt"]["moved"] > 0.01


class Stubborn(PromptTuning):
    """Names the first label, whatever it reads."""

    def forward(self, batch: Any) -> Tensor:
        return 0 * super().forward(batch) + torch.tensor([1.0, 0.0])


class StubbornUntrained(ZeroShot):
    """The same, with nothing trained."""

    def forward(self, batch: Any) -> Tensor:
        return 0 * super().forward(batch) + torch.tensor([1.0, 0.0])


class TestWhatARunSays:
    def test_gradient_and_way_are_logged(self) -> None:
        finished = Subject(lambda: prompted(length=3)).run(learning_rate=0.1, max_steps=4)
        moved = metrics(finished.metrics, "prompt/moved")
        assert len(moved) == 4
        assert moved[0] == 0 < moved[1] < moved[3] < finished.record["method"]["prompt"]["moved"]
        assert min(metrics(finished.metrics, "prompt/grad_norm")) > 0

    def test_a_prompt_that_stays_where_it_was_is_warned_of(self) -> None:
        subject = Subject(EmbeddingTuning)
        with pytest.warns(UserWarning, match="the prompt has hardly moved: by 0 % of its length in 10 steps"):
            finished = subject.run_anew(learning_rate=0.0, max_steps=10)
        prompt = json.loads(json.dumps(finished.record["method"]["prompt"]))
        assert (prompt["vectors"], prompt["moved"]) == (2, 0)
        assert [row[0] for row in prompt["nearest"]] == [["it", 1.0], ["was", 1.0]]
        assert all(len(row) == 3 for row in prompt["nearest"])

    @pytest.mark.parametrize(("rate", "steps"), [(0.0, 9), (0.1, 10)])
    def test_but_not_too_early_nor_if_it_moved(self, rate: float, steps: int, recwarn: pytest.WarningsRecorder) -> None:
        Subject(EmbeddingTuning).run_anew(learning_rate=rate, max_steps=steps)
        assert [w for w in recwarn if "hardly moved" in str(w.message)] == []

    def test_fit_prints_what_is_nearest(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        more = ["--model.tuning.place", "words", "--model.tuning.learning_rate", "0"]
        assert cli.main(runs.words(tmp_path, "--model.tuning", "SoftPrompt", *more, model="EmbeddingTuning")) == 0
        shown = capsys.readouterr().out
        assert "\nsoft 0: it 1.00, " in shown
        assert "\nsoft 1: was 1.00, " in shown

    @pytest.mark.parametrize("made", [lambda: Stubborn(tuning=SoftPrompt(length=2)), StubbornUntrained])
    def test_a_collapsed_run_is_told_of(self, made: Any, tmp_path: Path) -> None:
        """One that was trained: what is not trained has nothing to collapse."""
        err, module = io.StringIO(), made()
        record = execute(runs.of(module, data(), tmp_path, max_steps=2), Bars(console=Console(file=err)))
        assert record["collapsed"]
        assert ("this run has collapsed" in err.getvalue()) == isinstance(module, Stubborn)


class TestInEnsembles:
    @pytest.mark.parametrize(
        ("patterns", "tuning"),
        [
            (["{soft:2}{text_a} It was {mask}.", "{soft:3}{text_a} {mask}"], {}),
            (["{text_a} It was {mask}.", "{text_a} All in all {mask}"], {"place": "words"}),
        ],
    )
    def test_patterns_must_share_their_virtual_tokens(self, patterns: list[Any], tuning: dict[str, Any]) -> None:
        module = PatternEnsemble(patterns, tuning=SoftPrompt(**tuning))
        with pytest.raises(
            LabError, match="share one model and its virtual tokens, so all must have the same"
        ) as error:
            module.prepare(load_task(TOY), load_reader("tiny-masked"))
        assert str(error.value).count("{soft:") >= 2, "it shows the patterns"

    @pytest.mark.parametrize("weighting", ["uniform", "accuracy"])
    @pytest.mark.parametrize("place", ["front", "around"])
    def test_patterns_that_share_them_run(self, weighting: Any, place: Any) -> None:
        """Between other words, a virtual token that begins as no word is the same."""
        tuning = SoftPrompt(length=4, place=place)
        finished = Subject(lambda: PatternEnsemble([0, 2], weighting=weighting, tuning=tuning)).run(learning_rate=0.1)
        method, cost = finished.record["method"], finished.record["cost"]
        assert method["prompt"]["moved"] > 0.01
        assert cost["trained_parameters"] == 4 * 32
        assert len(method["patterns"]) == 2

    def test_teachers_of_pet(self) -> None:
        teacher = PromptTuning(tuning=SoftPrompt(length=2, learning_rate=0.1))
        finished = Subject(lambda: Pet(patterns=[0, 1], teachers=[teacher], unlabeled=4, student_steps=1)).run()
        assert finished.record["strategy"] == "fixed-LM prompt tuning"
        assert [s["name"] for s in finished.record["stages"] if s["name"].startswith("teacher")] == [
            "teacher 0",
            "teacher 1",
        ]
        assert "prompt/moved" in finished.metrics
        assert not any("virtual" in n for n, _ in finished.module.named_parameters()), "the student has no prompt"
