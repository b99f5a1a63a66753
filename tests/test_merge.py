"""A run's weights as plain ones: what transformers reads answers as the run did, and what plain weights cannot hold is refused."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file
from stored import finished, model, predictions, same, tuned
from test_adapters import drawn

from prompt_lab import cli, merging
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import checkpoint, load_anew, load_backbone
from prompt_lab.backbones.tiny import Tiny
from prompt_lab.errors import LabError
from prompt_lab.merging import ANSWER, merge, unload
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.paradigms.zero_shot import ZeroShot
from prompt_lab.predicting import predictors
from prompt_lab.stored_run import read_run
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.ada_lora import AdaLora
from prompt_lab.tuning.ia3 import Ia3
from prompt_lab.tuning.layer_norm import LayerNorm
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.mixture import Mixture

import runs

AUTO = {
    "tiny-masked": hf.AutoModelForMaskedLM,
    "tiny-causal": hf.AutoModelForCausalLM,
    "tiny-seq2seq": hf.AutoModelForSeq2SeqLM,
}
TEST = load_task(TOY).source.read(load_task(TOY))["test"]
PATTERN = "{text_a} It was {mask}"
LOUD = {"learning_rate": 0.1}
SEVERAL = [tuned(name, **LOUD) for name in ("Lora", "Ia3", "LayerNorm", "BitFit")]
TUNINGS: dict[str, Callable[[], Tuning]] = {
    "lora": Lora,
    "dora": lambda: Lora(dora=True),
    "ia3": Ia3,
    "ada_lora": AdaLora,
    "layer_norm": LayerNorm,
    "ia3 on lora": lambda: Mixture([Lora(), Ia3()]),
    "lora on ia3": lambda: Mixture([Ia3(), Lora()]),
    "all": lambda: Mixture([LayerNorm(), Lora(), Ia3()]),
}


def plain(folder: Path) -> Backbone:
    """The backbone of a folder, past the one that is kept."""
    return load_anew(str(folder))


@pytest.mark.parametrize("backbone", AUTO)
@pytest.mark.parametrize("name", TUNINGS)
def test_merged_in_place(name: str, backbone: str) -> None:
    one = Subject(lambda: PatternTuning(template=PATTERN, tuning=TUNINGS[name]()), backbone)
    module = drawn(one.built())
    before = one.scores(module, one.examples())
    unload(module.backbone)
    torch.testing.assert_close(one.scores(module, one.examples()), before, atol=2e-4, rtol=1e-4)
    assert (before - one.scores(one.built(), one.examples())).abs().max() > 0.01
    own = load_backbone(backbone)
    assert [n for n, _ in module.backbone.named_parameters()] == [n for n, _ in own.named_parameters()]
    assert [type(m) for m in module.backbone.modules()] == [type(m) for m in own.modules()]
    assert not hasattr(module.backbone.model, "peft_config")


@pytest.mark.parametrize("backbone", AUTO)
def test_label_words(backbone: str, tmp_path: Path) -> None:
    """Zero-shot prompting of the merged weights is what the run says."""
    some = SEVERAL[:3] if backbone == "tiny-seq2seq" else SEVERAL  # T5 has no biases
    how = model("PatternTuning", template=PATTERN, tuning=tuned("Mixture", tunings=some))
    run = finished(tmp_path / "runs", {"backbone": backbone}, how)
    made = merge(read_run(run), tmp_path / "new" / "merged")
    assert not made.answer
    assert made.pattern == PATTERN
    assert not (made.folder / ANSWER).exists()
    again = finished(
        tmp_path / "again", {"backbone": str(made.folder), "data": {"k": 0}}, model("ZeroShot", template=PATTERN)
    )
    same(predictions(again), predictions(run))
    untrained = finished(tmp_path / "un", {"backbone": backbone, "data": {"k": 0}}, model("ZeroShot", template=PATTERN))
    assert (predictions(untrained) - predictions(run)).abs().max() > 1e-3

    alone = AUTO[backbone].from_pretrained(made.folder).eval()
    ids = hf.AutoTokenizer.from_pretrained(made.folder)("the film is dull", return_tensors="pt")["input_ids"]
    assert type(alone) is type(load_backbone(backbone).model)
    extra = {"decoder_input_ids": ids} if backbone == "tiny-seq2seq" else {}
    (one,) = predictors([read_run(run)], "cpu")
    with torch.no_grad():
        expected = one.module.backbone.model(input_ids=ids, **extra).logits
        torch.testing.assert_close(alone(input_ids=ids, **extra).logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tuning", ["Full", "LastLayers", "AdaLora", "Frozen"])
def test_a_head_stands_beside(tuning: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(tmp_path / "runs", model("FineTuning", tuning=tuned(tuning, **LOUD)))
    folder = tmp_path / "merged"
    assert cli.main(["merge", "--run", str(run), "--out", str(folder)]) == 0
    said = capsys.readouterr()
    assert f"--backbone {folder}" in said.out
    assert f"{folder / ANSWER} holds what the answer has of its own" in said.out
    assert "linear.weight [2, 32], linear.bias [2]" in said.out
    assert "{text_a}" in said.out
    assert "shards" not in said.err
    one = Subject(FineTuning)
    module = one.built(seed=99)
    module.build(plain(folder)).answer.load_state_dict(load_file(folder / ANSWER))
    same(one.scores(module.eval(), TEST).log_softmax(-1), predictions(run))


def test_a_student_and_an_ensemble(tmp_path: Path) -> None:
    """PET's student has PET's backbone and answer; an ensemble has weights of its members beside its label words."""
    student = {"class_path": "FineTuning", "init_args": {"tuning": tuned("Lora", **LOUD)}}
    how = model("Pet", unlabeled=4, patterns=[0], weighting="uniform", student=student)
    run = finished(tmp_path / "runs", how)
    made = merge(read_run(run), tmp_path / "pet")
    assert sorted(made.answer) == ["linear.bias", "linear.weight"]
    one = Subject(FineTuning)
    module = one.built(seed=99)
    module.build(plain(made.folder)).answer.load_state_dict(dict(made.answer))
    same(one.scores(module.eval(), TEST).log_softmax(-1), predictions(run))
    run = finished(
        tmp_path / "runs", model("PatternEnsemble", patterns=[0, 1], weighting="accuracy", tuning=tuned("Lora", **LOUD))
    )
    made = merge(read_run(run), tmp_path / "ensemble")
    assert [list(v.shape) for v in made.answer.values()] == [[2]]
    assert list(load_file(made.folder / ANSWER)) == ["weight_M"]


def test_what_the_backbone_lacked_it_still_lacks(tmp_path: Path) -> None:
    """A head that was drawn at random is not written, or it would pass for a pretrained one."""
    whole = Path(Tiny("x", "masked", ["a great film"]).save(tmp_path / "whole"))
    headless = tmp_path / "headless"
    shutil.copytree(whole, headless)
    Tiny("x", "masked", ["a great film"]).model()[0].bert.save_pretrained(headless)
    run = finished(tmp_path / "runs", {"backbone": str(headless)}, model("FineTuning", tuning=tuned("Lora", **LOUD)))
    made = merge(read_run(run), tmp_path / "merged")
    assert plain(made.folder).missing == load_backbone(str(headless)).missing != ()
    with pytest.raises(LabError, match="comes without a language-model head"):
        ZeroShot().prepare(load_task(TOY), checkpoint(str(made.folder)).reader).build(plain(made.folder))


class TestRefused:
    @pytest.mark.parametrize(
        ("how", "named"),
        [
            (model("PromptTuning"), "backbone.virtual.vectors.weight"),
            (model("PTuning"), "backbone.virtual.vectors.weight"),
            (model("PrefixTuning"), "backbone.deep_prompt.vectors.weight"),
            (model("PatternTuning", tuning=tuned("Adapter")), "backbone.houlsby_adapters"),
            (model("PatternTuning", tuning=tuned("Lora", gated=True)), "backbone.lora_gates"),
            (model("PatternTuning", tuning=tuned("Mixture", tunings=[tuned("Full"), tuned("SoftPrompt", length=2)])),
             "backbone.virtual.vectors.weight"),
        ],
    )  # fmt: skip
    def test_what_plain_weights_cannot_hold(
        self, how: dict[str, Any], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run = finished(tmp_path / "runs", how)
        assert cli.main(["merge", "--run", str(run), "--out", str(tmp_path / "merged")]) == 2
        said = capsys.readouterr().err
        assert f"learnt what plain weights cannot hold: {named}" in said
        assert f"use `prompt-lab predict --run {run}`" in said
        assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"]

    def test_a_folder_with_something_in_it(self, tmp_path: Path) -> None:
        run = finished(tmp_path / "runs", {"data": {"k": 0}}, model("ZeroShot"))
        folder = tmp_path / "merged"
        folder.mkdir()
        merge(read_run(run), folder)
        with pytest.raises(LabError, match="is there already, and nothing is overwritten"):
            merge(read_run(run), folder)
        with pytest.raises(LabError, match="is there already"):
            merge(read_run(run), runs.write(tmp_path / "file", "x"))

    def test_nothing_is_left_of_what_was_not_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run = finished(tmp_path / "runs", {"data": {"k": 0}}, model("ZeroShot"))

        def full(*_: Any, **__: Any) -> Any:
            raise OSError("No space left on device")

        monkeypatch.setattr(hf.PreTrainedTokenizerFast, "save_pretrained", full)
        with pytest.raises(LabError, match=r"cannot write .*merged: No space left on device"):
            merge(read_run(run), tmp_path / "merged")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"]

    def test_what_transformers_does_not_read_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run = finished(tmp_path / "runs", {"data": {"k": 0}}, model("ZeroShot"))
        hashes = iter(["one", "other"])
        monkeypatch.setattr(merging, "weights_hash", lambda *_: next(hashes))
        with pytest.raises(LabError, match="BertForMaskedLM is not the same when transformers has written and read it"):
            merge(read_run(run), tmp_path / "merged")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"]

    def test_copycat(self, tmp_path: Path) -> None:
        """A model of our own is none of transformers'."""
        run = finished(tmp_path / "runs", {"backbone": "copycat", "data": {"k": 0}}, model("ZeroShot"))
        with pytest.raises(LabError):
            merge(read_run(run), tmp_path / "merged")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"]
