"""Offline runs are sent to W&B by its own command: what fails is named, the rest goes on, and nothing is sent twice."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import wandb

from prompt_lab import cli
from prompt_lab.reporting import files
from prompt_lab.tracking import account, syncing

import runs
import wandb_server


def offline(folder: Path) -> Path:
    """The folder of an offline run that W&B has written."""
    folder.mkdir(parents=True)
    run = wandb.init(project="other", dir=folder, mode="offline", settings=wandb.Settings(silent=True))
    run.log({"test/acc": 0.5})
    run.finish()
    (made,) = syncing.offline_runs(folder)
    return made


def test_all_are_sent_once_and_what_fails_is_named(tmp_path: Path) -> None:
    """W&B's own command, against a server on this machine."""
    out = tmp_path / "out"
    good, bad, busy = (offline(out / "toy" / name) for name in ("good", "torn", "busy"))
    next(bad.glob("*.wandb")).write_bytes(b"torn" * 20)
    words = ["sync", str(out), "--project", "lab", "--entity", "me"]
    with wandb_server.running() as server:
        env = server.environment(tmp_path / "home")
        with files.lock(out / "toy" / "busy").acquire(timeout=0):
            code, said, errors = runs.Process(tmp_path / "one", *words, **env).wait()
        assert code == 1, errors
        assert said.strip() == "0 sent before, 1 sent now, 1 failed, 1 still running"
        assert "toy/good: sent" in errors
        assert "failed: toy/torn: " in errors
        assert "toy/busy: still running" in errors
        assert [syncing.is_synced(run) for run in (good, bad, busy)] == [True, False, False]
        assert {(run["project"], run["entity"]) for run in server.runs} == {("lab", "me")}
        sent = {run["name"] for run in server.runs}
        assert sent == {good.name.rpartition("-")[2]}
        server.runs.clear()
        code, said, errors = runs.Process(tmp_path / "two", *words, **env).wait()
        assert said.strip() == "1 sent before, 1 sent now, 1 failed, 0 still running", errors
        assert {run["name"] for run in server.runs} == {busy.name.rpartition("-")[2]}


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A folder with a run that waits to be sent."""
    (tmp_path / "toy" / "wandb" / "offline-run-1").mkdir(parents=True)
    return tmp_path


def test_nothing_is_sent_where_nobody_is_logged_in(
    waiting: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wandb, "login", lambda **_: False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something is sent"))
    assert cli.main(["sync", str(waiting)]) == 2
    assert capsys.readouterr().err.count("nobody is logged in") == 1


def test_a_run_that_is_never_done_fails(
    waiting: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hangs(command: Any, *, timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(account, "refusal", lambda: None)
    monkeypatch.setattr(subprocess, "run", hangs)
    assert cli.main(["sync", str(waiting)]) == 1
    assert "failed: toy: not sent within 900 s" in capsys.readouterr().err


def test_nothing_to_send_needs_no_account(
    waiting: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(account, "refusal", lambda: pytest.fail("W&B is asked"))
    (waiting / "toy" / "wandb" / "offline-run-1" / "run-1.wandb.synced").touch()
    assert cli.main(["sync", str(waiting)]) == 0
    assert "1 offline runs" in capsys.readouterr().out
    assert cli.main(["sync", str(waiting / "nowhere")]) == 2
