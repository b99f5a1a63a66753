"""Suites that run elsewhere: on a Ray cluster of two workers, and as jobs; the same records as here."""

import json
import os
import resource
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from prompt_lab import cli, engines, grid, suite
from prompt_lab.engines import work
from prompt_lab.engines.ray import Ray
from prompt_lab.engines.slurm import Slurm
from prompt_lab.engines.work import perform
from prompt_lab.errors import LabError
from prompt_lab.progress import Bars

import runs


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs of ``Slow`` leave a mark; workers know it from their environment."""
    found = tmp_path_factory.mktemp("marks") / "marks"
    found.touch()
    return found


@pytest.fixture(scope="module")
def cluster(marks: Path) -> Iterator[None]:
    """A real cluster on this machine, with room for two workers."""
    told = {"LAB_MARKS": str(marks), "LAB_DELAY": "0.1", "PYTHONPATH": os.pathsep.join(sys.path)}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    ray.init(num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def cells(folder: Path, out: str = "out", **keys: Any) -> list[grid.Cell]:
    return grid.expand(runs.suite(folder, **keys), str(folder / out))


def records(found: list[grid.Cell]) -> list[dict[str, Any]]:
    """What does not depend on when and where a run was made."""
    told = [json.loads((cell.folder / "record.json").read_text()) for cell in found]
    for one in told:
        del (
            one["cost"]["seconds"],
            one["cost"]["peak_memory_bytes"],
            one["started"],
            one["finished"],
            one["environment"],
        )
        del one["config"]["out"]
        for stage in one["stages"]:
            del stage["seconds"]
    return told


def started(marks: Path) -> list[list[str]]:
    return [line.split() for line in marks.read_text().splitlines()]


def kill_first(marks: Path) -> None:
    """Kill the process of the first run that starts."""
    runs.until(lambda: bool(started(marks)), 120)
    os.kill(int(started(marks)[0][0]), signal.SIGKILL)


# ------------------------------------------------------------------------------------------------- Ray


def test_a_cluster_gives_the_records_that_are_made_here(tmp_path: Path, cluster: None, marks: Path) -> None:
    keys: dict[str, Any] = {"paradigms": ["slow", "zero_shot"], "seeds": [0, 1, 2]}
    here, there = cells(tmp_path, "here", **keys), cells(tmp_path, "there", **keys)
    assert suite.run(here, Bars()).ran == 4
    marks.write_text("")
    outcome = suite.run(there, Bars(), elsewhere=Ray())
    assert (outcome.ran, outcome.failed) == (4, 0)
    assert records(there) == records(here)
    names = [sorted(str(p.relative_to(c.folder)) for p in c.folder.rglob("*")) for c in (here[0], there[0])]
    assert names[0] == names[1]
    assert len({pid for pid, _ in started(marks)}) == 2, "both workers work"
    assert str(os.getpid()) not in {pid for pid, _ in started(marks)}


def test_a_lost_worker_loses_nothing(tmp_path: Path, cluster: None, marks: Path) -> None:
    marks.write_text("")
    found = cells(tmp_path, paradigms=["slow"], seeds=[0, 1, 2, 3], settings={"trainer": {"max_steps": 10}})
    killer = threading.Thread(target=kill_first, args=(marks,))
    killer.start()
    outcome = suite.run(found, Bars(), elsewhere=Ray())
    killer.join()
    assert (outcome.ran, outcome.failed) == (4, 0)
    assert Counter(seed for _, seed in started(marks)) == {**dict.fromkeys("0123", 1), started(marks)[0][1]: 2}
    assert all(cell.finished() for cell in found)


def test_a_worker_loads_its_backbone_once(tmp_path: Path, cluster: None, marks: Path) -> None:
    marks.write_text("")
    runs.write(tmp_path / "paradigms/tells.yaml", {"model": {"class_path": "own_paradigms.TellsItsBackbone"}})
    found = cells(tmp_path, paradigms=["tells"], seeds=[0, 1, 2, 3, 4, 5])
    assert suite.run(found, Bars(), elsewhere=Ray()).ran == 6
    by_worker: dict[str, set[str]] = {}
    for pid, backbone in started(marks):
        by_worker.setdefault(pid, set()).add(backbone)
    assert all(len(backbones) == 1 for backbones in by_worker.values()), by_worker
    assert sum(len(b) for b in by_worker.values()) < 6


def test_a_failing_cell_is_recorded_with_the_others_done(tmp_path: Path, cluster: None) -> None:
    found = cells(tmp_path, paradigms=["raises", "pattern_tuning"])
    outcome = suite.run(found, Bars(), elsewhere=Ray())
    assert (outcome.ran, outcome.failed) == (1, 1)
    (failed,) = suite.failures(found)
    assert failed["error"] == "RuntimeError: planted failure"
    assert "own_paradigms.py" in failed["traceback"]


def test_more_than_the_cluster_has_is_refused(tmp_path: Path, cluster: None) -> None:
    with pytest.raises(LabError, match=r"wants 64 CPUs and 0 GPUs, and the cluster has \{'CPU': 2, 'GPU': 0\}"):
        suite.run(cells(tmp_path), Bars(), elsewhere=Ray(cpus=64))


# ------------------------------------------------------------------------------------------------- jobs


def test_jobs_give_the_records_that_are_made_here(tmp_path: Path) -> None:
    keys: dict[str, Any] = {"seeds": [0, 1]}
    here, there = cells(tmp_path, "here", **keys), cells(tmp_path, "there", **keys)
    suite.run(here, Bars())
    outcome = suite.run(there, Bars(), elsewhere=Slurm(tmp_path / "jobs", "local"))
    assert (outcome.ran, outcome.failed) == (2, 0)
    assert records(there) == records(here)


def test_a_job_that_is_killed_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "marks"
    mark.touch()
    monkeypatch.setenv("LAB_MARKS", str(mark))
    monkeypatch.setenv("LAB_DELAY", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    found = cells(tmp_path, paradigms=["slow"], settings={"trainer": {"max_steps": 100}})

    threading.Thread(target=kill_first, args=(mark,)).start()
    outcome = suite.run(found, Bars(), elsewhere=Slurm(tmp_path / "jobs", "local"))
    assert (outcome.ran, outcome.failed) == (0, 1)
    assert "ended without a result" in suite.failures(found)[0]["error"]


# ------------------------------------------------------------------------------------------------- in common


def test_work_leaves_nothing_where_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (cell,) = cells(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    (returned,) = perform([(str(cell.folder), cell.tree)])
    assert sorted(tmp_path.rglob("*")) == before
    assert {"record.json", "predictions.jsonl", "examples.jsonl"} <= set(returned.files)
    assert json.loads(returned.files["record.json"]) == returned.found
    assert returned.found["config"]["out"] == str(tmp_path / "out")


def test_what_another_process_has_in_hand_is_waited_for(tmp_path: Path) -> None:
    """A cell whose lock is held elsewhere is not handed out."""
    found = cells(tmp_path, seeds=[0, 1])
    given: list[Any] = []

    class Noted(Slurm):
        def results(self, groups: Any) -> Any:
            given.extend(groups)
            return ((i, perform(group)) for i, group in enumerate(groups))

    from prompt_lab.reporting import files

    with files.lock(found[0].folder).acquire():
        outcome = suite.Outcome()
        done = Noted().run([[cell] for cell in found], Bars(), outcome)
    assert [folder for group in given for folder, _ in group] == [str(found[1].folder)]
    assert done == {found[1]}
    assert outcome.ran == 1


@pytest.mark.parametrize(
    ("hard", "raised"), [(4096, (2256, 4096)), (resource.RLIM_INFINITY, (2256, resource.RLIM_INFINITY)), (1024, None)]
)
def test_a_large_suite_may_hold_all_its_locks(
    hard: int, raised: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: set_to.append(limits))
    work._allow_open(100)
    assert not set_to, "there is room for a hundred"
    if raised is None:
        with pytest.raises(
            LabError, match=r"2000 runs takes a lock on each, and this process may have 1024 files open"
        ):
            work._allow_open(2000)
    else:
        work._allow_open(2000)
        assert set_to == [raised]


@pytest.mark.parametrize(
    ("on", "settings", "message"),
    [
        ("here", {"cpus": "2"}, "take no settings"),
        ("ray", {"cpu": "2"}, "Did you mean 'cpus'"),
        ("ray", {"cpus": "two"}, "cpus is a number"),
    ],
)
def test_settings_that_a_place_does_not_have_are_refused(on: Any, settings: dict[str, str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        engines.engine(on, settings)


def test_settings_are_read() -> None:
    assert engines.engine("here", {}) is None
    assert engines.engine("ray", {"address": "auto", "cpus": "2", "gpus": "0.25"}) == Ray("auto", 2, 0.25)
    jobs = engines.engine("slurm", {"cluster": "local", "timeout_min": "30", "slurm_partition": "gpu"})
    assert jobs == Slurm(cluster="local", job={"timeout_min": 30, "slurm_partition": "gpu"})


def test_a_setting_without_a_value_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(runs.suite(tmp_path))
    assert cli.main(["compare", path, "--out", str(tmp_path / "out"), "--on", "ray", "--set", "address"]) == 2
    assert "--set takes NAME=VALUE" in capsys.readouterr().err
