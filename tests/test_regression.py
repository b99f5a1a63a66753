"""Regression between two poles: numbers worked out by hand, files with bad rows, and whole runs that learn a number."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from prompt_lab import cli
from prompt_lab.backbones.load import load_reader
from prompt_lab.batch import Example
from prompt_lab.data.cleaning import clean
from prompt_lab.data.encoded import collate
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.data.sampling import draw, fingerprint
from prompt_lab.errors import LabError
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.reporting import scores
from prompt_lab.reporting.regression import Numbers, numbers_of
from prompt_lab.reporting.results import Results
from prompt_lab.tasks import Task, load_task
from prompt_lab.tasks.files import Files
from prompt_lab.tasks.poles import mixed, placed, value
from prompt_lab.tasks.sources import Hub

import runs

STSB = (0.0, 5.0)
POLES = ("dull", "bright")
PAIR = Task(Files(), POLES, {}, (), ("text_a", "text_b"), bounds=STSB, name="pair")
OWN = """
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files

TASK = Task(
    source=Files(train="{folder}/train.jsonl", test="{folder}/{test}.jsonl"),
    labels=("dull", "bright"), label_words={{"dull": ["terrible"], "bright": ["great"]}},
    templates=("{{text_a}} It was {{mask}}.",), metric="pearson", bounds=(1.0, 9.0),
)
"""

# ------------------------------------------------------------------------------------------------- numbers and shares


@pytest.mark.parametrize(
    ("given", "pole", "share"),
    [(0, 0, 0.0), ("5", 1, 1.0), ("1.25", 0, 0.25), (2.49, 0, 0.498), (2.5, 1, 0.5), (" 4 ", 1, 0.8)],
)
def test_a_number_is_a_mixture_of_poles_and_lies_nearer_to_one(given: Any, pole: int, share: float) -> None:
    label, soft = placed(given, STSB)
    assert label == pole
    assert soft == (pytest.approx(1 - share), share)
    assert value(Example({}, label, soft=soft), STSB) == float(given)


def test_bounds_need_not_begin_at_zero() -> None:
    assert placed(-1, (-2, 2)) == (0, (0.75, 0.25))
    assert mixed(0.25, (-2, 2)) == -1
    assert [value(Example({}, pole), (-2, 2)) for pole in (0, 1)] == [-2, 2], (
        "without shares an example stands at its pole"
    )


def test_a_number_of_32_bits_is_the_one_that_was_written() -> None:
    stored = float(torch.tensor(3.8))
    assert stored != 3.8
    assert placed(stored, STSB) == placed("3.8", STSB)


@pytest.mark.parametrize("given", ["", "bright", "3,5", True, None, "nan", math.nan, [1], 10**400])
def test_what_is_no_number(given: Any) -> None:
    with pytest.raises(LabError, match="is no number; numbers from 0 to 5 are asked for"):
        placed(given, STSB)


@pytest.mark.parametrize("given", [-0.1, "5.01", "inf"])
def test_a_number_outside_of_the_bounds(given: Any) -> None:
    with pytest.raises(LabError, match=r"lies outside of the bounds, 0 to 5"):
        placed(given, STSB)


def test_bounds_that_a_task_cannot_have() -> None:
    with pytest.raises(LabError, match=r"two labels, its lower and its upper pole; it has 3"):
        Task(Files(), ("a", "b", "c"), {}, (), bounds=STSB)
    for wrong in ((5.0, 0.0), (1.0, 1.0), (0.0, math.inf)):
        with pytest.raises(LabError, match="bounds are two numbers, the lower one first"):
            Task(Files(), POLES, {}, (), bounds=wrong)
    with pytest.raises(LabError, match="pearson compares numbers; give the task bounds"):
        Task(Files(), POLES, {}, (), metric="pearson")


# ------------------------------------------------------------------------------------------------- reading


def test_files_hold_numbers(tmp_path: Path) -> None:
    rows = [{"text_a": "a", "text_b": "b", "label": 1.25}, {"text_a": "c", "text_b": "d", "label": 5.0}]
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for kind in ("csv", "parquet", "jsonl"):
        read = Files(train=str(tmp_path / f"a.{kind}"), unlabeled=str(tmp_path / f"a.{kind}")).read(PAIR)
        assert [(e.label, e.soft) for e in read["train"]] == [(0, (0.75, 0.25)), (1, (0.0, 1.0))], kind
        assert [(e.label, e.soft) for e in read["unlabeled"]] == [(None, None)] * 2


def test_bad_rows_are_counted_with_their_lines(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("text_a,text_b,label\na,b,4\na,c,6\na,d,\na,e,bright\na,f,nan\n")
    with pytest.raises(LabError) as error:
        Files(train=str(table)).read(PAIR)
    message = str(error.value).replace(str(table), "a.csv")
    assert message.startswith("a.csv cannot be used, 4 problems:")
    assert "a.csv:3: the label '6' lies outside of the bounds, 0 to 5" in message
    assert "a.csv:4: the label is missing" in message
    assert "a.csv:5: the label 'bright' is no number" in message
    assert "a.csv:6: the label 'nan' is no number" in message
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"text_a": "a", "text_b": "b", "label": true}\n{"text_a": "a", "text_b": "b", "label": null}\n')
    with pytest.raises(LabError, match=r"(?s)2 problems.*:1: the label True is no number.*:2: the label is missing"):
        Files(train=str(lines)).read(PAIR)


def hub(folder: Path, values: list[Any]) -> Hub:
    rows = [{"text_a": f"a {i}", "text_b": "b", "label": v} for i, v in enumerate(values)]
    folder.mkdir()
    pd.DataFrame(rows).astype({"label": "float32"}).to_parquet(folder / "train.parquet")
    columns = {name: name for name in ("text_a", "text_b", "label")}
    return Hub(str(folder), columns=columns, splits={"train": "train"})


def test_hub_data_sets_hold_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    read = hub(tmp_path / "glue", [3.8, -1, 0]).read(PAIR)["train"]
    assert [(e.label, e.soft) for e in read] == [(1, (0.24, 0.76)), (0, (1.0, 0.0))], "-1 marks a row without a number"
    below = Task(Files(), POLES, {}, (), ("text_a", "text_b"), bounds=(-1.0, 1.0))
    assert [e.soft for e in hub(tmp_path / "below", [-1, 0]).read(below)["train"]] == [(1.0, 0.0), (0.5, 0.5)]
    with pytest.raises(LabError, match=r"outside:train:1: the label 7.0 lies outside of the bounds, 0 to 5"):
        hub(tmp_path / "outside", [3, 7]).read(PAIR)


def made(number: float, text: str, where: str = "") -> Example:
    return Example({"text_a": text}, *(placed(number, STSB)[:1]), where, placed(number, STSB)[1])


def test_a_text_with_two_numbers_on_one_side_is_refused_in_files_of_ones_own() -> None:
    rows = [made(1.0, "a", "x:1"), made(1.5, "a", "x:2"), made(2.0, "b", "x:3"), made(2.0, "b", "x:4")]
    with pytest.raises(LabError, match="the same text has two labels, 1 problem:\n  x:1 and x:2"):
        clean({"train": rows}, strict=True)
    left, counts = clean({"train": rows}, strict=False)
    assert [e.origin for e in left["train"]] == ["x:3"]
    assert counts == {"conflicting": 2, "duplicates": 1}


def test_k_examples_a_pole_are_drawn_and_the_pool_tells_no_number() -> None:
    pool = [made(i / 10, f"text {i}") for i in range(51)]
    found = draw(pool, POLES, 4, 13)
    assert [e.label for e in found.train] == [0] * 4 + [1] * 4
    assert all(e.soft is not None for e in (*found.train, *found.validation))
    assert {(e.label, e.soft) for e in found.unlabeled} == {(None, None)}
    everything = draw(pool, POLES, "full", 13)
    assert len(everything.train) + len(everything.validation) == 51
    moved = [made(value(e, STSB) + 0.1 * (e.label == 0), e.fields["text_a"]) for e in found.train]
    assert fingerprint(moved) != fingerprint(found.train)


# ------------------------------------------------------------------------------------------------- loss


def test_the_loss_is_the_divergence_of_the_papers_up_to_a_constant() -> None:
    """At 4.0 of 5, the poles have .2 and .8; a model that says .5 and .5 is off by log 2 - H(.2, .8) = 0.1927 nats."""
    module = PatternTuning().prepare(load_task(runs.TOY), load_reader("tiny-masked"))
    examples = [made(4.0, "a"), made(1.0, "b")]
    batch = collate(module.encoder(FewShotData(runs.TOY)).encode(examples), module.reader)
    assert batch.soft is not None
    assert batch.soft.tolist() == [pytest.approx([0.2, 0.8]), pytest.approx([0.8, 0.2])]
    assert float(module.loss(torch.zeros(2, 2), batch)) == pytest.approx(math.log(2))
    scores_BC = torch.tensor([[1.0, 0.3], [-0.7, 2.0]], requires_grad=True)
    divergence = F.kl_div(scores_BC.log_softmax(1), batch.soft, reduction="batchmean")
    entropy = -(0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    loss = module.loss(scores_BC, batch)
    assert (loss - divergence).item() == pytest.approx(entropy)
    (one,), (other,) = (torch.autograd.grad(x, scores_BC, retain_graph=True) for x in (loss, divergence))
    assert torch.allclose(one, other)
    assert math.log(2) - entropy == pytest.approx(0.1927, abs=1e-4)


# ------------------------------------------------------------------------------------------------- scores


def found(predicted: list[float], true: list[float], bounds: tuple[float, float] = STSB) -> dict[str, float]:
    """The scores of numbers that a model says."""
    share_N = (torch.tensor(predicted, dtype=torch.float64) - bounds[0]) / (bounds[1] - bounds[0])
    numbers = Numbers(torch.tensor(true, dtype=torch.float64), bounds)
    middle = sum(bounds) / 2
    return scores.scores(
        torch.stack([1 - share_N, share_N], 1).log(), torch.tensor([int(t >= middle) for t in true]), "test/", numbers
    )


def test_scores_worked_out_by_hand() -> None:
    # deviations -1.5 -.5 .5 1.5 and -1 -1.5 1.5 1 (around 2.5): 1.5 + .75 + .75 + 1.5 = 4.5, squares 5 and 6.5
    score = found([1, 2, 3, 4], [1.5, 1, 4, 3.5])
    assert score["test/pearson"] == pytest.approx(4.5 / math.sqrt(5 * 6.5), abs=1e-6)
    # ranks 1 2 3 4 and 2 1 4 3: 1 - 6 * 4 / (4 * 15)
    assert score["test/spearman"] == pytest.approx(0.6)
    assert score["test/mse"] == pytest.approx((0.25 + 1 + 1 + 0.25) / 4)
    assert score["test/acc"] == 1.0, "of the nearer poles"


def test_the_error_is_in_the_tasks_own_units() -> None:
    assert found([1, 9], [3, 9], (1.0, 9.0))["test/mse"] == pytest.approx(2.0)


def test_equal_numbers_share_a_rank() -> None:
    # ranks 1.5 1.5 3 and 1 2 3: deviations -.5 -.5 1 and -1 0 1
    assert found([1, 1, 3], [1, 2, 3])["test/spearman"] == pytest.approx(1.5 / math.sqrt(1.5 * 2), abs=1e-5)


@pytest.mark.parametrize("predicted", [[2.0, 2.0, 2.0], [2.0, 2.0 + 1e-7, 2.0 - 1e-7]])
def test_one_number_for_everything_goes_together_with_nothing(predicted: list[float]) -> None:
    score = found(predicted, [1, 2, 3])
    assert (score["test/pearson"], score["test/spearman"]) == (0.0, 0.0)
    assert score["test/mse"] == pytest.approx(2 / 3)
    assert scores.collapsed(score, majority=0.1), "a correlation of 0 is no better than guessing, whatever the accuracy"
    same = found([1, 2, 3], [2, 2, 2])
    assert (same["test/pearson"], same["test/spearman"]) == (0.0, 0.0), "nor can anything go together with one number"


def test_a_run_with_a_correlation_has_not_collapsed_and_one_against_the_truth_has() -> None:
    assert not scores.collapsed(found([1, 2, 3], [1, 2, 3]), majority=1.0)
    assert scores.collapsed(found([3, 2, 1], [1, 2, 3]), majority=0.0)


def test_tasks_without_numbers_have_no_such_scores() -> None:
    assert numbers_of([Example({}, 1)], None) is None
    score = scores.scores(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([1]), "")
    assert not {"pearson", "spearman", "mse"} & set(score)


# ------------------------------------------------------------------------------------------------- whole runs


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """How much of a text is bright, from 1 (none of its eight words) to 9; in the sealed copy the test says the opposite."""
    folder = tmp_path_factory.mktemp("shares")
    numbers = random.Random(1).sample(range(256), 200)
    rows = [
        {"text_a": " ".join(("bad", "good")[n >> i & 1] for i in range(8)), "label": 1 + n.bit_count()} for n in numbers
    ]
    turned = [{**row, "label": 10 - row["label"]} for row in rows]
    for name, part in {"train": rows[:140], "test": rows[140:], "turned": turned[140:]}.items():
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)))
    for name, test in {"shares": "test", "sealed": "turned"}.items():
        (folder / f"{name}.py").write_text(OWN.format(folder=folder, test=test))
    return folder / "shares.py"


def changes(task: Path, name: str, **trainer: Any) -> dict[str, Any]:
    model = {"class_path": name, "init_args": {"tuning": {"class_path": "Full", "init_args": {"learning_rate": 3e-3}}}}
    data = {"task": str(task), "k": 16, "batch_size": 16}
    return {"model": model, "data": data, "trainer": {"max_steps": 120, **trainer}}


@pytest.mark.parametrize("name", ["PatternTuning", "FineTuning"])
def test_training_learns_the_number_of_texts_it_has_not_seen(task: Path, tmp_path: Path, name: str) -> None:
    experiment = runs.experiment(tmp_path, changes(task, name))
    record = runs.execute(experiment, runs.Bars())
    assert record["metric"] == "test/pearson"
    assert not record["collapsed"]
    assert record["scores"]["test/pearson"] > 0.8
    assert record["scores"]["test/spearman"] > 0.8
    assert record["scores"]["test/mse"] < 1.5, "naming the mean always is off by the variance, about 2"
    assert {"val/pearson", "val/mse"} <= set(record["scores"])

    rows = runs.lines(experiment.folder / "predictions.jsonl")
    logp_NC = torch.tensor([r["log_probabilities"] for r in rows])
    numbers = Numbers(torch.tensor([r["value"] for r in rows], dtype=torch.float64), (1.0, 9.0))
    label_N = torch.tensor([POLES.index(r["label"]) for r in rows])
    test = {k: v for k, v in record["scores"].items() if k.startswith("test/")}
    assert scores.scores(logp_NC, label_N, "test/", numbers) == test
    assert [r["predicted_value"] for r in rows] == pytest.approx(numbers.predicted(logp_NC).tolist(), abs=1e-5)
    given = {r["text_a"]: r["label"] for r in runs.lines(task.parent / "train.jsonl")}
    assert {r["text_a"]: r["value"] for r in runs.lines(experiment.folder / "examples.jsonl")}.items() <= given.items()


def test_wrong_test_numbers_change_nothing_but_the_test_scores(task: Path, tmp_path: Path) -> None:
    found = []
    for name in ("shares", "sealed"):
        experiment = runs.experiment(
            tmp_path / name, {"save_model": True}, changes(task.with_stem(name), "PatternTuning", max_steps=5)
        )
        record = runs.execute(experiment, runs.Bars())
        rows = runs.lines(experiment.folder / "predictions.jsonl")
        said = [(r["key"], r["log_probabilities"], r["predicted_value"]) for r in rows]
        found.append((record, said, load_file(experiment.folder / "delta.safetensors")))
    (honest, said, moved), (planted, said_again, moved_again) = found
    assert said == said_again
    assert all(torch.equal(moved[name], moved_again[name]) for name in moved | moved_again)
    for key, score in honest["scores"].items():
        if key.startswith("val/"):
            assert score == planted["scores"][key]
    assert honest["scores"]["test/pearson"] == pytest.approx(-planted["scores"]["test/pearson"], abs=1e-5)
    assert honest["scores"]["test/pearson"] != 0


def test_test_batches_carry_neither_numbers_nor_poles(task: Path) -> None:
    data = FewShotData(str(task), k=2, max_length=64)
    module = PatternTuning().prepare(data.task, load_reader("tiny-masked"))
    (batch,) = data.evaluation(module.encoder(data), data.sealed_test())
    assert batch.soft is None
    assert set(batch.label.tolist()) == {-100}


def test_all_examples_and_no_examples(task: Path, tmp_path: Path) -> None:
    full = runs.record(tmp_path, changes(task, "FineTuning", max_steps=2), {"data": {"k": "full"}})
    assert full["data"]["train"] + full["data"]["validation"] == 140
    zero = {"model": {"class_path": "ZeroShot"}, "data": {"task": str(task), "k": 0}}
    none = runs.record(tmp_path, zero)
    assert "test/pearson" in none["scores"]
    assert "val/pearson" not in none["scores"]


def test_the_table_of_predictions_shows_both_numbers(task: Path) -> None:
    class Seen:
        def summarize(self, values: Any) -> None: ...

        def table(self, name: str, columns: list[str], rows: list[list[Any]]) -> None:
            self.columns, self.rows = columns, rows

    data, seen = FewShotData(str(task), k=2), Seen()
    logp_NC = torch.tensor([[0.75, 0.25]] * len(data.sealed_test())).log()
    nothing = {"k": 2, "scores": {}, "cost": {}, "budget": {}, "collapsed": True}
    Results(None, data, logp_NC, logp_NC[:0]).log(nothing, [], [seen])  # type: ignore[arg-type, list-item]
    assert seen.columns == ["text_a", "label", "predicted", "probability", "value", "predicted_value"]
    first = data.sealed_test()[0]
    assert seen.rows[0][3:] == [pytest.approx(0.75), value(first, (1.0, 9.0)), pytest.approx(3.0)]


def test_show_says_the_number(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "--data.task", str(task), "--backbone", "tiny-masked"]) == 0
    assert ", nearer to bright, 1" in capsys.readouterr().out
    assert cli.main(["list", "tasks"]) == 0
    assert "  How much two sentences mean the same, from 0 to 5: STS-B of GLUE.\n" in capsys.readouterr().out
