"""Gates: the mean of sigmoid(w h + b) over the tokens of a text; what a run says and logs of them (UniPELT: Mao et al. 2022)."""

from pathlib import Path
from typing import Any

import pytest
import torch
from test_gated_models import GATED, found_gates
from test_soft_prompt_runs import metrics
from tuned import tuned

from prompt_lab import settings, trees
from prompt_lab.experiment import Experiment
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.deep_prompt import DeepPrompt
from prompt_lab.tuning.gating import RATE, Gate, gates

import runs
from test_backbones import made

KINDS = ("tiny-masked", "tiny-causal", "tiny-seq2seq")


def test_gates_learn_at_a_rate_of_their_own() -> None:
    tuning = DeepPrompt(length=2, gated=True, learning_rate=0.3)
    module = Subject(lambda: PatternTuning(tuning=tuning)).built()
    rates = {id(p): group["lr"] for group in tuning.groups(module.backbone) for p in group["params"]}
    found = {name: rates[id(p)] for name, p in module.backbone.named_parameters() if p.requires_grad}
    assert {rate for name, rate in found.items() if "_gates." in name} == {RATE}
    assert {rate for name, rate in found.items() if "_gates." not in name} == {0.3}


class TestGate:
    def made(self) -> tuple[Gate, Any]:
        """sigmoid(h_0), and a backbone that has read a text of 3 tokens and one of 2."""
        backbone = made("bert").fresh()
        room, seen = gates(backbone, "some")
        gate = room.add("a.place", 2, seen)
        gate.line.weight.data = torch.tensor([[1.0, 0.0]])
        ids = torch.tensor([[7, 8, 9], [7, 8, 1]])
        backbone.model.bert(input_ids=ids, attention_mask=torch.tensor([[1, 1, 1], [1, 1, 0]]))
        return gate, backbone

    HIDDEN = torch.tensor([[[3.0, 9], [1 / 3, 9], [1.0, 9]], [[3.0, 9], [1.0, 9], [1e9, 9]]])
    """Whose first numbers have sigmoids 3/4, 1/4, 1/2; 3/4, 1/2 and, at the padding, 1."""

    def test_numbers(self) -> None:
        gate, _ = self.made()
        hidden_BTD = self.HIDDEN.log()
        assert gate(hidden_BTD).flatten().tolist() == pytest.approx([0.5, 0.625])
        assert gate(hidden_BTD).shape == (2, 1, 1)

    def test_texts_one_behind_the_other(self) -> None:
        """As OPT's feed-forward network reads them: each row has the gate of its text."""
        gate, _ = self.made()
        found = gate(self.HIDDEN.log().flatten(0, 1))
        assert found.shape == (6, 1)
        assert found.flatten().tolist() == pytest.approx([0.5] * 3 + [0.625] * 3)

    def test_without_a_mask_the_first_token_is_read(self) -> None:
        gate, backbone = self.made()
        backbone.model.bert(input_ids=torch.tensor([[7, 8, 9], [7, 8, 1]]))
        assert gate(self.HIDDEN.log()).flatten().tolist() == pytest.approx([0.75, 0.75])

    def test_mean_is_of_the_last_training_step(self) -> None:
        gate, _backbone = self.made()
        gate(self.HIDDEN.log()[:1])  # of another shape than the mask: the first token, 3/4
        assert gate.mean == pytest.approx(0.75)
        gate(self.HIDDEN.log())
        assert gate.mean == pytest.approx((0.5 + 0.625) / 2), "a training step begins anew"

    def test_mean_is_over_texts_that_were_read_without_a_step_since_then(self) -> None:
        gate, backbone = self.made()
        gate(self.HIDDEN.log())
        with torch.no_grad():
            gate(self.HIDDEN.log()[1:].repeat(2, 1, 1)[:, :1])  # of another shape than the mask: twice 3/4
            backbone.model.bert(input_ids=torch.tensor([[7, 8]]), attention_mask=torch.ones(1, 2))
            gate(self.HIDDEN.log()[:1, :2])  # the mean of 3/4 and 1/4
        assert gate.mean == pytest.approx((0.75 + 0.75 + 0.5) / 3)

    def test_begins_half_open(self) -> None:
        for method, make in GATED.items():
            for gate in found_gates(tuned(make(), "bert"), method).values():
                assert not gate.line.bias.any()
                assert 0.005 < float(gate.line.weight.std()) < 0.05


LORA = {"class_path": "Lora", "init_args": {"rank": 2, "targets": ["query"], "gated": True, "learning_rate": 0.05}}


def finished(out: Path, *changes: Any, file: Path | None = None) -> tuple[Experiment, dict[str, Any]]:
    """A short run of an experiment file, or of pattern tuning, and its record."""
    tree = runs.tree(out, {"model": None} if file else {})
    experiment = settings.parse_tree(trees.merged(tree, trees.read_yaml(file) if file else {}, *changes)).experiment()
    return experiment, execute(experiment, Bars())


class TestRuns:
    def test_facts_are_means_over_the_texts_of_the_evaluation(self, tmp_path: Path) -> None:
        """Validation and test, after the last step, each text once."""
        change = {"model": {"init_args": {"tuning": LORA}}, "trainer": {"check_val_every_n_epoch": 100}}
        experiment, record = finished(tmp_path, change)
        module, data = experiment.paradigm.eval(), experiment.data
        texts = [*data.drawn.validation, *data.sealed_test()]
        subject = Subject(FineTuning)
        sums: dict[str, float] = {}
        for text in texts:
            with torch.no_grad():
                module(subject.batch(module, [text]))
            for place, gate in found_gates(module.backbone, "lora").items():
                sums[place] = sums.get(place, 0.0) + float(gate.now)
        said = record["method"]["gates"]["lora"]
        assert said == pytest.approx({place: total / len(texts) for place, total in sums.items()}, abs=2e-4)
        assert list(said) == [f"bert encoder layer {i} attention self query" for i in (0, 1)]
        assert all(abs(value - 0.5) > 0.002 for value in said.values()), "they have moved"

    def test_every_step_logs_how_far_they_are_open(self, tmp_path: Path) -> None:
        experiment, _ = finished(tmp_path, {"model": {"init_args": {"tuning": LORA}}})
        text = (experiment.folder / "metrics.csv").read_text()
        for i in (0, 1):
            values = metrics(text, f"gate/lora/bert encoder layer {i} attention self query")
            assert len(values) == 3
            assert all(0.3 < v < 0.7 for v in values)
            assert len(set(values)) == 3

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("file", ["unipelt", "unipelt_cloze"])
    def test_unipelt(self, file: str, kind: str, tmp_path: Path, experiments: Path) -> None:
        """Lora, adapters and a prefix, each behind its gates; trained and stored, with an encoder that is folded away."""
        experiment, record = finished(tmp_path, {"backbone": kind}, file=experiments / "paradigms" / f"{file}.yaml")
        found = record["method"]["gates"]
        assert found.keys() == {"lora", "pfeiffer_adapters", "deep_prompt"}
        assert all(0 < v < 1 for part in found.values() for v in part.values())
        assert record["method"]["prompt"]["vectors"] == 10
        header = (experiment.folder / "metrics.csv").read_text().split("\n")[0].split(",")
        assert sum(c.startswith("gate/") for c in header) == sum(len(part) for part in found.values())
        if kind == "tiny-masked":
            assert {k: len(v) for k, v in found.items()} == {"lora": 4, "pfeiffer_adapters": 2, "deep_prompt": 2}
            parts = 4 * 8 * 64 + 2 * (32 * 48 + 48 + 48 * 32 + 32) + (4 + 2 + 2) * 33 + (66 if file == "unipelt" else 0)
            encoder = 10 * 32 + (32 + 1) * 512 + (512 + 1) * 4 * 32
            assert record["cost"]["trained_parameters"] == parts + encoder
            assert record["cost"]["stored_bytes"] == 4 * (parts + 10 * 4 * 32)
