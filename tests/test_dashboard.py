"""A W&B workspace and report from code: every key in them is one that a run logs, and no mean is over two tasks."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import reported
import wandb

from prompt_lab import cli
from prompt_lab.errors import LabError
from prompt_lab.tracking import account, dashboard, panels
from prompt_lab.tracking.dashboard import Part

import runs
import wandb_server

PARTS = [Part("sst2", "tiny-masked", "test/acc", (4, 16)), Part("toy", "tiny-masked", "test/f1_macro", ())]
GATED = {"class_path": "FineTuning", "init_args": {"tuning": {"class_path": "Lora", "init_args": {"gated": True}}}}


@dataclass
class Logged:
    """What W&B's own files of some runs hold."""

    config: set[str] = field(default_factory=set)
    summary: set[str] = field(default_factory=set)
    rows: list[set[str]] = field(default_factory=list)

    @property
    def history(self) -> set[str]:
        return set().union(*self.rows)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    out = tmp_path_factory.mktemp("logged")
    for model in ({"class_path": "PromptTuning"}, GATED):
        runs.record(out, {"wandb": "offline", "model": model})
    found = Logged()
    for path in out.rglob("run-*.wandb"):
        command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(path)]
        read = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=True)
        for line in map(json.loads, read.stdout.splitlines()):
            content = line.get(line["type"], {})
            if line["type"] == "run":
                found.config |= set(content["config"]["update"])
            elif line["type"] == "summary":
                found.summary |= set(flat(content.get("update", {})))
            elif line["type"] == "history":
                found.rows.append(set(content["item"]))
    assert len(found.config) > 5
    return found


def flat(tree: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield f"{above}{key}"
        if isinstance(value, dict):
            yield from flat(value, f"{above}{key}.")


def made(found: list[Part]) -> dict[str, Any]:
    report = dashboard.report("me", "lab", found, linked=False)
    return dashboard.definition(dashboard.workspace("me", "lab", found), report)


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for below in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from nodes(below)


def shown(tree: Any, kind: str) -> list[dict[str, Any]]:
    """The settings of all panels of a kind."""
    return [node["config"] for node in nodes(tree) if node.get("viewType") == kind]


def runsets(tree: Any) -> list[dict[str, Any]]:
    return [one for node in nodes(tree) for one in node.get("runSets", [])]


# ------------------------------------------------------------------------------------------------- no dead panel


@pytest.mark.parametrize("found", [PARTS, []], ids=["known", "unknown"])
def test_every_key_is_one_that_runs_log(logged: Logged, found: list[Part]) -> None:
    tree = made(found)
    bars, lines, dots = (shown(tree, kind) for kind in ("Bar Chart", "Run History Line Plot", "Scatter Plot"))
    assert min(len(bars), len(lines), len(dots)) >= 7
    for bar in bars:
        assert set(bar["metrics"]) <= logged.summary
    for line in lines:
        keys = {line["xAxis"], *line["metrics"]}
        assert any(keys <= row for row in logged.rows), f"{keys} are never logged together, and W&B draws no line then"
        if "metricRegex" in line:
            assert any(re.fullmatch(line["metricRegex"], key) for key in logged.history)
    accessors = {dot[axis] for dot in dots for axis in ("xAxis", "yAxis")}
    accessors |= {name for one in runsets(tree) for name in one["runFeed"]["columnOrder"]} - {"run:displayName"}
    for accessor in accessors:
        section, _, name = accessor.partition(":")
        keys = {f"{key}.value" for key in logged.config} if section == "config" else logged.summary
        assert name in keys, accessor
    groups = {panel["groupBy"] for panel in (*bars, *lines) if "groupBy" in panel}
    groups |= {key["name"] for one in runsets(tree) for key in one["grouping"]}
    assert groups <= {f"{key}.value" for key in logged.config}
    filtered = {one["key"]["name"] for chosen in runsets(tree) for one in chosen["filters"]["filters"]}
    assert filtered <= logged.config
    assert {one["key"]["name"] for chosen in runsets(tree) for one in chosen["sort"]["keys"]} <= logged.summary


def test_the_table_of_predictions_is_one_that_runs_log(logged: Logged) -> None:
    assert f"{panels.TABLE}._type" in logged.summary
    tables = shown(made(PARTS), "Weave")
    assert tables
    assert all(f'"{panels.TABLE}"' in json.dumps(table) for table in tables)


# ------------------------------------------------------------------------------------------------- what is compared


def test_parts_are_tasks_and_backbones_with_their_ks() -> None:
    cells = [("b", "x", 16), ("a", "x", "full"), ("a", "x", 4), ("a", "x", 0), ("a", "y", 0)]
    records = [{"task": t, "backbone": b, "k": k, "metric": "test/acc"} for t, b, k in cells]
    assert dashboard.parts(records) == [
        Part("a", "x", "test/acc", (4, "full")), Part("a", "y", "test/acc", ()), Part("b", "x", "test/acc", (16,)),
    ]  # fmt: skip


def test_bars_and_lines_are_means_over_seeds_of_one_task_backbone_and_k() -> None:
    tree = made(PARTS)
    assert {panel["groupBy"] for panel in shown(tree, "Bar Chart")} == {"paradigm.value"}
    assert {(bar["groupAgg"], bar["groupArea"]) for bar in shown(tree, "Bar Chart")} == {
        ("mean", "stddev"),
        ("mean", "minmax"),
    }
    wanted = [
        {"task": "sst2", "backbone": "tiny-masked", "k": [0, 4]}, {"task": "sst2", "backbone": "tiny-masked", "k": [0, 16]},
        {"task": "sst2", "backbone": "tiny-masked"}, {"task": "toy", "backbone": "tiny-masked", "k": [0]},
    ]  # fmt: skip
    found = [{f["key"]["name"]: f["value"] for f in one["filters"]["filters"]} for one in runsets(tree["report"])]
    assert found == wanted, "a section a K, and one over all of them"
    (view,) = runsets(tree["workspace"])
    assert {f["key"]["name"]: f["value"] for f in view["filters"]["filters"]} == wanted[0]
    assert not any(one["grouping"] for one in runsets(tree))


def test_the_metric_is_the_tasks_own() -> None:
    texts = [json.dumps(shown(made([part]), "Bar Chart")) for part in PARTS]
    assert ["test/f1_macro" in text for text in texts] == [False, True]


def test_where_nothing_is_known_no_mean_is_over_two_tasks() -> None:
    tree = made([])
    for one in runsets(tree):
        assert [key["name"] for key in one["grouping"]] == ["task.value", "backbone.value", "k.value", "paradigm.value"]
    assert not any("groupBy" in panel for panel in (*shown(tree, "Bar Chart"), *shown(tree, "Run History Line Plot")))


# ------------------------------------------------------------------------------------------------- with and without an account


def test_without_an_account_the_definition_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wandb, "login", lambda **_: False)
    monkeypatch.setattr(wandb, "Api", lambda **_: pytest.fail("W&B is asked"))
    runs.record(tmp_path / "runs")
    out = tmp_path / "new" / "dashboard.json"
    words = ["dashboard", "--entity", "me", "--project", "lab", "--runs", str(tmp_path / "runs"), "--out", str(out)]
    assert cli.main(words) == 0
    assert "nobody is logged in" in (said := capsys.readouterr().out)
    assert str(out) in said
    written = json.loads(out.read_text())
    assert [written[one]["project"] for one in ("workspace", "report")] == ["lab", "lab"]
    assert "toy · tiny-masked" in json.dumps(written["report"], ensure_ascii=False)


def test_records_that_cannot_be_read_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(account, "refusal", lambda: "nobody is logged in")
    reported.write(tmp_path / "runs")
    broken = runs.write(tmp_path / "runs" / "broken" / "record.json", "{")
    words = ["dashboard", "--entity", "me", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "d.json")]
    assert cli.main(words) == 1
    assert f"the record {broken} cannot be read" in capsys.readouterr().err
    assert "sst2 · minilm-mlm" in (tmp_path / "d.json").read_text(), "the others are shown"


def test_a_folder_that_is_not_there_is_told_of_unless_it_is_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(account, "refusal", lambda: "nobody is logged in")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["dashboard", "--entity", "me", "--runs", "rums"]) == 2
    assert "no such folder: rums" in capsys.readouterr().err
    assert cli.main(["dashboard", "--entity", "me", "--out", "d.json"]) == 0


def test_a_server_that_does_not_answer_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: Any) -> None:
        raise wandb.errors.CommError("no route")

    monkeypatch.setattr(wandb, "login", lambda **_: True)
    monkeypatch.setattr(wandb, "Api", unreachable)
    assert account.refusal() == "W&B does not answer (CommError: no route)"


def test_without_its_package_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces.workspaces", None)
    assert cli.main(["dashboard", "--entity", "me"]) == 2
    assert "pip install 'prompt-lab[dashboard]'" in capsys.readouterr().err


def test_both_are_sent_and_linked(tmp_path: Path) -> None:
    """W&B's own library, against a server on this machine."""
    runs.record(tmp_path / "runs")
    words = ["dashboard", "--entity", "me", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "d.json")]
    with wandb_server.running() as server:
        env = server.environment(tmp_path / "home")
        code, said, errors = runs.Process(tmp_path / "one", *words, "--project", "lab", **env).wait()
        assert code == 0, errors
    links = dict(line.split(": ", 1) for line in said.splitlines())
    assert set(links) == {"workspace", "report"}
    assert all("/me/lab" in link for link in links.values())
    assert [view["type"] for view in server.views] == ["project-view", "runs"], "the second command has sent nothing"
    sent = [json.loads(view["spec"]) for view in server.views]
    local = made([Part("toy", "tiny-masked", "test/acc", (2,))])
    for spec, one in zip(sent, ("workspace", "report"), strict=True):
        assert shown(spec, "Bar Chart") == shown(local[one]["spec"], "Bar Chart")
    assert {one["project"]["id"] for one in runsets(sent[1])} == {"77"}, "W&B's number of the project"
    assert not (tmp_path / "d.json").exists()


def test_an_unknown_project_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        def projects(self, entity: str) -> list[Any]:
            return []

    monkeypatch.setattr(account, "api", Api)
    with pytest.raises(LabError, match=r"me has no project lba in W&B\. Runs make it: prompt-lab sync"):
        dashboard.publish("me", "lba", [])
