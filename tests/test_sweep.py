"""A local sweep: as many settings for every paradigm, chosen by validation; nothing is lost or done twice."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from prompt_lab import cli, suite
from prompt_lab.errors import LabError
from prompt_lab.reporting import files
from prompt_lab.tracking.sweeps import file, outcome, picture, proposing, search
from prompt_lab.tracking.sweeps.proposing import propose
from prompt_lab.tracking.sweeps.search import Search, Trial
from prompt_lab.tracking.sweeps.space import parameter

import runs

RATE = "model.tuning.init_args.learning_rate"


def sweep_file(folder: Path, **changes: Any) -> Path:
    """A sweep over two paradigms on the toy task."""
    base = runs.write(folder / "base.yaml", runs.BASE)
    full = {"tuning": {"class_path": "Full"}}
    configs = [
        str(runs.write(folder / f"{name}.yaml", {"model": {"class_path": runs.MODELS[name], "init_args": own}}))
        for name, own in (("fine_tuning", full), ("pattern_tuning", full))
    ]
    parameters = {
        "config": {"values": configs}, "data.seed": {"values": [0, 1]},
        RATE: {"distribution": "log_uniform_values", "min": 1.0e-4, "max": 1.0e-1}, **changes.pop("parameters", {}),
    }  # fmt: skip
    tree = {
        "method": "random", "metric": {"name": "val/acc", "goal": "maximize"},
        "command": ["prompt-lab", "fit", f"--config={base}", "${args}"], "parameters": parameters, **changes,
    }  # fmt: skip
    return runs.write(folder / "mine.yaml", tree)


def sweep(path: Path, out: Path, *more: str) -> int:
    return cli.main(["sweep", str(path), "--out", str(out), *more])


def summary(out: Path) -> dict[str, Any]:
    return json.loads((out / "mine" / "sweep.json").read_text())


def stamps(out: Path) -> dict[Path, int]:
    return {p.relative_to(out): p.stat().st_mtime_ns for p in out.rglob("record.json")}


def trial(paradigm: str, number: int, scores: list[float], planned: int = 2, **settings: Any) -> Trial:
    records = [{"split_seed": seed, "scores": {"val/acc": score}} for seed, score in enumerate(scores)]
    return Trial(paradigm, number, {}, settings, records, planned, "val/acc")


# ------------------------------------------------------------------------------------------------- what is proposed


def test_a_grid_is_gone_through_in_the_order_of_the_file() -> None:
    searched = [parameter("a", {"values": [1, 2]}), parameter("b", {"values": ["x", "y", "z"]})]
    past: list[Any] = []
    for _ in range(6):
        past.append((propose("grid", searched, past, "maximize"), None))
    found = [tuple(one.value(drawn[one.name]) for one in searched) for drawn, _ in past]
    assert found == [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")]


def draws(method: Any, goal: str, number: int) -> list[float]:
    """Decimal exponents of a learning rate whose score, or loss, is best at 10 ** -3."""
    one = parameter("lr", {"distribution": "log_uniform_values", "min": 1.0e-6, "max": 1.0})
    sign = 1 if goal == "minimize" else -1
    past: list[tuple[dict[str, float], float | None]] = []
    for _ in range(number):
        drawn = propose(method, [one], past, goal)  # type: ignore[arg-type]
        past.append((drawn, sign * abs(math.log10(drawn["lr"]) + 3)))
    return [math.log10(drawn["lr"]) for drawn, _ in past]


def test_random_draws_differ_and_cover_the_range() -> None:
    found = draws("random", "maximize", 12)
    assert len({round(x, 5) for x in found}) == 12
    assert min(found) < -4
    assert max(found) > -1.5
    assert found == draws("random", "minimize", 12), "whatever they scored, and so the same for every paradigm"


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_bayes_comes_near_the_best(goal: str) -> None:
    late = draws("bayes", goal, 20)[10:]
    assert sum(abs(x + 3) < 1 for x in late) >= 6, late
    assert draws("bayes", goal, 5) == draws("random", goal, 5), "the first say nothing yet"


# ------------------------------------------------------------------------------------------------- what is chosen


@pytest.mark.parametrize(("goal", "number"), [("maximize", 1), ("minimize", 0)])
def test_the_best_mean_over_all_seeds_is_chosen(tmp_path: Path, goal: str, number: int) -> None:
    path = sweep_file(tmp_path, metric={"name": "val/acc", "goal": goal})
    tried = [
        trial("fine_tuning", 0, [0.5, 0.5]), trial("fine_tuning", 1, [0.4, 0.9]), trial("fine_tuning", 2, [0.65, 0.65]),
        trial("fine_tuning", 3, [1.0]), trial("fine_tuning", 4, [0.0]), trial("pattern_tuning", 0, []),
    ]  # fmt: skip
    best = outcome.best(tried, file.read(path))
    assert best["fine_tuning"] is tried[number], "the first of equals; one whose second run failed is none"
    assert best["pattern_tuning"] is None


# ------------------------------------------------------------------------------------------------- the whole path


def test_every_paradigm_gets_as_many_settings_and_the_best_by_validation_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = sweep_file(tmp_path), tmp_path / "out"
    assert sweep(path, out, "--trials", "1") == 0
    before = stamps(out)
    assert (len(before), summary(out)["trials"]) == (4, 1)
    assert sweep(path, out, "--trials", "2") == 0
    assert before.items() <= stamps(out).items(), "more settings may be asked for, and what is there stays"
    found, records = summary(out), files.read_records(out)
    assert len(records) == 2 * 2 * 2
    assert sorted(record["trials"] for record in records) == [1] * 4 + [2] * 4, "as many as were planned at the time"
    assert found["finished"]
    assert (found["trials"], found["seeds"], found["labels_validation"]) == (2, [0, 1], 4)
    for name, own in found["paradigms"].items():
        means: dict[str, float] = {}
        for record in records:
            if record["paradigm"].startswith(f"{name}."):
                means[record["paradigm"]] = means.get(record["paradigm"], 0) + record["scores"]["val/acc"] / 2
        assert len(means) == own["tried"] == 2
        assert own["best"]["mean"] == pytest.approx(max(means.values()))
        rate = own["best"]["settings"][RATE]
        assert own["best"]["use"] == [f"--config={tmp_path / name}.yaml", f"--{RATE}={rate}", "--trials=2"]
        assert means[f"{name}.learning_rate={rate:g}"] == pytest.approx(max(means.values()))
    rates = [[row["settings"][RATE] for row in found["all"] if row["paradigm"] == name] for name in found["paradigms"]]
    assert rates[0] == rates[1], "the same settings for both"
    said = capsys.readouterr()
    assert "test/" not in said.out + said.err, "who chooses does not see the test"
    assert "2 settings tried for each paradigm, chosen by val/acc on 4 validation examples" in said.out
    assert (out / "mine" / "score_against_settings.png").stat().st_size > 5_000


def test_a_sweep_that_was_stopped_goes_on_as_it_would_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposing, "STARTUP", 1)
    path = sweep_file(
        tmp_path, method="bayes", parameters={"data.seed": {"value": 0}, "trainer.max_steps": {"value": 1}}
    )
    out, whole = tmp_path / "out", tmp_path / "whole"
    real, left = suite.run, 3

    def stopped(cells: Any, bars: Any) -> Any:
        nonlocal left
        left -= 1
        return real(cells, bars) if left else suite.Outcome(stopped=True)

    with monkeypatch.context() as once:
        once.setattr(suite, "run", stopped)
        assert sweep(path, out, "--trials", "3") == 130
    before = stamps(out)
    assert len(before) == 2
    assert not summary(out)["finished"]
    assert sweep(path, out, "--trials", "3") == 0
    assert sweep(path, whole, "--trials", "3") == 0
    assert {p: t for p, t in stamps(out).items() if p in before} == before, "what was finished was not made again"
    assert set(stamps(out)) == set(stamps(whole)), "and the rest is what it would have been"
    monkeypatch.setattr(search, "propose", lambda *_: pytest.fail("what was drawn is drawn again"))
    assert sweep(path, out, "--trials", "3") == 0


def test_a_run_that_fails_costs_its_paradigm_the_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raising = runs.write(tmp_path / "raises.yaml", {"model": {"class_path": runs.MODELS["raises"]}})
    parameters = {"config": {"value": str(raising)}, "trainer.max_steps": {"values": [1, 2]}}
    path = sweep_file(tmp_path, method="grid", parameters=parameters)
    tree = json.loads(json.dumps(file.read_yaml(path)))
    del tree["parameters"][RATE]
    runs.write(path, tree)
    assert sweep(path, tmp_path / "out") == 1
    found = summary(tmp_path / "out")["paradigms"]["raises"]
    assert (found["tried"], found["failed"], found["best"]) == (2, 2, None)
    assert "no setting has a score" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ({}, [], "how many settings for each paradigm? Give --trials"),
        ({}, ["--trials", "0"], "at least one trial is needed"),
        (
            {"method": "grid", "parameters": {RATE: {"values": [0.1, 0.2]}}},
            ["--trials", "3"],
            "the grid has 2 settings",
        ),
        ({}, ["--trials", "1", "--set", "trainer.max_steps"], "--set takes KEY=VALUE"),
        ({}, ["--trials", "1", "--set", f"{RATE}=0.1"], "learning_rate is what the sweep itself sets"),
        (
            {"metric": {"name": "val/accuracy", "goal": "maximize"}},
            ["--trials", "1"],
            "Its validation scores: val/acc,",
        ),
        ({}, ["--trials", "1", "--set", "trainer.max_step=3"], "Did you mean 'trainer.max_steps'"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], more: list[str], message: str
) -> None:
    assert sweep(sweep_file(tmp_path, **changes), tmp_path / "out", *more) == 2
    assert message in capsys.readouterr().err


def test_settings_for_all_runs_stand_in_for_the_files_own(tmp_path: Path) -> None:
    sweep = file.read(sweep_file(tmp_path, parameters={"trainer.max_steps": {"value": 200}, "data.k": {"value": 3}}))
    search = Search(sweep, 1, tmp_path / "out", ["trainer.max_steps=7", "data.max_length=32"])
    (cell, other) = search.cells("fine_tuning", {RATE: 0.5})
    assert cell.tree["trainer"]["max_steps"] == 7
    assert (cell.tree["data"]["k"], cell.tree["data"]["max_length"]) == (3, 32)
    assert [one.tree["data"]["seed"] for one in (cell, other)] == [0, 1]
    assert cell.tree["model"]["init_args"]["tuning"]["init_args"]["learning_rate"] == 0.5


def test_a_folder_with_another_sweep_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    Search(file.read(sweep_file(tmp_path)), 1, out)
    with pytest.raises(LabError, match=r"holds another sweep \(metric.goal: maximize, here minimize\)"):
        Search(file.read(sweep_file(tmp_path, metric={"name": "val/acc", "goal": "minimize"})), 1, out)


def test_two_processes_do_not_search_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with files.lock(tmp_path / "out" / "mine").acquire(timeout=0):
        assert sweep(sweep_file(tmp_path), tmp_path / "out", "--trials", "1") == 2
    assert "another process has" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- the picture


def test_the_picture_has_every_mean_and_rings_the_chosen(tmp_path: Path) -> None:
    found = file.read(sweep_file(tmp_path))
    scores = {1e-4: [0.5, 0.6], 1e-3: [0.7, 0.9], 1e-2: [0.5, 0.5]}
    tried = [
        trial(name, number, own, **{RATE: rate})
        for name in found.paradigms for number, (rate, own) in enumerate(scores.items())
    ]  # fmt: skip
    (axis,) = picture.draw(tried, found).axes
    assert axis.get_xscale() == "log"
    left, right = axis.get_xlim()
    assert left < 1e-4 < 1e-1 < right, "the whole range that was searched"
    rings = [line for line in axis.get_lines() if line.get_markersize() == 11]
    at = sorted(float(line.get_xdata()[0]) for line in rings)
    assert [float(line.get_ydata()[0]) for line in rings] == [pytest.approx(80), pytest.approx(80)]
    assert at[0] == pytest.approx(1e-3, rel=0.2)
    assert at[0] < at[1], "paradigms that tried the same stand side by side"
    bars = [one for one in axis.containers if one.has_yerr]
    assert len(bars) == 6


def test_values_that_are_no_numbers_stand_in_a_row(tmp_path: Path) -> None:
    path = sweep_file(
        tmp_path, parameters={RATE: {"value": 0.1}, "model.template": {"values": ["{text_a} {mask}", "none"]}}
    )
    tried = [
        trial("fine_tuning", n, [0.5, n / 2], **{"model.template": t})
        for n, t in enumerate(["{text_a} {mask}", "none"])
    ]
    (axis,) = picture.draw(tried, file.read(path)).axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["{text_a} {mask}", "none"]
