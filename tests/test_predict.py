"""Finished runs answer as they did, several of them on one backbone; what cannot answer says why."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from stored import finished, model, predictions, same, tuned
from torch import nn

from prompt_lab import cli, predicting
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Example
from prompt_lab.data import few_shot, reading
from prompt_lab.errors import LabError
from prompt_lab.predicting import Predictor, examples, predictors
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.stored_run import read_run
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY
from prompt_lab.tuning.lora import Lora

import runs

TEST = load_task(TOY).source.read(load_task(TOY))["test"]
NEAR = {"embedder": "tiny-masked", "max_length": 16, "sets": 2}
LOUD = {"learning_rate": 0.1}
PARADIGMS: dict[str, dict[str, Any]] = {
    "fine_tuning": model("FineTuning"),
    "pattern_tuning": model("PatternTuning", auxiliary=0.1),
    "zero_shot": {**model("ZeroShot"), "data": {"k": 0}},
    "pet": model("Pet", patterns=[0], unlabeled=4, weighting="uniform"),
    "ipet": model("Ipet", patterns=[0, 1], unlabeled=4, weighting="uniform", generations=1),
    "pattern_ensemble": model("PatternEnsemble", patterns=[0, 1], weighting="accuracy"),
    "untrained_ensemble": model("PatternEnsemble", patterns=[0, 2], weighting="accuracy", tuning=tuned("Frozen")),
    "lm_bff": model("LmBff", demonstrations={"select": "similar", **NEAR}),
    "demonstrations": model("LmBff", demonstrations={"select": "random", **NEAR}, tuning=tuned("Frozen")),
    "probe": model("FineTuning", tuning=tuned("Frozen", **LOUD)),
    "prompt_tuning": model("PromptTuning", tuning=tuned("SoftPrompt", length=3, **LOUD)),
    "embedding_tuning": model("EmbeddingTuning"),
    "p_tuning": model("PTuning"),
    "prefix_tuning": model("PrefixTuning"),
    "p_tuning_v2": model("PTuningV2", tuning=tuned("DeepPrompt", length=3, layers="2", mechanism="hidden_states", **LOUD)),
    "ppt": model("Ppt", unlabeled=8),
    "multitask_prompt": model("MultitaskPrompt"),
    "lite_self_training": model("LiteSelfTraining", rounds=1, unlabeled=4),
    "mixture": model("PatternTuning", tuning=tuned("Mixture", tunings=[tuned("Lora", **LOUD), tuned("SoftPrompt", length=2),
                                                                     tuned("Ia3")])),
    "bfloat": {**model("FineTuning"), "trainer": {"precision": "bf16-mixed"}},
}  # fmt: skip
OF_ONE_BACKBONE = ("fine_tuning", "zero_shot", "prompt_tuning", "mixture")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a finished run of a paradigm, made once."""
    out, found = tmp_path_factory.mktemp("runs"), {}

    def folder(name: str) -> Path:
        if name not in found:
            found[name] = finished(out, {"name": name}, PARADIGMS[name])
        return found[name]

    return folder


@pytest.fixture
def copied(run: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of such a folder, which may be spoilt."""
    return lambda name: shutil.copytree(run(name), tmp_path / name)


@pytest.fixture
def textless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The task's texts are gone."""

    def gone(*_: Any) -> Any:
        raise AssertionError("the task's texts were read")

    with monkeypatch.context() as patch:
        patch.setattr(few_shot, "read", gone)
        yield


def predictor(*folders: Path) -> list[Predictor]:
    return predictors([read_run(folder) for folder in folders], "cpu")


# ------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("name", PARADIGMS)
def test_answers_as_the_run_did(name: str, run: Callable[[str], Path], request: pytest.FixtureRequest) -> None:
    folder = run(name)
    request.getfixturevalue("textless")
    (one,) = predictor(folder)
    same(one.log_probabilities(TEST), predictions(folder))


def test_every_paradigm_is_asked() -> None:
    from prompt_lab import discovery

    assert set(discovery.entries("paradigm")) <= set(PARADIGMS)


def test_several_runs_on_one_backbone(run: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [run(name) for name in OF_ONE_BACKBONE]
    asked = []
    monkeypatch.setattr(predicting, "load_backbone", lambda name: asked.append(name) or load_backbone(name))
    shared = load_backbone("tiny-masked")
    before = {n: v.clone() for n, v in shared.model.state_dict().items()}
    found = predictor(*folders)
    assert asked == ["tiny-masked"]
    for one, folder in [*zip(found, folders, strict=True)] * 2:
        same(one.log_probabilities(TEST), predictions(folder))
    assert all(torch.equal(v, before[n]) for n, v in shared.model.state_dict().items()), "full tuning wrote elsewhere"
    weights = {p.data_ptr() for p in shared.parameters()}
    own = [sum(p.numel() for p in one.module.parameters() if p.data_ptr() not in weights) for one in found]
    moved = [sum(p.numel() for p in one.module.parameters() if p.requires_grad) for one in found]
    head = sum(p.numel() for p in shared.head_parameters())
    assert moved[0] == sum(p.numel() for p in shared.parameters()) - head + 2 * 32 + 2
    assert own == moved, "only what moved has storage of its own"


def test_switching_is_a_choice_of_object(run: Callable[[str], Path]) -> None:
    one, other = predictor(run("prompt_tuning"), run("zero_shot"))
    first = one.log_probabilities(TEST)
    assert (first - other.log_probabilities(TEST)).abs().max() > 1e-3
    assert torch.equal(one.log_probabilities(TEST), first)
    assert one.log_probabilities([]).shape == (0, 2)


class TestTwin:
    def test_weights_are_shared_and_ties_stay(self) -> None:
        for name in ("tiny-masked", "tiny-causal", "tiny-seq2seq"):
            backbone = load_backbone(name)
            twin = backbone.twin()
            own, its = backbone.state_dict(keep_vars=True), twin.state_dict(keep_vars=True)
            assert list(own) == list(its)
            assert [v.data_ptr() for v in own.values()] == [v.data_ptr() for v in its.values()]
            assert not {id(v) for v in own.values()} & {id(v) for v in its.values()}
            assert len(list(twin.parameters())) == len(list(backbone.parameters()))
            assert [p.requires_grad for p in twin.parameters()] == [p.requires_grad for p in backbone.parameters()]

    def test_what_is_put_on_one_is_not_there_for_the_other(self) -> None:
        backbone = load_backbone("tiny-masked")
        twin = backbone.twin()
        Lora().apply(twin)
        twin.model.config.hidden_size = 7
        assert not any("lora" in n or not p.requires_grad for n, p in backbone.named_parameters())
        assert backbone.model.config.hidden_size == 32
        assert twin.pretrained == backbone.pretrained
        assert twin.reader is backbone.reader

    def test_the_original_of_a_twin(self) -> None:
        backbone = load_backbone("tiny-masked")
        again = backbone.twin().original()
        assert not {p.data_ptr() for p in again.parameters()} & {p.data_ptr() for p in backbone.parameters()}


def test_weights_move_once() -> None:
    """To another device; a type of numbers stands for one here, since it makes new tensors as well."""
    backbone = load_backbone("tiny-masked")
    weights, elsewhere = predicting.Weights(backbone), torch.float64
    one, other = (nn.ModuleList([backbone.twin(), nn.Linear(2, 2)]) for _ in range(2))
    for module in (one, other):
        weights.move(module, elsewhere)  # type: ignore[arg-type]
    assert {p.dtype for module in (one, other) for p in module.parameters()} == {elsewhere}
    shared = [{t.data_ptr() for t in (*m[0].parameters(), *m[0].buffers())} for m in (one, other)]
    assert shared[0] == shared[1]
    assert one[1].weight.data_ptr() != other[1].weight.data_ptr()
    assert {p.dtype for p in backbone.parameters()} == {torch.float32}
    assert torch.equal(one[0].embeddings().weight, backbone.embeddings().weight.double())


# ------------------------------------------------------------------------------------------------- refused


def change(folder: Path, **changes: Any) -> None:
    """Of the record."""
    path = folder / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


class TestRefused:
    def test_no_run(self, run: Callable[[str], Path], tmp_path: Path) -> None:
        folder = run("fine_tuning")
        with pytest.raises(
            LabError, match=r"no finished run: it holds no record.json. There are runs below it: .*seed13"
        ):
            read_run(folder.parent)
        with pytest.raises(LabError, match=r"nowhere is no finished run.*that `prompt-lab fit` prints"):
            read_run(tmp_path / "nowhere")
        assert read_run(folder / "record.json").folder == folder

    def test_a_corrupt_record(self, copied: Callable[[str], Path]) -> None:
        folder = copied("fine_tuning")
        (folder / "record.json").write_text("{")
        with pytest.raises(LabError, match=r"record.json cannot be read"):
            read_run(folder)

    def test_settings_that_are_gone(self, copied: Callable[[str], Path]) -> None:
        folder = copied("fine_tuning")
        config = read_run(folder).record["config"]
        change(folder, config={**config, "model": {"class_path": "own_paradigms.Gone"}})
        with pytest.raises(
            LabError, match=r"the run .*fine_tuning cannot be used: model: cannot import .* no attribute 'Gone'"
        ):
            read_run(folder)

    def test_a_run_of_a_paradigm_that_was_made_in_python(self, tmp_path: Path) -> None:
        from prompt_lab.paradigms.zero_shot import ZeroShot

        experiment = runs.of(ZeroShot(), few_shot.FewShotData(**{**runs.DATA, "k": 0}), tmp_path)
        execute(experiment, Bars())
        with pytest.raises(LabError, match=r"was made in Python.*Use the paradigm itself"):
            read_run(experiment.folder)

    @pytest.mark.parametrize("name", ["fine_tuning", "untrained_ensemble"])
    def test_what_was_learnt_is_gone(self, name: str, copied: Callable[[str], Path]) -> None:
        folder = copied(name)
        (folder / "delta.safetensors").unlink()
        with pytest.raises(LabError, match=r"learnt [\d,]+ bytes of parameters.*delta.safetensors, but it is missing"):
            read_run(folder)
        config = read_run_config(folder)
        change(folder, config={**config, "save_model": False})
        with pytest.raises(LabError, match=r"but it was run with save_model: false.*--save_model true"):
            read_run(folder)

    def test_nothing_was_learnt(self, copied: Callable[[str], Path]) -> None:
        folder = copied("zero_shot")
        assert not (folder / "delta.safetensors").exists()
        change(folder, config={**read_run_config(folder), "save_model": False})
        same(predictor(folder)[0].log_probabilities(TEST), predictions(folder))

    def test_a_corrupt_delta(self, copied: Callable[[str], Path]) -> None:
        folder = copied("fine_tuning")
        path = folder / "delta.safetensors"
        path.write_bytes(path.read_bytes()[:999])
        with pytest.raises(LabError, match=r"the run .* cannot be used: .*delta.safetensors cannot be read"):
            predictor(folder)

    @pytest.mark.parametrize("name", ["fine_tuning", "zero_shot"])
    def test_another_backbone(self, name: str, copied: Callable[[str], Path]) -> None:
        folder = copied(name)
        change(folder, backbone_revision="sha256:0")
        with pytest.raises(
            LabError, match=r"made on tiny-masked \(sha256:0\), which is now another model \(sha256:\w+\)"
        ):
            predictor(folder)

    def test_a_changed_task(self, copied: Callable[[str], Path]) -> None:
        folder = copied("fine_tuning")
        change(folder, template="{text_a} Really? {mask}")
        with pytest.raises(LabError, match=r"its pattern was '\{text_a\} Really\? \{mask\}'.*now gives"):
            predictor(folder)
        change(folder, recall_per_class={"positive": 1.0, "negative": 0.0})
        with pytest.raises(LabError, match=r"learnt the labels \['positive', 'negative'\], and its task now has"):
            read_run(folder)

    def test_a_module_of_a_stage_was_tested(self, copied: Callable[[str], Path]) -> None:
        folder = copied("fine_tuning")
        config = read_run_config(folder)
        config["model"]["class_path"] = "own_paradigms.Watched"
        config["model"]["init_args"] = {}
        change(folder, config=config)
        with pytest.raises(LabError, match="Watched handed its test to a module of its stages, FineTuning"):
            predictor(folder)

    def test_examples_that_are_shown(self, copied: Callable[[str], Path]) -> None:
        folder = copied("demonstrations")
        path = folder / "examples.jsonl"
        lines = path.read_text().splitlines()
        spoilt = {
            "JSONDecodeError": "{",
            "KeyError": "{}\n",
            "they are not those of the record": "\n".join(lines[1:]),
            "unknown label": lines[0].replace('"negative"', '"nothing"').replace('"positive"', '"nothing"'),
        }
        for why, text in spoilt.items():
            path.write_text(text)
            with pytest.raises(LabError, match=f"the run .*examples.jsonl.*shows beside every text.*{why}"):
                predictor(folder)[0].log_probabilities(TEST)
        path.unlink()
        with pytest.raises(LabError, match=r"examples.jsonl.*FileNotFoundError"):
            predictor(folder)[0].log_probabilities(TEST)

    def test_examples_that_are_not_shown_need_not_be_there(self, copied: Callable[[str], Path]) -> None:
        folder = copied("fine_tuning")
        (folder / "examples.jsonl").unlink()
        same(predictor(folder)[0].log_probabilities(TEST), predictions(folder))

    @pytest.mark.parametrize("row", [{}, {"text_a": "  "}, {"text_b": "x"}])
    def test_a_field_that_a_text_lacks(self, row: dict[str, str]) -> None:
        with pytest.raises(LabError, match="task 'toy' reads text_a, and text 2 has no text_a"):
            examples(load_task(TOY), [{"text_a": "fine"}, row])


def read_run_config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())["config"]


# ------------------------------------------------------------------------------------------------- the command

PAIRS = """
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files

TASK = Task(
    source=Files(train="{folder}/train.csv", test="{folder}/test.csv"), labels=("no", "yes"),
    label_words={{"no": ["bad"], "yes": ["great"]}}, templates=("{{premise}} {{mask}}, {{guess}}",),
    fields=("premise", "guess"), metric="pearson", bounds=(0.0, 4.0),
)
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on pairs of texts with numbers, whose texts are gone."""
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("train", "test"):
        rows = [f"{name} {i},so it is {i * i},{i % 5}" for i in range(20)]
        (folder / f"{name}.csv").write_text("\n".join(["premise,guess,label", *rows]))
    task = runs.write(folder / "pairs.py", PAIRS.format(folder=folder))
    how = model("LmBff", demonstrations={"select": "random", **NEAR}, tuning=tuned("Frozen"))
    found = finished(folder / "runs", {"data": {"task": str(task)}}, how)
    for name in ("train", "test"):
        (folder / f"{name}.csv").rename(folder / f"kept_{name}.csv")
    reading._read.cache_clear()
    return found


def predict(*words: object) -> int:
    return cli.main(["predict", *map(str, words)])


class TestCommand:
    def test_a_table(self, run: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
        folder = run("prompt_tuning")
        text = [TEST[i].fields["text_a"] for i in (0, 9)]
        assert predict("--run", folder, "--text", text[0], "--text_a", text[1], "--accelerator", "cpu") == 0
        logp = predictions(folder)[[0, 9]]
        labels = [("negative", "positive")[i] for i in logp.argmax(1)]
        sure = [f"{p:.1%}" for p in logp.max(1).values.exp()]
        head, *rows = capsys.readouterr().out.splitlines()
        assert head.split() == ["text_a", "prompt_tuning"]
        assert [" ".join(r.split()) for r in rows] == [
            f"{t} {label} {p}" for t, label, p in zip(text, labels, sure, strict=True)
        ]

    def test_several_runs_in_a_file(
        self, run: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folders = [run("prompt_tuning"), run("zero_shot")]
        texts = runs.write(tmp_path / "texts.txt", "\n".join(e.fields["text_a"] for e in TEST) + "\n\n")
        out = tmp_path / "new" / "out.jsonl"
        assert predict("--run", folders[0], "--run", folders[1], "--file", texts, "--out", out) == 0
        assert capsys.readouterr().out == f"{out}   ({len(TEST)} texts, 2 runs)\n"
        rows = runs.lines(out)
        assert [r["text"] for r in rows] == [dict(e.fields) for e in TEST for _ in folders]
        assert [r["run"] for r in rows] == [str(f) for f in folders] * len(TEST)
        for number, folder in enumerate(folders):
            own = rows[number::2]
            assert [list(r["log_probabilities"]) for r in own] == [["negative", "positive"]] * len(TEST)
            same(torch.tensor([list(r["log_probabilities"].values()) for r in own]), predictions(folder))
            expected = [r["predicted"] for r in runs.lines(folder / "predictions.jsonl")]
            assert [r["predicted"] for r in own] == expected

    def test_titles_say_what_differs(self, run: Callable[[str], Path], copied: Callable[[str], Path]) -> None:
        from prompt_lab.commands.predict import _titles

        folders = [run("prompt_tuning"), run("zero_shot"), copied("zero_shot")]
        first, second, third = map(read_run, folders)
        assert _titles([first]) == ["prompt_tuning"]
        assert _titles([first, second]) == ["prompt_tuning K = 2", "zero_shot K = 0"]
        assert _titles([second, third]) == [str(f) for f in folders[1:]]

    def test_pairs_and_numbers(self, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        kept = pairs.parents[5] / "kept_test.csv"
        out = tmp_path / "out.jsonl"
        assert predict("--run", pairs, "--file", kept, "--out", out) == 0
        stored, found = runs.lines(pairs / "predictions.jsonl"), runs.lines(out)
        same(torch.tensor([list(r["log_probabilities"].values()) for r in found]), predictions(pairs))
        assert [r["predicted_value"] for r in found] == pytest.approx([r["predicted_value"] for r in stored], abs=1e-4)
        assert found[3]["text"] == {"premise": "test 3", "guess": "so it is 9"}
        capsys.readouterr()
        words = ["--guess", "so it is 0", "--guess", "so it is 9", "--text", "test 0", "--premise", "test 3"]
        assert predict("--run", pairs, *words) == 0
        _, *rows = capsys.readouterr().out.splitlines()
        expected = [f"test {i} so it is {i * i} {stored[i]['predicted_value']:.4g}" for i in (0, 3)]
        assert [" ".join(r.split()) for r in rows] == expected

    def test_runs_of_two_tasks(
        self, pairs: Path, run: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = run("zero_shot")
        words = ["--text_a", TEST[0].fields["text_a"], "--premise", "test 0", "--guess", "so it is 0"]
        assert predict("--run", pairs, "--run", other, *words) == 0
        assert "premise" in capsys.readouterr().out
        assert predict("--run", pairs, "--run", other, "--text", "a") == 2
        assert "unknown option 'text'. Did you mean 'text_a'" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "give texts with --text"),
            (["--text", "a", "--file", "b.txt"], "and not both"),
            (["--txt", "a"], "unknown option 'txt'. Did you mean 'text'"),
            (["--file", "missing.csv"], "missing.csv: no such file"),
            (["--text", "  "], "text 1 has no text_a"),
            (["--text", "a", "--out", "."], "--out . is a folder"),
        ],
    )
    def test_refused(
        self, words: list[str], message: str, run: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert predict("--run", run("zero_shot"), *words) == 2
        assert message in capsys.readouterr().err

    def test_fields_that_do_not_go_together(self, pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert predict("--run", pairs, "--text", "a", "--text", "b", "--guess", "c") == 2
        assert "there are 2 of premise, 1 of guess" in capsys.readouterr().err
        assert predict("--run", pairs, "--text", "a") == 2
        assert "reads premise and guess, and text 1 has no guess; it has premise" in capsys.readouterr().err
        texts = runs.write(pairs / "a.txt", "one")
        assert predict("--run", pairs, "--file", texts) == 2
        assert "one text a line and nothing else, but premise, guess are needed" in capsys.readouterr().err

    def test_help(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit, match="0"):
            predict("--help")
        assert '--text "…"' in capsys.readouterr().out

    def test_no_gpu(self, run: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
        if not torch.cuda.is_available():
            assert predict("--run", run("zero_shot"), "--text", "a", "--accelerator", "gpu") == 2
            assert "trainer cannot be used" in capsys.readouterr().err


def test_a_long_file_is_read_in_batches(run: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = predictor(run("zero_shot"))
    one._data.eval_batch_size = 3
    steps: list[list[int]] = []
    usual = one.module.predict_step
    monkeypatch.setattr(one.module, "predict_step", lambda b, i: steps.append(b.index.tolist()) or usual(b, i))
    texts = [Example({"text_a": "so " * n + "it is"}) for n in (1, 9, 3, 7, 5, 2, 8)]
    found = one.log_probabilities(texts)
    assert steps == [[1, 6, 3], [4, 2, 5], [0]], "the longest first"
    monkeypatch.undo()
    same(found[4:5], one.log_probabilities(texts[4:5]))
