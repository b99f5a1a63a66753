"""Files are whole or not there, and a record is checked when it is read."""

import errno
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import reported

from prompt_lab import cli
from prompt_lab.errors import LabError
from prompt_lab.reporting import delta, files

import runs

CLEAR = r"cannot write .*: {reason}. Free some space or choose another folder with --out\."


def fail_with(number: int) -> Callable[..., Any]:
    def fails(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fails


# ------------------------------------------------------------------------------------------------- atomic


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with files.atomic(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with files.atomic(path) as temporary:
        temporary.write_text("tw")
        assert path.read_text() == "one"
        temporary.write_text("two")
    assert path.read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_others_may_read_it_as_any_other_file(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        files.write_json(tmp_path / "file", {})
        assert os.umask(mask) == mask, "it is left as it was"
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def breaks_off() -> None:
        with files.atomic(path) as temporary:
            temporary.write_text("ne")
            raise error

    with pytest.raises(error):
        breaks_off()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_process_that_dies_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    pid = os.fork()
    if not pid:
        with files.atomic(path) as temporary:
            temporary.write_text("ne")
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert path.read_text() == "old"


def test_what_is_no_json_is_written_as_text(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"path": tmp_path, "Ü": 1})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"path": str(tmp_path), "Ü": 1}


def test_check_writable_leaves_nothing(tmp_path: Path) -> None:
    files.check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


# ------------------------------------------------------------------------------------------------- folders that refuse


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LabError, match=CLEAR.format(reason="Not a directory")):
        files.check_writable(tmp_path / "file" / "runs")


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EROFS, "Read-only file system"), (errno.EACCES, "Permission denied")]
)
def test_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str) -> None:
    monkeypatch.setattr(tempfile, "mkstemp", fail_with(number))
    with pytest.raises(LabError, match=CLEAR.format(reason=reason)):
        files.check_writable(tmp_path)


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(os if where == "fsync" else Path, where, fail_with(errno.ENOSPC))
    with pytest.raises(LabError, match=CLEAR.format(reason="No space left on device")):
        files.write_json(tmp_path / "record.json", {})
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def test_delta_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors has an error of its own for it."""

    def full(*_: Any) -> None:
        raise delta.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(LabError, match=r"cannot write .*delta.safetensors: .*No space left on device"):
        runs.record(tmp_path, {"save_model": True})
    assert not list(tmp_path.rglob("record.json"))


@pytest.mark.parametrize("command", ["fit", "compare"])
def test_folder_is_tried_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setattr("prompt_lab.running.load_backbone", lambda *_: pytest.fail("a model was loaded"))
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "runs"
    words = runs.words(out) if command == "fit" else ["compare", str(runs.suite(tmp_path)), "--out", str(out)]
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("prompt-lab: cannot write ")
    assert error.count("\n") == 1


def test_a_disk_that_fills_up_while_running_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Path.replace

    def fills_up(self: Path, target: Path) -> Path:
        if target.name == "predictions.jsonl":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", fills_up)
    assert cli.main(runs.words(tmp_path)) == 2
    assert "predictions.jsonl: No space left on device. Free some space" in capsys.readouterr().err
    assert not list(tmp_path.rglob("record.json")), "the record goes last"


# ------------------------------------------------------------------------------------------------- records


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A record as it was written."""
    out = tmp_path_factory.mktemp("runs")
    runs.record(out)
    (path,) = out.rglob("record.json")
    return path.read_text()


def test_record_is_read_as_it_was_written(tmp_path: Path, content: str) -> None:
    path = runs.write(tmp_path / "record.json", content)
    assert files.read_record(path) == json.loads(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c[: len(c) // 2], r"cannot be read \(.*\)"),
        (lambda c: "", r"cannot be read \(.*\)"),
        (lambda c: "[]", "it is no JSON object"),
        (
            lambda c: c.replace('"schema": 2', '"schema": 3', 1),
            "its schema is 3, and .* reads 1 and 2; update",
        ),
        (
            lambda c: c.replace('"schema": 2', '"schema": "x"', 1),
            "its schema is 'x', and .* reads 1 and 2",
        ),
        (lambda c: c.replace('"cost"', '"costs"', 1), "it lacks cost"),
    ],
    ids=["half", "empty", "a list", "newer", "other schema", "part missing"],
)
def test_corrupt_record_is_named(tmp_path: Path, content: str, spoil: Callable[[str], str], message: str) -> None:
    path = runs.write(tmp_path / "toy" / "record.json", spoil(content))
    with pytest.raises(LabError, match=message) as caught:
        files.read_record(path)
    assert str(path) in str(caught.value)
    assert "Delete its folder to run this cell again" in str(caught.value)
    with pytest.raises(LabError, match=message):
        files.read_records(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("scores", {}, "it lacks scores.test/acc"),
        ("scores.test/nll", "low", "scores.test/nll must be a whole number or a number; it is 'low'"),
        ("data", [], "data must be a mapping; it is a list"),
        ("data.test_fingerprint", None, "data.test_fingerprint must be text; it is null"),
        ("trivial", {"majority": 0.5}, "it lacks trivial.random"),
        ("collapsed", "no", "collapsed must be true or false; it is 'no'"),
        ("k", None, "k must be a whole number or text; it is null"),
        ("budget", {}, "it lacks budget.labels_train; it lacks budget.labels_validation"),
        ("cost", None, "cost must be a mapping; it is null"),
        ("cost.seconds", {"total": 1.0}, "it lacks cost.seconds.fit"),
        ("cost.tokens", {"train": 1}, "it lacks cost.tokens.evaluation"),
        ("cost.parameters", 7, "cost.parameters must be a mapping; it is 7"),
        ("settings", {"data": None}, "settings.data must be a mapping; it is null"),
        ("config", {"trainer": []}, "config.trainer must be a mapping; it is a list"),
        ("environment", None, "environment must be a mapping; it is null"),
        ("recall_per_class", ["bad", "good"], "recall_per_class must be a mapping; it is a list"),
    ],
)
def test_a_record_that_is_corrupt_inside_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, value: Any, said: str
) -> None:
    """Whatever reads the folder says what is wrong with which record, and goes on with the rest."""
    reported.write(tmp_path)
    record = reported.write(tmp_path, seed=21) / "record.json"
    content = json.loads(record.read_text())
    below, *names = path.split(".", 1)
    content |= {below: {**content[below], names[0]: value} if names else value}
    record.write_text(json.dumps(content))
    (kept,), (problem,) = files.read_records_loudly(tmp_path)
    assert kept["split_seed"] == 13
    assert said in problem
    assert str(record) in problem
    assert cli.main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == 1
    assert "60.0" in capsys.readouterr().out


@pytest.mark.parametrize("part", [{"cost": None}, {"cost": {"total_parameters": "many"}}, {"config": 3}])
def test_a_corrupt_record_of_an_older_schema_is_named(tmp_path: Path, content: str, part: dict[str, Any]) -> None:
    path = runs.write(tmp_path / "record.json", json.dumps(json.loads(content) | {"schema": 1} | part))
    with pytest.raises(LabError, match=r"it is no whole record of schema 1: TypeError.*Delete its folder"):
        files.read_record(path)


def test_record_of_an_older_schema_is_read_as_one_of_today(tmp_path: Path, content: str) -> None:
    """As the first version wrote them: without candidates, and without figures of what is frozen, trained and added."""
    now = json.loads(content)
    old = now | {"schema": 1, "cost": {k: v for k, v in now["cost"].items() if k != "parameters"}}
    old["config"] = {k: v for k, v in now["config"].items() if k not in ("candidates", "parts", "trials")}
    del old["chosen"]
    read = files.read_record(runs.write(tmp_path / "record.json", json.dumps(old)))
    assert read["cost"].pop("parameters") == {"total": now["cost"]["total_parameters"]}
    assert now["cost"].pop("parameters")
    assert read == now


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path, content: str) -> None:
    runs.write(tmp_path / "a" / "record.json", content)
    bad = runs.write(tmp_path / "b" / "record.json", content[:50])
    runs.write(tmp_path / "c" / "record.json", content)
    records, problems = files.read_records_loudly(tmp_path)
    assert records == [json.loads(content)] * 2
    assert len(problems) == 1
    assert str(bad) in problems[0]


def test_record_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError, match="cannot be read"):
        files.read_record(tmp_path / "record.json")


def test_report_of_a_corrupt_record(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    runs.write(tmp_path / "toy" / "record.json", content[:50])
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "Delete its folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("backbone", "folder"),
    [("minilm-mlm", "minilm-mlm"), ("org/model@main", "org--model@main"), ("./models/mine/", "models--mine")],
)
def test_folder_of_a_cell(backbone: str, folder: str) -> None:
    found = files.cell_folder("out", "sst2", "mine", backbone, "full", 0)
    assert found == Path("out/sst2/mine") / folder / "kfull/seed0"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="name becomes that of a folder"):
        files.cell_folder("out", "sst2", name, "minilm-mlm", 16, 0)
