"""A run and its record: complete, true, repeatable, honest about what it used."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from prompt_lab import cli
from prompt_lab.answers.head import Head
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Example
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.data.sampling import fingerprint
from prompt_lab.errors import LabError
from prompt_lab.experiment import Experiment
from prompt_lab.optimizing import rate
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.progress import Bars
from prompt_lab.reporting import delta, scores
from prompt_lab.reporting.cost import peak_memory
from prompt_lab.running import execute
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.trees import merged
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.full import Full

import runs
from own_paradigms import Watched

LABELS = load_task(TOY).labels


@dataclass
class Done:
    experiment: Experiment
    record: dict[str, Any]
    folder: Path


def done(experiment: Experiment) -> Done:
    return Done(experiment, execute(experiment, Bars()), experiment.folder)


def data(**changes: Any) -> FewShotData:
    return FewShotData(**{**runs.DATA, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Pattern tuning with three examples a class."""
    out = tmp_path_factory.mktemp("runs")
    return done(runs.experiment(out, {"save_model": True, "data": {"k": 3, "seed": 21}, "trainer": {"max_steps": 5}}))


# ------------------------------------------------------------------------------------------------- the record

PARTS = {
    "": {"schema", "paradigm", "strategy", "task", "backbone", "backbone_revision", "k", "split_seed", "init_seed",
         "order_seed", "selection", "template", "answer", "tuning", "metric", "scores", "recall_per_class", "trivial",
         "collapsed", "data", "budget", "cost", "environment", "trials", "started", "finished", "settings", "config",
         "stages", "method", "chosen"},
    "scores": {f"{split}/{s}" for split in ("test", "val")
               for s in ("acc", "f1_macro", "f1_weighted", "f1", "mcc", "ece", "nll", "auc")},
    "data": {"fingerprint", "test_fingerprint", "train", "validation", "test", "cleaned"},
    "budget": {"labels_train", "labels_validation", "unlabeled_texts", "external_labels", "demonstrations", "model_calls"},
    "cost": {"trained_parameters", "total_parameters", "parameters", "stored_bytes", "seconds", "steps", "tokens", "model_calls",
             "flops_estimate", "peak_memory_bytes", "side_by_side"},
    "environment": {"prompt_lab", "commit", "python", "platform", "device", "threads", "packages"},
}  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_record_has_every_part(finished: Done, part: str) -> None:
    stored = json.loads((finished.folder / "record.json").read_text())
    assert set(stored[part] if part else stored) == PARTS[part]


def test_record_says_which_run_it_is(finished: Done) -> None:
    record = finished.record
    assert finished.folder.parts[-5:] == ("toy", "pattern_tuning", "tiny-masked", "k3", "seed21")
    assert (record["paradigm"], record["strategy"]) == ("pattern_tuning", "fixed-prompt LM tuning")
    assert (record["task"], record["backbone"], record["k"]) == ("toy", "tiny-masked", 3)
    assert [record[f"{s}_seed"] for s in ("split", "init", "order")] == [21, 21, 21]
    assert record["template"] == "{text_a} It was {mask}."
    assert record["backbone_revision"].startswith("sha256:")
    assert record["environment"]["packages"]["torch"] == torch.__version__
    assert record["config"]["data"]["batch_size"] == 2, "the full config, defaults and all"
    assert record["config"]["data"]["eval_batch_size"] == 64


def test_scores_can_be_computed_again_from_the_predictions(finished: Done) -> None:
    rows = runs.lines(finished.folder / "predictions.jsonl")
    logp_NC = torch.tensor([r["log_probabilities"] for r in rows])
    label_N = torch.tensor([LABELS.index(r["label"]) for r in rows])
    test = {k: v for k, v in finished.record["scores"].items() if k.startswith("test/")}
    assert scores.scores(logp_NC, label_N, "test/") == test
    assert scores.recall_per_class(logp_NC, label_N, LABELS) == finished.record["recall_per_class"]
    assert [r["predicted"] for r in rows] == [LABELS[i] for i in logp_NC.argmax(1)]
    assert torch.allclose(logp_NC.exp().sum(1), torch.ones(len(rows)))
    assert [r["key"] for r in rows] == [e.key[:16] for e in finished.experiment.data.sealed_test()]


def test_examples_are_those_of_the_fingerprint(finished: Done) -> None:
    rows = runs.lines(finished.folder / "examples.jsonl")
    parts = [
        [Example({"text_a": r["text_a"]}, LABELS.index(r["label"])) for r in rows if r["split"] == split]
        for split in ("train", "validation")
    ]
    assert [len(p) for p in parts] == [6, 6]
    assert fingerprint(*parts) == finished.record["data"]["fingerprint"]
    assert [r["key"] for r in rows] == [e.key[:16] for p in parts for e in p]


# ------------------------------------------------------------------------------------------------- what is stored


def fresh(backbone: str = "tiny-masked") -> PatternTuning:
    return Subject(PatternTuning, backbone).built(seed=5)


def test_delta_gives_the_same_predictions(finished: Done) -> None:
    module = fresh()
    delta.load(finished.folder / delta.FILE, module)
    examples = finished.experiment.data.sealed_test()
    loader = data().evaluation(module.encoder(data()), examples)
    found = torch.empty(len(examples), len(LABELS))
    with torch.inference_mode():
        for batch in loader:
            found[batch.index] = module(batch).log_softmax(-1)
    stored = [r["log_probabilities"] for r in runs.lines(finished.folder / "predictions.jsonl")]
    assert torch.equal(found, torch.tensor(stored))


def test_corrupt_delta_is_refused(finished: Done, tmp_path: Path) -> None:
    whole = (finished.folder / delta.FILE).read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        path = tmp_path / "delta.safetensors"
        path.write_bytes(content)
        with pytest.raises(LabError, match=r"delta.safetensors cannot be read .* run it again"):
            delta.load(path, fresh())


def test_delta_of_another_backbone_is_refused(finished: Done) -> None:
    with pytest.raises(LabError, match=r"made for tiny-masked \(sha256:\w+\), not for tiny-causal"):
        delta.load(finished.folder / delta.FILE, fresh("tiny-causal"))


def test_delta_of_other_settings_is_refused(finished: Done) -> None:
    with pytest.raises(LabError, match="made with other settings"):
        delta.load(finished.folder / delta.FILE, Subject(FineTuning).built())


def test_save_model_false_stores_no_delta(tmp_path: Path) -> None:
    run = done(runs.experiment(tmp_path, {"save_model": False}))
    assert not (run.folder / delta.FILE).exists()
    assert run.record["cost"]["stored_bytes"] > 0, "what would be stored is a cost all the same"


# ------------------------------------------------------------------------------------------------- identity


@pytest.mark.parametrize(
    "change",
    [{"wandb": "offline"}, {"out": "elsewhere"}, {"save_model": True}, {"wandb_project": "x"}, {"name": "x"},
     {"trainer": {"accelerator": "auto"}}, {"trainer": {"devices": 2, "strategy": "ddp"}}],
)  # fmt: skip
def test_identity_leaves_out_what_changes_no_result(tmp_path: Path, change: dict[str, Any]) -> None:
    assert runs.experiment(tmp_path, change).settings == runs.experiment(tmp_path).settings


@pytest.mark.parametrize(
    "change",
    [{"select": "dev_k"}, {"init_seed": 3}, {"order_seed": 0}, {"data": {"seed": 21}}, {"data": {"max_length": 32}},
     {"trainer": {"max_steps": 4}}, {"trainer": {"precision": "bf16-mixed"}}, {"backbone": "tiny-causal"},
     {"model": {"init_args": {"template": 1}}}, {"model": {"class_path": "FineTuning"}},
     {"model": {"init_args": {"tuning": {"class_path": "Full", "init_args": {"learning_rate": 1e-4}}}}}],
)  # fmt: skip
def test_identity_holds_what_changes_results(tmp_path: Path, change: dict[str, Any]) -> None:
    assert runs.experiment(tmp_path, change).settings != runs.experiment(tmp_path).settings


# ------------------------------------------------------------------------------------------------- seeds


def watched(out: Path, split: int = 13, **seeds: int) -> tuple[Watched, dict[str, Any]]:
    module = Watched()
    return module, execute(runs.of(module, data(k=4, seed=split), out, run=seeds), Bars())


def test_seeds_are_independent(tmp_path: Path) -> None:
    one, record = watched(tmp_path / "a")
    again, _ = watched(tmp_path / "b", init_seed=13, order_seed=13)
    init, of_init = watched(tmp_path / "c", init_seed=0)
    order, of_order = watched(tmp_path / "d", order_seed=0)
    assert (again.rows, again.head.tolist()) == (one.rows, one.head.tolist()), "both are the split's seed by default"
    assert init.rows == one.rows, "the order does not hang on the initialisation"
    assert not torch.equal(init.head, one.head), "seed 0 is a seed"
    assert torch.equal(order.head, one.head)
    assert order.rows != one.rows, "seed 0 is a seed"
    drawn = {r["data"]["fingerprint"] for r in (record, of_init, of_order)}
    assert len(drawn) == 1, "the split hangs on its own seed alone"
    assert (of_init["split_seed"], of_init["init_seed"], of_init["order_seed"]) == (13, 0, 13)
    assert (of_order["split_seed"], of_order["init_seed"], of_order["order_seed"]) == (13, 13, 0)
    losses = {json.dumps(r["scores"]["test/nll"]) for r in (record, of_init, of_order)}
    assert len(losses) == 3


def test_split_seed_0_is_a_seed(tmp_path: Path) -> None:
    zero, thirteen = watched(tmp_path, split=0)[1], watched(tmp_path)[1]
    assert zero["split_seed"] == zero["init_seed"] == zero["order_seed"] == 0
    assert zero["data"]["fingerprint"] != thirteen["data"]["fingerprint"]


@pytest.mark.parametrize("change", [{"data": {"seed": -1}}, {"init_seed": 2**32}, {"order_seed": -5}])
def test_impossible_seed_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(LabError, match=r"seed must lie between 0 and"):
        runs.experiment(tmp_path, change).check()


# ------------------------------------------------------------------------------------------------- cost


def lengths(module: Any, examples: Any) -> int:
    return sum(len(row.input_ids) for e in module.encoder(data()).encode(examples) for row in e.rows)


def test_cost_counts_what_was_read(tmp_path: Path) -> None:
    module = Watched()
    run = done(runs.of(module, data(k=3), tmp_path, max_steps=6))  # two epochs of three batches
    cost, drawn, test = run.record["cost"], run.experiment.data.drawn, run.experiment.data.sealed_test()
    assert cost["steps"] == 6
    assert cost["tokens"]["train"] == module.tokens == 2 * lengths(module, drawn.train)
    assert cost["tokens"]["evaluation"] == lengths(module, test) + 3 * lengths(module, drawn.validation)
    assert cost["model_calls"] == run.record["budget"]["model_calls"] == 2 * 6 + 3 * 6 + 16
    assert cost["peak_memory_bytes"] > 4 * cost["total_parameters"]
    seconds = cost["seconds"]
    assert set(seconds) == {"prepare", "load", "fit", "test", "total"}
    assert seconds["total"] == pytest.approx(sum(v for k, v in seconds.items() if k != "total"))
    assert all(v > 0 for v in seconds.values())


def test_the_peak_of_memory_is_that_of_what_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on the CPU of a machine with a GPU, which has allocated nothing."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device=None: 7)
    assert peak_memory(torch.device("cuda:0")) == 7
    assert peak_memory(torch.device("cpu")) > 10**7


def test_steps_are_the_optimizer_s(tmp_path: Path) -> None:
    cost = runs.record(tmp_path, {"trainer": {"accumulate_grad_batches": 2}})["cost"]
    assert cost["steps"] == 3
    assert cost["tokens"]["train"] > 1.5 * runs.record(tmp_path, {"name": "once"})["cost"]["tokens"]["train"]


@pytest.mark.parametrize("tuning", [Full, Frozen])
def test_cost_counts_parameters(tmp_path: Path, tuning: type) -> None:
    backbone = sum(p.numel() for p in load_backbone("tiny-masked").parameters())
    run = done(runs.of(PatternTuning(tuning=tuning()), data(), tmp_path, run={"save_model": True}))
    trained = backbone if tuning is Full else 0
    cost = run.record["cost"]
    assert (cost["trained_parameters"], cost["total_parameters"], cost["stored_bytes"]) == (
        trained,
        backbone,
        4 * trained,
    )
    assert (run.folder / delta.FILE).exists() == bool(trained)
    assert not trained or (run.folder / delta.FILE).stat().st_size == pytest.approx(4 * trained, rel=0.1)


def test_a_linear_probe_trains_its_head_alone(tmp_path: Path) -> None:
    cost = execute(runs.of(FineTuning(tuning=Frozen()), data(), tmp_path), Bars())["cost"]
    assert cost["trained_parameters"] == 32 * 2 + 2


# ------------------------------------------------------------------------------------------------- labels and selection


def test_k_0_is_refused_for_what_trains(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"PatternTuning learns from labelled examples, and k=0 gives none"):
        runs.record(tmp_path, {"data": {"k": 0}})


def test_k_0_without_training(tmp_path: Path) -> None:
    record = runs.record(tmp_path, {"model": {"class_path": "ZeroShot"}, "data": {"k": 0}})
    assert record["budget"]["labels_train"] == record["data"]["train"] == record["cost"]["steps"] == 0
    assert record["strategy"] == "tuning-free prompting"
    assert not [key for key in record["scores"] if key.startswith("val/")]


def worsens(out: Path, select: str) -> tuple[Watched, dict[str, Any]]:
    """Eight epochs; at the last step but one the head is turned into its opposite."""
    module = Watched(turns=31, learning_rate=1e-3)
    record = execute(runs.of(module, data(k=8, batch_size=4), out, max_steps=32, run={"select": select}), Bars())
    assert max(module.accuracies) > module.accuracies[-1], "the fit must get worse, or this shows nothing"
    return module, record


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_dev_k_goes_back_to_the_earliest_best_state(tmp_path: Path) -> None:
    module, record = worsens(tmp_path, "dev_k")
    best = module.accuracies.index(max(module.accuracies))
    assert same(module.moved_state(), module.states[best])
    assert record["scores"]["val/acc"] == pytest.approx(max(module.accuracies))
    assert record["selection"] == "dev_k"
    assert record["budget"]["labels_validation"] == 16, "labels that chose the state were used"


def test_fixed_takes_the_last_state(tmp_path: Path) -> None:
    module, record = worsens(tmp_path, "fixed")
    assert same(module.moved_state(), module.states[-1])
    assert record["scores"]["val/acc"] == pytest.approx(module.accuracies[-1])
    assert (record["selection"], record["budget"]["labels_validation"]) == ("fixed", 0)


def test_dev_k_does_not_choose_before_training(tmp_path: Path) -> None:
    module = Watched(turns=1, learning_rate=0.0)
    run = {"select": "dev_k", "init_seed": 0}
    execute(runs.of(module, data(k=8), tmp_path, max_steps=16, num_sanity_val_steps=2, run=run), Bars())
    assert module.accuracies[0] > max(module.accuracies[1:]), "Lightning's sanity check saw the best state"
    assert same(module.moved_state(), module.states[1])


def test_dev_k_without_a_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="never validated"):
        runs.record(tmp_path, {"select": "dev_k", "trainer": {"check_val_every_n_epoch": 50}})


def test_test_size_takes_the_same_sample_for_every_seed(tmp_path: Path) -> None:
    found = [runs.record(tmp_path, {"data": {"seed": s, "test_size": 5}})["data"] for s in (13, 21)]
    whole = data().facts()
    assert [f["test"] for f in found] == [5, 5]
    assert found[0]["test_fingerprint"] == found[1]["test_fingerprint"] != whole["test_fingerprint"]
    assert found[0]["fingerprint"] != found[1]["fingerprint"]
    assert {e.key for e in data(test_size=5).sealed_test()} < {e.key for e in data(test_size=6).sealed_test()}
    assert data(test_size=999).facts()["test_fingerprint"] == whole["test_fingerprint"]


@pytest.mark.parametrize("name", ["batch_size", "eval_batch_size", "max_length", "test_size"])
def test_sizes_below_one_are_refused(name: str) -> None:
    with pytest.raises(LabError, match=rf"data.{name} must be at least 1; it was 0"):
        data(**{name: 0})


# ------------------------------------------------------------------------------------------------- bad input

TEXTS = "text_a,label\n" + "".join(f"film {i},{label}\n" for i, label in enumerate(["negative", "positive"] * 3))
MORE = TEXTS.replace("film", "plot")
BAD_INPUT = {
    "no mask": (["--model.template", "{text_a}"], "reads its answer at the mask, but the template '{text_a}' has none"),
    "two masks": (["--model.template", "{mask} {text_a} {mask}"], "a second {mask}"),
    "no such field": (["--model.template", "{text_b} {mask}"], "unknown slot 'text_b'. Did you mean 'text_a'?"),
    "no such template": (["--model.template", "9"], "template 9 does not exist: task 'toy' has templates 0 to 2"),
    "no words": (["--model.answer", "Words", "--model.answer.words", "{negative: [bad]}"], "the label 'positive' of task"),
    "no such label": (["--model.answer", "Words", "--model.answer.words", "{postive: [a]}"], "Did you mean 'positive'"),
    "vanishing word": (["--model.answer", "Words", "--model.answer.words", "{negative: [bad], positive: [漢]}"], "'漢' vanishes"),
    "no room": (["--data.max_length", "5"], "leaves no room for the text"),
    "k too large": (["--data.k", "9"], "k=9 needs 9 training texts of each label, but 'negative' has 8"),
    "negative k": (["--data.k", "-1"], "k is the number of training examples of each class: 0 or more"),
    "larger validation": (
        ["--data.k", "full", "--data.files.train", "few.csv", "--data.files.validation", "many.csv", "--data.files.test", "t.csv"],
        "validation has 6 examples and training 4",
    ),
    "no such file": (["--data.files.train", "fw.csv", "--data.files.test", "t.csv"], "fw.csv: no such file. Did you mean 'few.csv'?"),
    "no test": (["--data.k", "1", "--data.files.train", "few.csv"], "has no test texts"),
    "no such folder": (["--backbone", "./nowhere"], "no such folder: './nowhere'"),
    "broken folder": (["--backbone", "broken"], "the folder 'broken' is no checkpoint that can be read"),
    "no hub": (["--backbone", "nobody/nothing"], "use a packaged backbone (minilm-mlm"),
    "no such device": (["--trainer.accelerator", "cuda"], "the settings of the trainer cannot be used"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_INPUT)
def test_bad_input_is_refused_before_weights_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    monkeypatch.setattr("prompt_lab.running.load_backbone", lambda *_: pytest.fail("a model was loaded"))
    monkeypatch.chdir(tmp_path)
    few = "\n".join(TEXTS.split("\n")[:5])
    for name, content in {"few.csv": few, "many.csv": MORE, "t.csv": MORE.replace("plot", "cast")}.items():
        runs.write(tmp_path / name, content)
    runs.write(tmp_path / "broken/config.json", "{")
    words, message = BAD_INPUT[what]
    assert cli.main(runs.words(tmp_path / "out", *words)) == 2
    said, error = capsys.readouterr()
    assert message in error
    assert error.startswith("prompt-lab: ")
    assert "Traceback" not in error
    assert not said
    assert not list((tmp_path / "out").rglob("*.json*"))


# ------------------------------------------------------------------------------------------------- optimization


@pytest.mark.parametrize("warmup", [0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("total", [1, 2, 7, 100])
def test_warm_up_ends_within_training(total: int, warmup: float) -> None:
    rates = [rate(step, total, "linear", warmup) for step in range(total)]
    top = rates.index(1.0)
    assert top == int(warmup * total)
    assert all(0 < a < b for a, b in pairwise(rates[: top + 1])), "it rises from above zero"
    assert all(a > b > 0 for a, b in pairwise(rates[top:])), "and falls, but no step is lost"
    assert rate(total, total, "linear", warmup) == 0


def test_the_heads_learning_rate_is_its_own(tmp_path: Path) -> None:
    module = Watched()
    module.answer = Head(learning_rate=0.5)
    execute(runs.of(module, data(), tmp_path), Bars())
    of_head = {id(p) for p in module.answer.parameters()}
    seen: list[int] = []
    for group in module.groups:
        for parameter in group["params"]:
            seen.append(id(parameter))
            assert group["initial_lr"] == (0.5 if id(parameter) in of_head else 1e-3)
            assert group["weight_decay"] == (0.01 if parameter.ndim > 1 else 0), "biases and norms are not decayed"
    assert sorted(seen) == sorted(id(p) for p in module.parameters() if p.requires_grad), "each once"


# ------------------------------------------------------------------------------------------------- trainer


@pytest.mark.parametrize(
    ("change", "message"),
    [({"accelerator": "gpuu"}, "invalid accelerator"), ({"strategy": "dpp"}, "invalid strategy"),
     ({"devices": 0}, "not a valid input"), ({"max_steps": -1, "max_epochs": -1}, "would never end")],
)  # fmt: skip
def test_trainer_that_cannot_be_made_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        runs.experiment(tmp_path, {"trainer": change}).check()


@pytest.mark.parametrize("name", ["fsdp", "deepspeed_stage_2"])
def test_strategies_that_part_the_parameters_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match=f"trainer.strategy '{name}' keeps a part of the parameters on each device"):
        runs.experiment(tmp_path, {"trainer": {"strategy": name}}).check()


@pytest.mark.parametrize("given", [[{"class_path": "LearningRateMonitor"}], {"class_path": "LearningRateMonitor"}])
def test_callbacks_of_the_users_own_are_called(tmp_path: Path, given: Any) -> None:
    run = done(runs.experiment(tmp_path, {"trainer": {"callbacks": given}}))
    assert "lr-AdamW" in (run.folder / "metrics.csv").read_text().split("\n")[0]


FULL = ("--model.tuning", "Full", "--model.tuning.dropout", "false", "--model.tuning.learning_rate", "1e-3")


@pytest.mark.parametrize(
    ("model", "answer"), [("PatternTuning", ("Words",)), ("FineTuning", ("Head", "--model.answer.dropout", "0"))]
)
def test_two_devices_give_what_one_gives(tmp_path: Path, model: str, answer: tuple[str, ...]) -> None:
    folder = runs.on_two_devices(tmp_path / "two", model, *FULL, "--model.answer", *answer)
    two = json.loads((folder / "record.json").read_text())
    one = done(runs.experiment(tmp_path / "one", two["settings"]))
    assert two["settings"] == one.record["settings"], "a finished run stays finished on another number of devices"
    assert two["data"] == one.record["data"]
    found = runs.log_probabilities(folder)
    assert len(found) == 16
    assert torch.allclose(found, runs.log_probabilities(one.folder), atol=1e-5)
    for key in ("steps", "trained_parameters", "stored_bytes"):
        assert two["cost"][key] == one.record["cost"][key]
    assert two["cost"]["tokens"]["train"] == one.record["cost"]["tokens"]["train"], "counted over both"
    assert two["cost"]["model_calls"] == one.record["cost"]["model_calls"] + 3 * 6, (
        "every device validates, three times"
    )


def test_two_devices_that_cannot_share_evenly_give_what_one_gives(tmp_path: Path) -> None:
    """Six examples in batches of four: in two parts on each device, the last batch of two leaves two parts without a row."""
    folder = runs.on_two_devices(tmp_path / "two", "PatternTuning", *FULL, "--micro_batches", "2")
    two = json.loads((folder / "record.json").read_text())
    assert two["cost"]["steps"] == 6
    one = done(runs.experiment(tmp_path / "one", merged(two["settings"], {"micro_batches": 1})))
    assert torch.allclose(runs.log_probabilities(folder), runs.log_probabilities(one.folder), atol=1e-5)
