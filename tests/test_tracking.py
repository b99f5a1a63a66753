"""What is logged: to CSV always, to W&B where it works; a run never fails and never asks because of it."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import wandb
from lightning.pytorch.loggers import WandbLogger

from prompt_lab.experiment import Experiment
from prompt_lab.paradigms.base import LOG_KEYS
from prompt_lab.progress import Bars
from prompt_lab.reporting import tracking
from prompt_lab.running import execute

import runs
import wandb_server

AFFECTED = "W&B logging"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of each ``wandb.init``; the runs themselves write nothing."""
    seen: list[dict[str, Any]] = []
    real = wandb.init
    monkeypatch.setattr(wandb, "init", lambda **given: seen.append(given) or real(mode="disabled"))
    return seen


def run(out: Path, mode: str = "offline", **data: Any) -> tuple[Experiment, dict[str, Any]]:
    experiment = runs.experiment(out, {"wandb": mode, "wandb_project": "lab", "data": data})
    return experiment, execute(experiment, Bars())


def warned(caught: Any) -> list[str]:
    return [str(w.message) for w in caught if AFFECTED in str(w.message)]


def unaffected(out: Path, record: dict[str, Any]) -> None:
    """The record is what it is without W&B."""
    plain = runs.record(out, {"name": "plain"})
    assert record["scores"] == plain["scores"]
    assert len(list(out.rglob("record.json"))) == 2


# ------------------------------------------------------------------------------------------------- what is logged


def test_a_run_is_filed_where_dashboards_look(tmp_path: Path, started: list[dict[str, Any]]) -> None:
    _, record = run(tmp_path, seed=21)
    (given,) = started
    assert given["project"] == "lab"
    assert given["group"] == "toy/k2"
    assert given["job_type"] == "pattern_tuning"
    assert given["name"] == "pattern_tuning-21"
    tags = ["paradigm:pattern_tuning", "task:toy", "backbone:tiny-masked", "strategy:fixed-prompt LM tuning"]
    assert given["tags"] == tags
    flat = (
        "paradigm",
        "strategy",
        "backbone",
        "task",
        "k",
        "split_seed",
        "init_seed",
        "order_seed",
        "template",
        "tuning",
    )
    assert {name: given["config"][name] for name in flat} == {name: record[name] for name in flat}
    assert given["config"]["settings"] == record["config"]
    assert given["mode"] == "offline"


def test_config_is_logged_once(tmp_path: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[Any] = []
    monkeypatch.setattr(WandbLogger, "log_hyperparams", lambda self, *given: again.append(given))
    run(tmp_path)
    assert len(started) == 1
    assert again == []


def test_metrics_of_every_paradigm_have_the_same_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: dict[str, set[str]] = {}
    summaries: dict[str, Any] = {}
    for name in ("FineTuning", "PatternTuning"):
        seen = keys.setdefault(name, set())
        monkeypatch.setattr(WandbLogger, "log_metrics", lambda self, m, step=None, seen=seen: seen.update(m))
        monkeypatch.setattr(tracking.Tracker, "summarize", lambda self, v, name=name: summaries.update({name: v}))
        runs.record(tmp_path, {"wandb": "offline", "model": {"class_path": name}})
    assert keys["FineTuning"] == keys["PatternTuning"] >= {*LOG_KEYS, "test/acc", "test/nll"}
    assert summaries["FineTuning"]["cost"]["trained_parameters"] > 0
    assert {"budget", "collapsed", "test/acc"} <= set(summaries["PatternTuning"])


def test_predictions_are_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[Any] = []
    monkeypatch.setattr(WandbLogger, "log_table", lambda self, key, columns, data: tables.append((key, columns, data)))
    experiment, _ = run(tmp_path)
    ((key, columns, rows),) = tables
    assert (key, columns) == ("test/predictions", ["text_a", "label", "predicted", "probability"])
    stored = runs.lines(experiment.folder / "predictions.jsonl")
    assert [[row[1], row[2]] for row in rows] == [[s["label"], s["predicted"]] for s in stored]
    assert rows[0][0] == experiment.data.sealed_test()[0].fields["text_a"]


def test_csv_metrics_lie_beside_the_record(tmp_path: Path) -> None:
    experiment, record = run(tmp_path, "disabled")
    with (experiment.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {*LOG_KEYS, *(key for key in record["scores"] if key.startswith("test/"))} <= set(rows[0])
    assert [int(r["step"]) for r in rows if r["train/loss"]] == [0, 1, 2], "every step"
    (last,) = [r for r in rows if r["test/acc"]]
    assert float(last["test/acc"]) == record["scores"]["test/acc"]


def test_a_run_that_trains_nothing_has_its_csv_too(tmp_path: Path) -> None:
    experiment = runs.experiment(tmp_path, {"model": {"class_path": "ZeroShot"}, "data": {"k": 0}})
    execute(experiment, Bars())
    assert "test/acc" in (experiment.folder / "metrics.csv").read_text().split("\n")[0]


def test_offline_run_files_are_written(tmp_path: Path) -> None:
    experiment, record = run(tmp_path)
    (path,) = (experiment.folder / "wandb").glob("offline-run-*/run-*.wandb")
    deadline = time.monotonic() + 30  # W&B's own process writes the file, and on a busy machine lags behind
    while path.stat().st_size < 5_000 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert path.stat().st_size > 5_000
    wandb_command = str(Path(sys.executable).with_name("wandb"))
    command = [wandb_command, "leet", "inspect", "--summary", "--json", str(path.parent)]
    read = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert read.returncode == 0, read.stderr
    found = json.dumps(json.loads(read.stdout))
    assert '"test/acc"' in found
    assert str(record["scores"]["test/nll"]) in found


# ------------------------------------------------------------------------------------------------- what may go wrong


def test_init_that_fails_affects_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: Any) -> None:
        raise OSError("planted")

    monkeypatch.setattr(wandb, "init", fails)
    with pytest.warns(UserWarning, match="the run and its record are not affected") as caught:
        _, record = run(tmp_path)
    assert len(warned(caught)) == 1
    assert "OSError: planted" in warned(caught)[0]
    unaffected(tmp_path, record)


@pytest.mark.parametrize("part", ["log_metrics", "log_table"])
def test_logging_that_fails_ends_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr(WandbLogger, part, fails)
    with pytest.warns(UserWarning, match="ends here") as caught:
        _, record = run(tmp_path)
    assert len(warned(caught)) == 1
    unaffected(tmp_path, record)


@pytest.mark.parametrize("mode", ["auto", "offline", "online"])
def test_without_wandb_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delenv("WANDB_MODE")
    with pytest.warns(UserWarning, match=AFFECTED) as caught:
        _, record = run(tmp_path, mode)
    assert len([w for w in warned(caught) if "ends here" in w]) == 1
    unaffected(tmp_path, record)


def test_a_run_does_not_log_to_the_one_before_that_failed(
    tmp_path: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(WandbLogger, "log_metrics", lambda *_, **__: [][0])
        with pytest.warns(UserWarning, match=AFFECTED):
            run(tmp_path, seed=1)
    assert wandb.run is None, "W&B's logger would go on with a run that is open"
    run(tmp_path, seed=2)
    assert [given["name"] for given in started] == ["pattern_tuning-1", "pattern_tuning-2"]


@pytest.mark.parametrize("where", ["wandb", "metrics.csv"])
def test_disabled_writes_csv_alone(tmp_path: Path, where: str) -> None:
    experiment, _ = run(tmp_path, "disabled")
    assert (experiment.folder / where).exists() == (where == "metrics.csv")


# ------------------------------------------------------------------------------------------------- modes and logins


@pytest.mark.parametrize("wanted", ["online", "offline", "disabled"])
def test_wandb_mode_is_respected(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("WANDB_MODE", wanted)
    monkeypatch.setattr(wandb, "login", lambda **_: pytest.fail("nobody has to log in"))
    assert tracking.resolved_mode() == wanted


@pytest.mark.parametrize(("key", "mode"), [(True, "online"), (False, "offline")])
def test_auto_is_online_for_who_is_logged_in(monkeypatch: pytest.MonkeyPatch, key: bool, mode: str) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "login", lambda **given: asked.append(given) or key)
    assert tracking.resolved_mode() == mode
    assert asked == [{"prompt": False, "verify": False}], "never a prompt"


def test_online_without_a_login_goes_on_offline(
    tmp_path: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B itself would ask for a key on a terminal."""
    monkeypatch.setattr(wandb, "login", lambda **given: False)
    with pytest.warns(UserWarning, match=r"goes on offline .*nobody is logged in") as caught:
        _, record = run(tmp_path, "online")
    assert [given["mode"] for given in started] == ["offline"]
    assert len(warned(caught)) == 1
    unaffected(tmp_path, record)


def test_no_server_goes_on_offline(
    tmp_path: Path, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb, "login", lambda **given: True)
    spy = wandb.init

    def unreachable(**given: Any) -> Any:
        if given["mode"] == "online":
            raise wandb.errors.CommError("no server")
        return spy(**given)

    monkeypatch.setattr(wandb, "init", unreachable)
    with pytest.warns(UserWarning, match=r"goes on offline .*no server"):
        _, record = run(tmp_path, "online")
    assert [given["mode"] for given in started] == ["offline"]
    unaffected(tmp_path, record)


def test_nobody_is_asked_in_an_empty_home(tmp_path: Path) -> None:
    """No key, no settings, no terminal: the run is offline, and nothing is said of that."""
    home = tmp_path / "home"
    home.mkdir()
    empty = dict.fromkeys(("WANDB_MODE", "WANDB_API_KEY"), "") | {"HOME": str(home), "NETRC": str(home / "netrc")}
    words = [w for w in runs.words(tmp_path / "out") if w != "--wandb" and w != "disabled"]
    code, said, errors = runs.Process(tmp_path / "log", *words, **empty).wait()
    assert code == 0, errors
    assert "test/acc" in said
    lines = [line for line in errors.splitlines() if "this run has collapsed" not in line]
    assert [line.split()[0] for line in lines] == ["parameters", "PatternTuning"], "what moves, and nothing else"
    assert list((tmp_path / "out").rglob("offline-run-*/run-*.wandb"))


def test_a_server_that_is_lost_on_the_way_does_not_hold_the_run_up(tmp_path: Path) -> None:
    """W&B itself waits at the end of a run until all is uploaded, however long that takes."""
    marks = tmp_path / "marks"
    marks.touch()
    words = [w for w in runs.words(tmp_path / "out", model="own_paradigms.Slow") if w != "--wandb" and w != "disabled"]
    with wandb_server.running() as server:
        given = server.environment(tmp_path / "home") | {"LAB_MARKS": str(marks), "LAB_DELAY": "0.5"}
        process = runs.Process(tmp_path / "log", *words, "--wandb", "online", **given, WANDB_FINISH_TIMEOUT="2")
        runs.until(lambda: bool(marks.read_text()))
        assert len(server.runs) == 1, "it was logged online"
    code, said, errors = process.wait(60)
    assert code == 0, errors
    assert "test/acc" in said
    assert "W&B logging ends here" in errors
    assert len(list((tmp_path / "out").rglob("record.json"))) == 1
    assert list((tmp_path / "out").rglob("run-*/run-*.wandb")), "what was not uploaded is there, to be sent later"
