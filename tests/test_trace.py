"""`prompt-lab trace`: where a number came from."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prompt_lab import cli, settings
from prompt_lab.reporting import again
from prompt_lab.reporting.tracing import AGAIN, trace

import runs

HEAVY = ("torch", "lightning", "transformers", "wandb", "datasets", "matplotlib")
TEMPLATE = "{text_a} It's {mask}!"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    words = runs.words(
        folder, "--model.template", TEMPLATE, "--model.answer", "Words", "--name", "mine", "--data.seed", "13"
    )
    assert cli.main(words) == 0
    runs.record(folder, {"model": {"class_path": "ZeroShot"}, "data": {"k": 0}})
    return folder


@pytest.fixture
def run(out: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(next(out.rglob("mine/*/k2/seed13")), tmp_path / "run"))


def flat(folder: Path) -> dict[str, str]:
    return {f"{heading}/{name}": value for heading, facts in trace(folder).items() for name, value in facts}


def test_everything_that_led_to_the_number(run: Path) -> None:
    facts, record = flat(run), json.loads((run / "record.json").read_text())
    drawn = runs.lines(run / "examples.jsonl")
    assert facts["score/test/acc"] == f"{100 * record['scores']['test/acc']:.2f} %"
    assert facts["score/predictions"] == "they give this score"
    assert facts["data/seeds"] == "split 13, init 13, order 13"
    assert facts["data/K"] == "2"
    assert facts["examples drawn/fingerprint"] == record["data"]["fingerprint"]
    assert facts["examples drawn/"] == "it is that of the examples in the file"
    assert facts["examples drawn/train"].startswith("4: ")
    assert facts["examples drawn/train"].count(" 2") == 2
    assert facts["examples drawn/file"] == str(run / "examples.jsonl")
    for i in range(3):
        assert drawn[i]["text_a"] in facts[f"examples drawn/text {i}"]
        assert drawn[i]["label"] in facts[f"examples drawn/text {i}"]
        assert drawn[i]["origin"] in facts[f"examples drawn/text {i}"]
    assert "examples drawn/text 3" not in facts
    assert facts["what it read/template"] == record["template"]
    assert facts["what it read/label words"].startswith("the task's own, ")
    assert facts["what moved/its revision"] == record["backbone_revision"]
    assert facts["selection/selection"] == "fixed"
    assert facts["information budget/labels train"] == "4"
    assert facts["cost/steps"] == "3"
    assert facts["environment/python"] == record["environment"]["python"]
    assert f"torch {record['environment']['packages']['torch']}" in facts["environment/packages"]
    assert facts["settings given/trainer.max_steps"] == "3"
    assert {"files/record.json", "files/predictions.jsonl"} <= set(facts)


def test_the_command_gives_the_same_settings(run: Path) -> None:
    record = json.loads((run / "record.json").read_text())
    words = shlex.split(flat(run)[f"{AGAIN}/"])
    assert words[:2] == ["prompt-lab", "fit"]
    assert words[-4:] == ["--name", "mine", "--out", "runs/again"]
    parsed = settings.parse(words[2:])
    assert parsed.identity == record["settings"]
    assert parsed.given["model"]["init_args"]["template"] == TEMPLATE


def test_settings_of_every_kind_go_through_a_shell() -> None:
    given: dict[str, Any] = {
        "data": {"files": None, "k": "full"},
        "candidates": [{"model": {"init_args": {"template": 1}}}],
        "model": {"class_path": "A", "init_args": {"template": "{text_a} is {mask}; it's", "on": True}},
    }
    words = shlex.split(again.command({"settings": given}, "o"))
    assert dict(zip(words[2::2], words[3::2], strict=True)) == {
        "--data.files": "null",
        "--data.k": "full",
        "--candidates": '[{"model": {"init_args": {"template": 1}}}]',
        "--model": "A",
        "--model.init_args.template": "{text_a} is {mask}; it's",
        "--model.init_args.on": "true",
        "--out": "o",
    }


def test_other_examples_than_those_of_the_record_are_told_of(run: Path) -> None:
    path = run / "examples.jsonl"
    rows = runs.lines(path)
    rows[0]["text_a"] += " and more"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert flat(run)["examples drawn/"].startswith("IT DIFFERS: the file has sha256:")
    path.write_text("{")
    assert "cannot be read" in flat(run)["examples drawn/examples"]
    path.unlink()
    assert "FileNotFoundError" in flat(run)["examples drawn/examples"]


def test_predictions_that_do_not_give_the_score_are_told_of(run: Path) -> None:
    path = run / "predictions.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    assert "test items, but" in flat(run)["score/predictions"]
    path.unlink()
    facts = flat(run)
    assert "FileNotFoundError" in facts["score/predictions"]
    assert facts["examples drawn/"] == "it is that of the examples in the file"


def test_a_run_without_examples(out: Path) -> None:
    facts = flat(next(out.rglob("k0/seed*")))
    assert facts["examples drawn/train"] == "none"
    assert facts["examples drawn/"] == "it is that of the examples in the file"
    assert "examples drawn/text 0" not in facts


def test_a_run_made_in_python_has_no_command(run: Path) -> None:
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"settings": {}, "config": {}}))
    facts = flat(run)
    assert "made in Python" in facts[f"{AGAIN}/"]
    assert facts["score/test/acc"]


def test_label_words_that_were_given_are_shown(run: Path) -> None:
    record = json.loads((run / "record.json").read_text())
    record["config"]["model"]["init_args"]["answer"]["init_args"]["words"] = {
        "positive": ["fine", "nice"],
        "negative": "dull",
    }
    (run / "record.json").write_text(json.dumps(record))
    assert flat(run)["what it read/label words"] == "positive: fine, nice; negative: dull"


def test_it_is_printed_and_loads_no_model(run: Path) -> None:
    code = f"""
import sys
from prompt_lab import cli
assert cli.main(["trace", {str(run)!r}]) == 0
print("heavy:", *sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[-1] == "heavy:"
    assert lines[0] == "score"
    (command,) = [line for line in lines if line.startswith("  prompt-lab fit ")]
    assert command.endswith("--out runs/again"), "on one line, to be copied"
    assert json.loads((run / "record.json").read_text())["data"]["fingerprint"] in "".join(ran.stdout.split())


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trace", str(tmp_path)]) == 2
    assert "is no finished run: it holds no record.json" in capsys.readouterr().err
