"""The command line: what it prints, what it costs to ask, and how it says no."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prompt_lab import cli, discovery
from prompt_lab.testing.subject import TOY

import runs

HEAVY = ("torch", "lightning", "transformers", "wandb", "datasets", "matplotlib", "pandas")
BAD = """
from prompt_lab.paradigms.pattern_tuning import PatternTuning

class LogsOtherwise(PatternTuning):
    def log(self, name, *args, **kwargs):
        super().log(name.replace("val/acc", "val/accuracy"), *args, **kwargs)

class NeedsMore(PatternTuning):
    def __init__(self, depth):
        super().__init__()
"""


@pytest.fixture(scope="module")
def light() -> dict[str, str]:
    """What the questions that need no model print, and what had been imported after them."""
    code = f"""
import contextlib, io, json, sys
from prompt_lab import cli
from prompt_lab.commands import parser
said = {{}}
for words in [["list", what] for what in parser.LISTED] + [["--help"], ["--version"], ["compare", "--help"]]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        assert cli.main(words) == 0
    said[" ".join(words)] = out.getvalue()
    said["heavy"] = " ".join(sorted(set({HEAVY!r}) & set(sys.modules)))
print(json.dumps(said))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_questions_import_nothing_heavy(light: dict[str, str]) -> None:
    assert light["heavy"] == ""


@pytest.mark.parametrize(("what", "kind"), [("paradigms", "paradigm"), ("answers", "answer"), ("tunings", "tuning")])
def test_list_parts(light: dict[str, str], what: str, kind: str) -> None:
    lines = light[f"list {what}"].splitlines()
    assert len(lines) == len(discovery.entries(kind)) >= 2
    for line, entry in zip(lines, discovery.entries(kind).values(), strict=True):
        assert line.startswith(f"{entry.name} ({entry.attribute})")
        assert line.endswith(entry.summary)
        assert len(entry.summary) > 10


def test_list_tasks(light: dict[str, str]) -> None:
    names = [line.split()[0] for line in light["list tasks"].splitlines()]
    assert names == list(discovery.entries("task"))
    assert {"rotten_tomatoes", "sst2", "tnews"} <= set(names)


def test_list_backbones(light: dict[str, str]) -> None:
    text = light["list backbones"]
    for name in (
        "minilm-mlm",
        "tiny-masked",
        "tiny-causal",
        "tiny-seq2seq",
        "copycat",
        "<hub id>[@revision]",
        "<folder>",
    ):
        assert f"\n{name} " in f"\n{text}"


def test_list_templates(light: dict[str, str]) -> None:
    text = light["list templates"]
    assert "{mask}" in text
    assert "{text_a.rstrip_punctuation}" in text
    lines = [line for line in text.splitlines() if line.startswith("sst2 ")]
    assert [line.split()[1] for line in lines] == [str(i) for i in range(len(lines))]
    assert len(lines) >= 3
    marked = [line.split()[2] == ">" for line in lines]
    assert any(marked), "those that end in their mask are marked"
    assert all(mark == line.rstrip(".!?\"'").endswith("{mask}") for mark, line in zip(marked, lines, strict=True))


def test_help_names_every_command(light: dict[str, str]) -> None:
    for command in ("fit", "compare", "report", "show", "check", "list"):
        assert f"\n    {command} " in light["--help"]
    assert light["--version"].startswith("prompt-lab 0.")
    assert "--dry-run" in light["compare --help"]


# ------------------------------------------------------------------------------------------------- show


def show(*words: str) -> int:
    return cli.main(["show", "--data.task", TOY, "--backbone", "tiny-masked", *words])


def test_show_marks_mask_and_truncation(capsys: pytest.CaptureFixture[str]) -> None:
    assert show("--data.max_length", "12") == 0
    text = capsys.readouterr().out
    assert "template  {text_a} It was {mask}." in text
    assert "word      'terrible': terrible" in text
    assert "negative, 12 tokens, 4 cut off" in text
    assert text.count("[CLS]") == 3, "three examples"
    assert "[CLS] the p ##l ##o ##t is -d- -##u- -##l- [1 more cut off] it was <[MASK]> . [SEP]" in text


def test_show_what_a_run_reads(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The tokens that are shown are those of the encoder that trains."""
    assert show("--data.max_length", "12", "--template", "1") == 0
    text = capsys.readouterr().out.replace("<[MASK]>", "[MASK]")
    shown = [re.sub(r" \[\d+ more cut off\]| -\S+-", "", line).strip() for line in text.splitlines() if "[CLS]" in line]
    experiment = runs.experiment(tmp_path, {"data": {"max_length": 12}, "model": {"init_args": {"template": 1}}})
    experiment.check()
    module = experiment.paradigm
    rows = [e.rows[0] for e in module.encoder(experiment.data).encode(experiment.data.sealed_test())]
    read = [" ".join(module.reader.tokenizer.convert_ids_to_tokens(row.input_ids)) for row in rows]
    assert len(set(shown)) == 3
    assert set(shown) <= set(read)


def test_show_says_which_words_are_split(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = Path(TOY).read_text().replace('"great"', '"zyzzy"')
    assert cli.main(["show", "--data.task", str(runs.write(tmp_path / "t.py", text)), "--backbone", "tiny-masked"]) == 0
    assert "'zyzzy': z ##y ##z ##z ##y  (5 tokens, scored together)" in capsys.readouterr().out


def test_show_a_file_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = runs.write(tmp_path / "own.csv", "text_a,label\ngreat film,positive\n")
    assert show("--data.files.test", str(path), "--template", "none") == 0
    text = capsys.readouterr().out
    assert "positive, " in text
    assert "[CLS] great film [SEP]" in text
    assert "word " not in text, "without a mask no word is scored"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--template", "{text_a} {maks}"], "unknown slot 'maks'. Did you mean 'mask'?"),
        (["--template", "9"], "template 9 does not exist"),
        (["--backbone", "tiny-maskd"], "Did you mean 'tiny-masked'"),
        (["--data.max_length", "6"], "leaves no room for the text"),
        (["--data.files.test", "none.csv"], "none.csv: no such file"),
    ],
)
def test_show_refuses(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert show(*words) == 2
    said, error = capsys.readouterr()
    assert message in error
    assert "[CLS]" not in said


# ------------------------------------------------------------------------------------------------- check


def test_check_a_good_paradigm(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "zero_shot"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("scores have a column for each label ")
    assert sum(line.endswith("  ok") for line in lines) == 6
    assert sum("does not apply: it trains nothing" in line for line in lines) == 8


def test_check_a_bad_paradigm_of_ones_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.write(tmp_path / "my_bad.py", BAD)
    monkeypatch.syspath_prepend(tmp_path)
    assert cli.main(["check", "my_bad.LogsOtherwise"]) == 1
    lines = capsys.readouterr().out.splitlines()
    failed = [line for line in lines if "FAILED" in line]
    assert len(failed) == 1
    assert failed[0].startswith("logs the shared keys")
    assert "missing from the log: ['val/acc']" in failed[0]
    assert sum(line.endswith("  ok") for line in lines) == 13
    assert cli.main(["check", "my_bad.NeedsMore"]) == 2
    assert "cannot be made from its defaults" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zero_sot", "Did you mean 'zero_shot'"),
        ("no_mod.X", "cannot import no_mod.X"),
        ("pathlib.Path", "is no paradigm"),
    ],
)
def test_check_refuses(capsys: pytest.CaptureFixture[str], name: str, message: str) -> None:
    assert cli.main(["check", name]) == 2
    assert message in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- report, fit


def test_report_shows_every_finished_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for seed in (0, 1):
        runs.record(tmp_path, {"data": {"seed": seed}})
    capsys.readouterr()
    assert cli.main(["report", str(tmp_path)]) == 0
    assert "pattern_tuning" in capsys.readouterr().out
    written = {p.name for p in (tmp_path / "reports/all").iterdir()}
    short = {"comparison.md", "cost.md", "comparison.csv", "comparison.png"}
    assert written == short | {
        "report.html",
        "comparison.tex",
        "examples.md",
        "cards.md",
        "confusion.png",
        "calibration.png",
    }
    assert "pattern_tuning" in (tmp_path / "reports/all/comparison.csv").read_text()
    assert cli.main(["report", str(tmp_path), "--columns", "cost"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "s a step: wall time" in said
    assert "worst" not in said


def test_report_of_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["report", str(tmp_path)]) == 0
    assert "no finished runs" in capsys.readouterr().out
    assert cli.main(["report", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_fit_prints_scores_and_is_not_done_twice(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(runs.words(tmp_path)) == 0
    first, _ = capsys.readouterr()
    (path,) = tmp_path.rglob("record.json")
    accuracy = json.loads(path.read_text())["scores"]["test/acc"]
    assert f"test/acc       {accuracy:.4f}" in first
    assert first.splitlines()[-1] == str(path)
    stamp = path.stat().st_mtime_ns
    assert cli.main(runs.words(tmp_path)) == 0
    again, error = capsys.readouterr()
    assert again == first
    assert "finished before" in error
    assert path.stat().st_mtime_ns == stamp
    assert cli.main(runs.words(tmp_path, "--trainer.max_steps", "4")) == 2
    assert "holds a finished run with other settings (trainer.max_steps: 3, here 4)" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["fitt"], ["list", "everything"], ["compare"]])
def test_wrong_command_is_refused(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)
    assert stopped.value.code == 2
    said, error = capsys.readouterr()
    assert not said
    assert "usage: prompt-lab" in error


def test_check_survives_a_paradigm_that_breaks(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "own_paradigms.Raises"]) == 1
    assert "FAILED: " in capsys.readouterr().out
