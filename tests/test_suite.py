"""A grid of runs: what it expands to, and that nothing is lost, done twice or left half done."""

import gc
import json
import signal
import subprocess
import sys
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from prompt_lab import cli, grid, running
from prompt_lab.backbones import load, tiny
from prompt_lab.errors import LabError
from prompt_lab.reporting import files
from prompt_lab.testing.subject import FLIPPED, TOY

import runs
from own_paradigms import Raises


def cells(path: Path, out: Path | str = "out") -> dict[str, dict[str, Any]]:
    """The settings of each cell by its title."""
    return {c.title: c.tree for c in grid.expand(path, str(out))}


def compare(path: Path, out: Path) -> int:
    return cli.main(["compare", str(path), "--out", str(out)])


def stamps(out: Path) -> dict[Path, int]:
    """When each record was written."""
    return {p: p.stat().st_mtime_ns for p in out.rglob("record.json")}


# ------------------------------------------------------------------------------------------------- expansion


def test_expands_to_the_whole_grid(tmp_path: Path) -> None:
    path = runs.suite(
        tmp_path, paradigms=["pattern_tuning", "fine_tuning"], backbones=["tiny-masked", "tiny-causal"], k=[2, "full"],
        seeds=[0, 1],
    )  # fmt: skip
    found = cells(path)
    assert len(found) == 2 * 2 * 2 * 2
    assert found["toy fine_tuning tiny-causal kfull seed1"]["data"]["seed"] == 1
    backbones = [tree["backbone"] for tree in found.values()]
    assert backbones == sorted(backbones, reverse=True), "backbone by backbone, so that each is loaded once"


def test_k_0_runs_once(tmp_path: Path) -> None:
    path = runs.suite(tmp_path, paradigms=["zero_shot", "pattern_tuning"], k=[2, 4], seeds=[13, 21])
    titles = [t for t in cells(path) if "zero_shot" in t]
    assert titles == ["toy zero_shot tiny-masked k0 seed13"], "nothing is drawn, so one seed says it all"
    assert len(cells(path)) == 1 + 4


def test_later_settings_win(tmp_path: Path) -> None:
    """Base, settings of all cells, task, the grid's own values, paradigm."""
    path = runs.suite(
        tmp_path, k=[4],
        settings={"data": {"max_length": 1, "batch_size": 1, "test_size": 1, "k": 1}, "select": "dev_k"},
        tasks=[{TOY: {"data": {"batch_size": 2, "test_size": 2, "k": 2}}}],
        paradigms=[{"own": {"config": "pattern_tuning", "data": {"test_size": 3}}}, {"none": {"config": "zero_shot"}}],
    )  # fmt: skip
    found = cells(path)
    tree = found["toy own tiny-masked k4 seed0"]
    data = {name: tree["data"][name] for name in ("max_length", "batch_size", "k", "test_size")}
    assert data == {"max_length": 1, "batch_size": 2, "k": 4, "test_size": 3}
    assert tree["trainer"] == runs.TRAINER, "from the base"
    assert tree["select"] == "dev_k"
    assert "toy none tiny-masked k0 seed0" in found, "the paradigm's own k"


def test_a_paradigm_under_another_name(tmp_path: Path) -> None:
    own = runs.write(tmp_path / "mine.yaml", {"model": {"class_path": "FineTuning"}})
    other = {"config": "pattern_tuning", "model": {"init_args": {"template": 1}}}
    path = runs.suite(tmp_path, paradigms=["pattern_tuning", {"mine": {"config": "../mine.yaml"}}, {"other": other}])
    assert own.exists()
    models = {tree["name"]: tree["model"] for tree in cells(path).values()}
    assert models["mine"] == {"class_path": "FineTuning"}
    assert models["other"] == {"class_path": "PatternTuning", "init_args": {"template": 1}}
    assert models["pattern_tuning"] == {"class_path": "PatternTuning"}


def test_seed_and_k_are_filled_into_file_names(tmp_path: Path) -> None:
    files = {"train": "k{k}-{seed}/train.csv", "test": "test.csv", "allow_overlap": True}
    path = runs.suite(tmp_path, tasks=[{TOY: {"data": {"files": files}}}], k=[2, 4], seeds=[13, 21])
    found = cells(path)
    assert found["toy pattern_tuning tiny-masked k4 seed21"]["data"]["files"]["train"] == "k4-21/train.csv"
    trains = {tree["data"]["files"]["train"] for tree in found.values()}
    assert len(trains) == 4
    assert all(tree["data"]["files"]["test"] == "test.csv" for tree in found.values())


def test_ready_made_split_files_are_drawn_as_they_are(tmp_path: Path) -> None:
    rows = {
        s: [(f"{word} film {s}", label) for label, word in (("negative", "dull"), ("positive", "rich"))] for s in "abc"
    }
    for name, part in zip(("13/train", "13/dev", "test"), rows.values(), strict=True):
        runs.write(tmp_path / f"{name}.csv", "text_a,label\n" + "".join(f"{t},{label}\n" for t, label in part))
    files = {s: str(tmp_path / f) for s, f in
             {"train": "{seed}/train.csv", "validation": "{seed}/dev.csv", "test": "test.csv"}.items()}  # fmt: skip
    path = runs.suite(tmp_path, tasks=[{TOY: {"data": {"files": files}}}], k=["full"], seeds=[13])
    assert compare(path, tmp_path / "out") == 0
    (record,) = (tmp_path / "out").rglob("record.json")
    found = runs.lines(record.parent / "examples.jsonl")
    drawn = {s: {r["text_a"] for r in found if r["split"] == s} for s in ("train", "validation")}
    assert drawn == {"train": {t for t, _ in rows["a"]}, "validation": {t for t, _ in rows["b"]}}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"paradigm": ["zero_shot"]}, "unknown suite setting 'paradigm'. Did you mean 'paradigms'"),
        ({"paradigms": ["patern_tuning"]}, "unknown paradigm 'patern_tuning'. Did you mean 'pattern_tuning'"),
        ({"paradigms": [{"x": {"config": "zero_shott"}}]}, "unknown paradigm 'zero_shott'. Did you mean 'zero_shot'"),
        ({"paradigms": [{"x": {"config": "../none.yaml"}}]}, "cannot read .*none.yaml"),
        ({"paradigms": [{"a": {}, "b": {}}]}, "a suite's entry is a name or"),
        ({"paradigms": [{"a": [1]}]}, "a suite's entry is a name or"),
        ({"paradigms": [7]}, "paradigms must be a list such as"),
        ({"paradigms": "zero_shot"}, "paradigms must be a list such as"),
        ({"tasks": "sst2"}, "tasks must be a list such as"),
        ({"tasks": []}, "names no tasks"),
        ({"seeds": 13}, "seeds must be a list such as"),
        ({"seeds": ["thirteen"]}, "seeds must be a list such as"),
        ({"seeds": [True]}, "seeds must be a list such as"),
        ({"seeds": []}, "names no seeds"),
        ({"k": 16}, "k must be a list such as"),
        ({"k": [None]}, "k must be a list such as"),
        ({"backbones": [1]}, "backbones must be a list such as"),
        ({"settings": ["x"]}, "settings must hold settings by name"),
        ({"base": "none.yaml"}, "cannot read .*none.yaml"),
        ({"paradigms": ["zero_shot", {"zero_shot": {"select": "dev_k"}}]}, "two runs are called toy zero_shot"),
    ],
    ids=lambda part: str(part)[:40],
)
def test_malformed_suite_is_refused(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        grid.expand(runs.suite(tmp_path, **keys), "out")


def test_a_grid_with_an_impossible_cell_is_refused_before_the_first_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs.suite(tmp_path, paradigms=["pattern_tuning", "fine_tuning"], settings={"data": {"batch_sise": 4}})
    assert compare(path, tmp_path / "out") == 2
    assert "data.batch_sise" in capsys.readouterr().err
    assert not stamps(tmp_path / "out")


def test_dry_run_lists_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = runs.suite(tmp_path, seeds=[0, 1])
    assert cli.main(["compare", str(path), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    assert capsys.readouterr().out.count("to do") == 2
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------- finished cells


def test_finished_cells_are_skipped_without_torch(tmp_path: Path) -> None:
    path, out = runs.suite(tmp_path, paradigms=["zero_shot", "pattern_tuning"], seeds=[0, 1]), tmp_path / "out"
    assert compare(path, out) == 0
    before = stamps(out)
    assert len(before) == 3
    code = (
        "import sys; from prompt_lab import cli; code = cli.main(sys.argv[1:]);"
        "heavy = {'torch', 'lightning', 'transformers', 'wandb'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    command = [sys.executable, "-c", code, "compare", str(path), "--out", str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "3 finished before, 0 run now, 0 failed" in ran.stdout
    assert "pattern_tuning" in ran.stdout, "the table is there all the same"
    assert stamps(out) == before


def test_a_finished_cell_with_other_settings_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert compare(runs.suite(tmp_path), out) == 0
    before = stamps(out)
    capsys.readouterr()
    assert compare(runs.suite(tmp_path, settings={"trainer": {"max_steps": 4}, "select": "dev_k"}), out) == 2
    error = capsys.readouterr().err
    assert "trainer.max_steps: 3, here 4" in error
    assert "select: None, here dev_k" in error
    assert stamps(out) == before


def test_the_same_settings_written_otherwise_stay_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """YAML reads 5e-5 as text, and a class may be named alone."""
    model = {"init_args": {"tuning": {"class_path": "Full", "init_args": {"learning_rate": "5e-5"}}, "answer": "Words"}}
    path = runs.suite(tmp_path, settings={"model": model, "out": "x"})
    for expected in ("0 finished before, 1 run now", "1 finished before, 0 run now"):
        assert compare(path, tmp_path / "out") == 0
        assert expected in capsys.readouterr().out


def test_a_default_that_is_written_out_stays_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert compare(runs.suite(tmp_path), out) == 0
    assert compare(runs.suite(tmp_path, settings={"select": "fixed", "data": {"validation": "k"}}), out) == 0
    assert "1 finished before, 0 run now" in capsys.readouterr().out


def test_fit_and_compare_know_each_others_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = runs.suite(tmp_path)
    (cell,) = grid.expand(path, str(tmp_path / "out"))
    config = runs.write(tmp_path / "config.yaml", cell.tree)
    assert cli.main(["fit", "--config", str(config)]) == 0
    assert compare(path, tmp_path / "out") == 0
    assert "1 finished before, 0 run now" in capsys.readouterr().out


def test_fit_leaves_a_run_to_the_process_that_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cell,) = grid.expand(runs.suite(tmp_path), str(tmp_path / "out"))
    config = runs.write(tmp_path / "config.yaml", cell.tree)
    with files.lock(cell.folder):
        assert cli.main(["fit", "--config", str(config)]) == 2
    assert "another process has" in capsys.readouterr().err
    assert not (cell.folder / files.RECORD).exists()


def test_a_corrupt_record_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = runs.suite(tmp_path), tmp_path / "out"
    assert compare(path, out) == 0
    (record,) = stamps(out)
    record.write_text(record.read_text()[:100])
    assert compare(path, out) == 2
    error = capsys.readouterr().err
    assert str(record) in error
    assert "Delete its folder to run this cell again" in error


# ------------------------------------------------------------------------------------------------- failures


def test_one_failing_cell_does_not_stop_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = runs.suite(tmp_path, paradigms=["raises", "pattern_tuning"], seeds=[0, 7]), tmp_path / "out"
    assert compare(path, out) == 1
    said = capsys.readouterr().out
    assert "0 finished before, 2 run now, 2 failed" in said
    assert "planted failure" in said, "the table says what failed"
    assert {p.parent.parts[-4] for p in stamps(out)} == {"pattern_tuning"}
    failed = json.loads((out / "toy/raises/tiny-masked/k2/seed7/failed.json").read_text())
    where = {key: failed[key] for key in ("task", "paradigm", "backbone", "k", "split_seed")}
    assert where == {"task": "toy", "paradigm": "raises", "backbone": "tiny-masked", "k": 2, "split_seed": 7}
    assert failed["error"] == "RuntimeError: planted failure"
    assert "own_paradigms.py" in failed["traceback"]
    assert failed["settings"]["model"]["class_path"] == "own_paradigms.Raises"

    before = stamps(out)
    monkeypatch.setattr(Raises, "cured", True)
    assert compare(path, out) == 0, "what failed is tried again"
    assert "2 finished before, 2 run now, 0 failed" in capsys.readouterr().out
    assert not list(out.rglob("failed.json"))
    assert {p: stamps(out)[p] for p in before} == before


def test_k_too_large_for_one_cell_fails_that_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = runs.suite(tmp_path, k=[9, 2]), tmp_path / "out"
    assert compare(path, out) == 1
    (failed,) = out.rglob("failed.json")
    assert "k=9 needs 9 training texts of each label, but 'negative' has 8" in json.loads(failed.read_text())["error"]
    assert "1 run now, 1 failed" in capsys.readouterr().out
    assert [p.parent.parts[-2] for p in stamps(out)] == ["k2"]


def test_what_a_failed_run_held_is_let_go_before_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error holds its frames, and they the model: where memory was too small, it would be too small for the next run as well."""
    path = runs.suite(tmp_path, paradigms=["raises", "pattern_tuning"])
    alive: weakref.WeakSet[Raises] = weakref.WeakSet()
    seen: list[int] = []
    real = running.execute

    def begun(self: Raises) -> None:
        alive.add(self)

    def watched(*args: Any, **given: Any) -> Any:
        gc.collect()
        seen.append(len(alive))
        return real(*args, **given)

    monkeypatch.setattr(Raises, "on_fit_start", begun)
    monkeypatch.setattr(running, "execute", watched)
    assert compare(path, tmp_path / "out") == 1
    assert seen == [0, 0]


# ------------------------------------------------------------------------------------------------- one backbone


def test_a_backbone_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    real = tiny.Tiny.model
    monkeypatch.setattr(tiny.Tiny, "model", lambda self: loaded.append(self.name) or real(self))
    load.forget()
    path = runs.suite(tmp_path, tasks=[TOY, FLIPPED], paradigms=["fine_tuning", "pattern_tuning"],
                      backbones=["tiny-masked", "tiny-causal"], settings={"model": {"init_args": {"template": 2}}})  # fmt: skip
    assert compare(path, tmp_path / "out") == 0
    assert len(stamps(tmp_path / "out")) == 8
    assert loaded == ["tiny-masked", "tiny-causal"]


def test_a_run_leaves_nothing_behind_for_the_next(tmp_path: Path) -> None:
    """The same run first, after others, and in a process of its own."""
    lr = {"model": {"init_args": {"tuning": {"class_path": "Full", "init_args": {"learning_rate": 0.01}}}}}
    twins = [{name: {"config": "pattern_tuning"}} for name in ("first", "second")]
    path = runs.suite(tmp_path, paradigms=[twins[0], "fine_tuning", twins[1]], settings=lr, seeds=[3])
    assert compare(path, tmp_path / "out") == 0
    other = runs.Process(tmp_path / "log", "compare", str(path), "--out", str(tmp_path / "fresh"))
    assert other.wait()[0] == 0
    found = [tmp_path / out / f"toy/{name}/tiny-masked/k2/seed3/predictions.jsonl"
             for out in ("out", "fresh") for name in ("first", "second")]  # fmt: skip
    assert len({p.read_text() for p in found}) == 1


def test_settings_for_all_runs_win_over_the_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = runs.suite(tmp_path, paradigms=["fine_tuning", "zero_shot"]), tmp_path / "out"
    given = ["--with", "trainer.max_steps=1", "--with", "data.max_length=32", "--with", "trainer.precision=32-true"]
    assert cli.main(["compare", str(path), "--out", str(out), *given]) == 0
    records = [json.loads(p.read_text()) for p in sorted(out.rglob("record.json"))]
    assert [r["cost"]["steps"] for r in records] == [1, 0]
    assert {(r["config"]["data"]["max_length"], r["config"]["trainer"]["precision"]) for r in records} == {
        (32, "32-true")
    }
    assert cli.main(["compare", str(path), "--out", str(out)]) == 2, "finished with other settings"
    assert "trainer.max_steps: 1, here 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("trainer.max_steps", "--with takes NAME=VALUE, such as --with trainer.max_steps=20"),
        ("data.seed=3", "--with holds for all runs alike, and data.seed is what the suite's grid"),
        ("trainer.max_step=3", "unknown setting 'trainer.max_step'. Did you mean 'trainer.max_steps'"),
        ("trainer.max_steps={", "the value is no YAML"),
    ],
)
def test_refuses_settings_for_all_runs(
    given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", str(runs.suite(tmp_path)), "--out", str(tmp_path / "out"), "--with", given]) == 2
    assert said in capsys.readouterr().err


def test_a_suite_takes_one_device_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lightning would start the suite itself once more for the second device."""
    path = runs.suite(tmp_path, settings={"trainer": {"devices": 2, "strategy": "ddp"}})
    assert compare(path, tmp_path / "out") == 2
    assert "a suite's runs take one device each; this one asks for trainer.devices 2" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- processes


def slow(tmp_path: Path, *, seeds: list[int], steps: int, delay: str = "0.05") -> tuple[Path, Path, dict[str, str]]:
    """A suite whose runs take their time, where its runs leave a mark when they start, and the environment for that."""
    path = runs.suite(tmp_path, paradigms=["slow"], seeds=seeds, settings={"trainer": {"max_steps": steps}})
    marks = tmp_path / "marks"
    marks.touch()
    return path, marks, {"LAB_MARKS": str(marks), "LAB_DELAY": delay}


def half_done(out: Path) -> list[str]:
    """Temporary files of a write that did not end."""
    return [p.name for p in out.rglob(".*") if p.name != ".lock"]


def stopped_in_second_run(tmp_path: Path, number: int) -> tuple[int, str, str]:
    """Send a signal to a suite while it trains its second seed of three; what the process said."""
    path, marks, environment = slow(tmp_path, seeds=[0, 1, 2], steps=6, delay="0.1")
    process = runs.Process(tmp_path / "log", "compare", str(path), "--out", str(tmp_path / "out"), **environment)
    runs.until(lambda: len(marks.read_text().splitlines()) == 2)
    process.signal(number)
    return process.wait()


def test_kill_loses_only_the_run_in_flight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code, _, _ = stopped_in_second_run(tmp_path, signal.SIGKILL)
    assert code == -signal.SIGKILL
    before = stamps(out)
    assert [p.parent.name for p in before] == ["seed0"]
    assert compare(tmp_path / "suites/suite.yaml", out) == 0
    assert "1 finished before, 2 run now, 0 failed" in capsys.readouterr().out
    assert {p: stamps(out)[p] for p in before} == before
    assert len(stamps(out)) == 3


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_with_the_table_of_what_is_done(tmp_path: Path, number: int, exit_code: int) -> None:
    code, said, errors = stopped_in_second_run(tmp_path, number)
    assert code == exit_code, errors
    assert "0 finished before, 1 run now, 0 failed" in said
    assert "comparison.md" in said
    assert "Traceback" not in errors
    assert errors.rstrip().endswith("prompt-lab: stopped")
    assert [p.parent.name for p in stamps(tmp_path / "out")] == ["seed0"]
    assert not list((tmp_path / "out").rglob("failed.json")), "stopped is not failed"
    assert not half_done(tmp_path / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_suite_that_is_predicting(tmp_path: Path, number: int) -> None:
    """Lightning itself minds SIGTERM only where it trains."""
    path, asked = runs.suite(tmp_path, paradigms=["slow_to_answer"], seeds=[0, 1]), tmp_path / "asked"
    environment = {"LAB_ANSWERS": str(asked), "LAB_DELAY": "0.3"}
    process = runs.Process(tmp_path / "log", "compare", str(path), "--out", str(tmp_path / "out"), **environment)
    runs.until(asked.exists)
    process.signal(number)
    code, said, errors = process.wait()
    assert code == 128 + number, errors
    assert "no finished runs" in said
    assert "Traceback" not in errors
    assert not list((tmp_path / "out").rglob("failed.json")), "stopped is not failed"


def test_two_suites_on_one_folder_share_the_work(tmp_path: Path) -> None:
    path, marks, environment = slow(tmp_path, seeds=[0, 1, 2, 3], steps=4)
    both = [
        runs.Process(tmp_path / n, "compare", str(path), "--out", str(tmp_path / "out"), **environment) for n in "ab"
    ]
    ended = [process.wait() for process in both]
    assert [code for code, _, _ in ended] == [0, 0], ended
    started = [line.split() for line in marks.read_text().splitlines()]
    assert sorted(seed for _, seed in started) == ["0", "1", "2", "3"], "no cell is run twice"
    assert len(Counter(pid for pid, _ in started)) == 2, "and both processes work"
    assert len(stamps(tmp_path / "out")) == 4
    for _, said, _ in ended:
        assert " 4 " in said, "each shows the whole table: n is 4"
    assert not half_done(tmp_path / "out")
