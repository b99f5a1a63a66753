"""`prompt-lab rescore`: scores from stored predictions alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import stored

from prompt_lab import cli
from prompt_lab.reporting import files
from prompt_lab.reporting.rescoring import Again, rescore

import runs


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        runs.record(folder, {"data": {"seed": seed}, "trainer": {"max_steps": 1}})
    return folder


@pytest.fixture
def copy(out: Path, tmp_path: Path) -> Path:
    """The two runs, to spoil."""
    return Path(shutil.copytree(out, tmp_path / "runs"))


def change(record: Path, **scores: float) -> None:
    content = json.loads(record.read_text())
    content["scores"] |= scores
    record.write_text(json.dumps(content))


def test_every_score_of_the_test_is_as_recorded(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rescore", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.count("agrees   toy/pattern_tuning/tiny-masked/k2/seed") == 2
    assert "runs that agree: 2, that do not: 0" in said
    first = rescore(out)[0]
    record = json.loads((first.folder / "record.json").read_text())
    test = {name: value for name, value in record["scores"].items() if name.startswith("test/")}
    assert {one.name: one.recorded for one in first.scores} == test
    assert {one.name: one.found for one in first.scores} == test
    assert len(test) >= 7


def test_a_score_that_differs_is_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = sorted(copy.rglob("record.json"))
    before = first.read_bytes()
    nll = json.loads(second.read_text())["scores"]["test/nll"]
    change(second, **{"test/nll": nll + 2e-5})
    assert cli.main(["rescore", str(copy)]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines() == [f"{second.parent}: test/nll recorded {nll + 2e-5:.6f}, recomputed {nll:.6f}"]
    assert "DIFFERS  toy/pattern_tuning/tiny-masked/k2/seed1" in said.out
    assert first.read_bytes() == before
    change(second, **{"test/nll": nll + 5e-6})
    assert cli.main(["rescore", str(copy)]) == 0


def test_a_run_alone_shows_all_its_scores(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = next(copy.rglob("seed0/record.json"))
    change(record, **{"test/acc": 0.123})
    for given in (record, record.parent):
        assert cli.main(["rescore", str(given)]) == 1
        said = capsys.readouterr().out
        assert "  DIFFERS  test/acc" in said
        assert "  agrees   test/f1_macro" in said


def test_predictions_that_are_missing_or_corrupt_are_named_and_the_others_go_on(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(copy.rglob("seed0/predictions.jsonl"))
    whole = path.read_text()
    for spoil in (lambda: path.write_text(whole[: len(whole) // 2]), path.unlink):
        spoil()
        assert cli.main(["rescore", str(copy)]) == 1
        said = capsys.readouterr()
        assert str(path) in said.err
        assert "agrees   toy/pattern_tuning/tiny-masked/k2/seed1" in said.out
        assert "runs that agree: 1, that do not: 1" in said.out


def test_a_folder_without_runs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rescore", str(tmp_path)]) == 2
    assert "no finished run in or below" in capsys.readouterr().err


def test_stages_that_were_tested_are_scored_again(tmp_path: Path) -> None:
    pet = {**stored.model("Pet", student_steps=1), "score_stages": True, "data": {"k": 2}}
    runs.record(tmp_path, pet, {"trainer": {"max_steps": 1}})
    (found,) = rescore(tmp_path)
    names = {one.name for one in found.scores}
    assert found.agrees
    record = json.loads((found.folder / "record.json").read_text())
    scored = [s for s in record["stages"] if "scores" in s]
    assert scored
    assert {f"{s['name']}: test/acc" for s in scored} <= names
    rows = runs.lines(found.folder / files.STAGES)
    rows[0]["log_probabilities"] = [p[::-1] for p in rows[0]["log_probabilities"]]
    (found.folder / files.STAGES).write_text("\n".join(map(json.dumps, rows)))
    (again,) = rescore(tmp_path)
    assert {one.name.split(": ")[0] for one in again.differing} == {rows[0]["stage"]}
    (found.folder / files.STAGES).write_text("\n".join(map(json.dumps, rows[1:])))
    (short,) = rescore(tmp_path)
    assert short.problem is not None
    assert "stages.jsonl cannot be used" in short.problem


@pytest.mark.parametrize(
    ("recorded", "found", "agrees"),
    [
        (0.5, 0.5, True), (0.5, 0.50001, True), (0.5, 0.50002, False), (None, 0.5, True), (0.5, None, False),
        (float("nan"), float("nan"), True), (float("nan"), 0.5, False),
    ],
)  # fmt: skip
def test_what_agrees(recorded: Any, found: Any, agrees: bool) -> None:
    assert Again("test/acc", recorded, found).agrees is agrees
