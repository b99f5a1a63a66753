"""Predictions read back: of runs, and of folders in which something is wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prompt_lab.errors import LabError
from prompt_lab.reporting import outcomes
from prompt_lab.reporting.outcomes import check_items, read_outcome, read_outcomes, read_outcomes_loudly, scored
from prompt_lab.statistics.differences import compare
from prompt_lab.statistics.intervals import interval
from prompt_lab.tasks.poles import mixed

import runs

OWN = """
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files

class Shares(Files):
    pass

TASK = Task(
    source=Files(train="{folder}/train.jsonl", test="{folder}/test.jsonl"),
    labels=("dark", "bright"), label_words={{"dark": ("bad",), "bright": ("good",)}},
    templates=("{{text_a}} It was {{mask}}.",), metric="spearman", bounds=(1.0, 9.0),
)
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a paradigm and a zero-shot one, on the toy task."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        runs.record(folder, {"data": {"seed": seed}, "trainer": {"max_steps": 1}})
    runs.record(folder, {"model": {"class_path": "ZeroShot"}, "data": {"k": 0, "seed": 0}})
    return folder


@pytest.fixture
def run(out: Path, tmp_path: Path) -> Path:
    """A copy of one run, to spoil."""
    return Path(shutil.copytree(next(out.rglob("k2/seed0")), tmp_path / "run"))


def changed(path: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Predictions with a change."""
    rows = runs.lines(path)
    change(rows)
    path.write_text("\n".join(map(json.dumps, rows)))


def test_outcomes_hold_what_was_predicted(out: Path) -> None:
    found = read_outcomes(out)
    assert [(o.record["paradigm"], o.record["split_seed"]) for o in found] == [
        ("pattern_tuning", 0), ("pattern_tuning", 1), ("zero_shot", 0),
    ]  # fmt: skip
    for outcome in found:
        rows = runs.lines(outcome.folder / "predictions.jsonl")
        assert outcome.keys == tuple(r["key"] for r in rows)
        assert outcome.logp_NC.tolist() == [r["log_probabilities"] for r in rows]
        assert [outcome.labels[c] for c in outcome.label_N] == [r["label"] for r in rows]
        assert outcome.right_N.tolist() == [float(r["label"] == r["predicted"]) for r in rows]
        assert outcome.score() == pytest.approx(outcome.record["scores"]["test/acc"])
        assert outcome.score(np.array([0, 0, 1])) == pytest.approx((2 * outcome.right_N[0] + outcome.right_N[1]) / 3)
        assert outcome.number_N is None
    check_items(found)


def test_runs_become_scores_by_seed_and_item(out: Path) -> None:
    first, second, none = read_outcomes(out)
    tuned = scored([second, first])
    assert tuned.seeds == (0, 1)
    assert tuned.score_S.tolist() == pytest.approx([first.score(), second.score()])
    assert scored([none]).seeds == (), "where nothing is drawn, no seed plays a role"
    assert scored([first]).seeds == (0,)
    assert compare(tuned, scored([none])).seeds == 2
    assert interval(tuned).over == "seeds and items"


def test_runs_without_examples_that_differ_have_seeds(out: Path, tmp_path: Path) -> None:
    none = next(o for o in read_outcomes(out) if o.record["k"] == 0)
    again = outcomes.Outcome(**{**vars(none), "record": {**none.record, "split_seed": 1}})
    assert scored([none, again]).seeds == ()
    other = outcomes.Outcome(**{**vars(again), "logp_NC": again.logp_NC[:, ::-1]})
    assert scored([none, other]).seeds == (0, 1)


def test_other_items_are_never_laid_beside_each_other(out: Path) -> None:
    first, second, _ = read_outcomes(out)
    turned = outcomes.Outcome(**{**vars(second), "keys": second.keys[::-1]})
    with pytest.raises(LabError, match=r"seed0 and .*seed1 cannot be laid beside each other: their test items differ"):
        scored([first, turned])
    named = outcomes.Outcome(**{**vars(second), "record": {**second.record, "metric": "test/mcc"}})
    with pytest.raises(LabError, match="their metrics differ"):
        scored([first, named])
    with pytest.raises(LabError, match="a seed stands twice"):
        scored([first, first])
    with pytest.raises(LabError, match="no outcomes"):
        scored([])


def _all_right(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        row["label"] = row["predicted"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.pop(), r"\d+ test items, but \d+ in the record"),
        (_all_right, r"they give test/acc [\d.]+, but the record says"),
        (lambda rows: rows[1].update(predicted="no label"), "not the most probable one, first at the key"),
        (lambda rows: rows[1].update(label="no label"), "KeyError: 'no label'"),
        (lambda rows: rows[1].pop("log_probabilities"), "KeyError: 'log_probabilities'"),
        (lambda rows: rows[1]["log_probabilities"].pop(), "ValueError"),
        (lambda rows: rows.clear(), "cannot be used"),
    ],
)
def test_predictions_that_are_not_those_of_the_record_are_refused(run: Path, change: Any, said: str) -> None:
    path = run / "predictions.jsonl"
    changed(path, change)
    with pytest.raises(LabError, match=said) as error:
        read_outcome(run)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (
            {"metric": "test/luck", "scores": {"test/luck": 0.5}},
            "predictions.jsonl cannot be used .*unknown metric 'luck'",
        ),
        ({"recall_per_class": {"negative": "high"}}, "recall_per_class.negative must be a whole number or a number"),
        ({"settings": {"data": None}, "recall_per_class": {}}, "settings.data must be a mapping; it is null"),
        ({"data": []}, "data must be a mapping"),
    ],
)
def test_a_record_that_is_corrupt_inside_is_one_error(run: Path, part: dict[str, Any], said: str) -> None:
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | part))
    with pytest.raises(LabError, match=said):
        read_outcome(run)


def test_what_cannot_be_used_is_named_and_the_others_are_read(out: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(out, tmp_path / "runs"))
    paths = sorted(copy.rglob("predictions.jsonl"))
    paths[0].write_text(paths[0].read_text()[:-40])
    paths[1].unlink()
    found, problems = read_outcomes_loudly(copy)
    assert [o.record["paradigm"] for o in found] == ["zero_shot"]
    assert [str(paths[0]) in problems[0], str(paths[1]) in problems[1], "FileNotFoundError" in problems[1]] == [
        True
    ] * 3
    with pytest.raises(LabError, match="cannot be used"):
        read_outcomes(copy)


def test_a_label_without_test_items_is_named_by_the_task(run: Path) -> None:
    outcome = read_outcome(run)
    record = json.loads((run / "record.json").read_text())
    record["recall_per_class"].pop(outcome.labels[0])
    (run / "record.json").write_text(json.dumps(record))
    assert read_outcome(run).labels == outcome.labels


def test_numbers_and_their_poles(tmp_path: Path) -> None:
    rows = [
        {"text_a": " ".join(("bad", "good")[n >> i & 1] for i in range(8)), "label": 1 + n.bit_count()}
        for n in range(60)
    ]
    for name, part in {"train": rows[:40], "test": rows[40:]}.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)))
    (tmp_path / "shares.py").write_text(OWN.format(folder=tmp_path))
    change = {"model": {"class_path": "FineTuning"}, "data": {"task": str(tmp_path / "shares.py"), "k": 2}}
    runs.record(tmp_path / "out", change)
    (outcome,) = read_outcomes(tmp_path / "out")
    assert outcome.bounds == (1.0, 9.0)
    assert outcome.number_N is not None
    assert outcome.number_N.tolist() == [r["label"] for r in rows[40:]]
    assert outcome.metric == "spearman"
    test = {k: v for k, v in outcome.record["scores"].items() if k.startswith("test/")}
    assert outcomes.recomputed(outcome) == test
    assert scored([outcome]).mean == pytest.approx(test["test/spearman"], abs=1e-5)


@pytest.mark.parametrize("bounds", [(0.0, 5.0), (-1.0, 1.0), (1.0, 9.0), (0.0, 0.25), (1.5, 1000.0), (3.14159, 6.5)])
@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4])
def test_poles_are_the_roundest_that_fit(bounds: tuple[float, float], spread: float) -> None:
    share_N = 0.5 + spread * (np.random.default_rng(0).random(50) - 0.5)
    said = np.array([mixed(share, bounds) for share in share_N])
    assert outcomes._bounds(np.log(np.stack([1 - share_N, share_N], 1)), said) == pytest.approx(bounds, rel=1e-3)
    if bounds[0] != 3.14159:
        assert outcomes._bounds(np.log(np.stack([1 - share_N, share_N], 1)), said) == bounds


def test_where_one_number_is_said_of_all_any_poles_will_do() -> None:
    low, high = outcomes._bounds(np.log(np.full((3, 2), 0.5)), np.full(3, 2.5))
    assert low + (high - low) * 0.5 == pytest.approx(2.5)
