"""A suite that is killed again and again, or loses what it needs on the way, ends with the results of one that was left in peace."""

import errno
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from prompt_lab import cli

import runs

KILLS = 20
SOFT = {
    "class_path": "PatternTuning",
    "init_args": {"tuning": {"class_path": "SoftPrompt", "init_args": {"length": 3, "learning_rate": 0.1}}},
}


def suite(folder: Path) -> Path:
    """Runs that take their time, runs side by side."""
    runs.write(folder / "paradigms/soft.yaml", {"model": SOFT})
    return runs.suite(folder, paradigms=["slow", "soft"], seeds=[0, 1, 2, 3], settings={"trainer": {"max_steps": 4}})


def scores(out: Path) -> str:
    """The table, without what depends on time and memory."""
    rows = (out / "reports/suite/comparison.csv").read_text().splitlines()
    columns = rows[0].split(",")
    kept = [i for i, name in enumerate(columns) if not any(word in name for word in ("second", "memory", "time"))]
    return "\n".join(",".join(row.split(",")[i] for i in kept) for row in rows)


def stamps(out: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in out.rglob("record.json")}


def test_killed_at_twenty_moments(tmp_path: Path) -> None:
    path, out = suite(tmp_path), tmp_path / "out"
    environment = {"LAB_DELAY": "0.05"}
    peace = runs.Process(tmp_path / "peace", "compare", str(path), "--out", str(tmp_path / "left"), **environment)
    draw, before = random.Random(13), dict[Path, int]()
    killed = 0
    for number in range(KILLS):
        process = runs.Process(tmp_path / f"log{number}", "compare", str(path), "--out", str(out), **environment)
        runs.until((tmp_path / f"log{number}/stderr").exists)
        time.sleep(draw.uniform(0.0, 1.2))
        process.signal(signal.SIGKILL)
        killed += process.wait()[0] == -signal.SIGKILL
        now = stamps(out)
        assert {p: now[p] for p in before} == before, "what is finished stays as it is"
        before = now
    assert killed > KILLS / 4, "most were killed before they were done"
    last = runs.Process(tmp_path / "last", "compare", str(path), "--out", str(out), **environment)
    code, said, errors = last.wait(120)
    assert code == 0, errors
    assert f"{len(before)} finished before, {8 - len(before)} run now, 0 failed" in said
    assert {p: stamps(out)[p] for p in before} == before
    assert len(stamps(out)) == 8
    assert not list(out.rglob(".*.*")), "nothing half written is left"
    assert not list(out.rglob("stages"))
    assert peace.wait(120)[0] == 0
    assert scores(out) == scores(tmp_path / "left")
    for record in sorted(stamps(out)):
        other = tmp_path / "left" / record.relative_to(out)
        assert (record.parent / "examples.jsonl").read_text() == (other.parent / "examples.jsonl").read_text()
        told = [[line["predicted"] for line in runs.lines(p.parent / "predictions.jsonl")] for p in (record, other)]
        assert told[0] == told[1]


def test_a_disk_that_fills_up_stops_the_suite_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk has room for the first record; what says why a run failed finds none either."""
    path, out = runs.suite(tmp_path, seeds=[0, 1, 2]), tmp_path / "out"
    written = os.fsync

    def fsync(handle: int) -> None:
        if stamps(out):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written(handle)

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fsync)
        assert cli.main(["compare", str(path), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "No space left on device. Free some space or choose another folder with --out." in said
    assert "Traceback" not in said
    before = stamps(out)
    assert len(before) == 1
    assert not list(out.rglob(".*.*")), "nothing half written is left"
    assert cli.main(["compare", str(path), "--out", str(out)]) == 0
    assert "1 finished before, 2 run now, 0 failed" in capsys.readouterr().out
    assert {p: stamps(out)[p] for p in before} == before


def test_a_hub_that_is_out_of_reach_fails_its_cells_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = runs.suite(tmp_path, backbones=["tiny-masked", "somebody/some-model", "tiny-causal"])
    assert cli.main(["compare", str(path), "--out", str(tmp_path / "out")]) == 1
    said: Any = capsys.readouterr()
    assert "2 run now, 1 failed" in said.out
    assert "could not be had from the hub" in said.err
