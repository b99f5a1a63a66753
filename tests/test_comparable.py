"""Seeds of one row have the same settings, but for their seeds and for what does not change what is computed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from test_table import record

from prompt_lab import cli
from prompt_lab.errors import LabError
from prompt_lab.reporting.comparable import check
from prompt_lab.trees import merged

import runs

RATE = "model.init_args.tuning.init_args.learning_rate"
CONFIG = {
    "name": "mine",
    "select": "cv",
    "candidates": [{"trainer": {"max_steps": 50}}],
    "init_seed": None,
    "order_seed": None,
    "out": "runs",
    "data": {"task": "sst2", "seed": 13, "max_length": 64, "files": None},
    "model": {
        "class_path": "prompt_lab.paradigms.pattern_tuning.PatternTuning",
        "init_args": {
            "template": 0,
            "demonstrations": {"seed": None, "sets": 1},
            "tuning": {"class_path": "prompt_lab.tuning.full.Full", "init_args": {"learning_rate": 1.0e-5}},
        },
    },
    "trainer": {"max_steps": 100, "precision": None, "accelerator": "auto", "devices": 1, "strategy": "auto"},
}
"""All settings of a run, as its record holds them."""


def changed(path: str, value: Any) -> dict[str, Any]:
    """A change of the setting of that name."""
    *above, name = path.split(".")
    change: dict[str, Any] = {name: value}
    for key in reversed(above):
        change = {key: change}
    return change


def seeds(change: Mapping[str, Any], **other: Any) -> list[dict[str, Any]]:
    """Two seeds of a paradigm, the second with a change of its settings."""
    second = merged(CONFIG, {"data": {"seed": 21}}, change)
    return [record(config=CONFIG), record(seed=21, config=second, **other)]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (RATE, 3.0e-4, f"{RATE}: 1e-05, here 0.0003"),
        ("trainer.max_steps", 60, "trainer.max_steps: 100, here 60"),
        ("trainer.precision", "bf16-mixed", "trainer.precision: None, here bf16-mixed"),
        ("model.init_args.template", 1, "model.init_args.template: 0, here 1"),
        ("data.max_length", 128, "data.max_length: 64, here 128"),
        ("candidates", [{"trainer": {"max_steps": 9}}], "candidates: .*50.*, here .*9"),
    ],
)
def test_seeds_with_other_settings_are_not_averaged(path: str, value: Any, said: str) -> None:
    with pytest.raises(LabError, match=said) as error:
        check(seeds(changed(path, value)))
    both = "sst2/pattern_tuning/minilm-mlm/k16/seed21 has other settings than sst2/pattern_tuning/minilm-mlm/k16/seed13"
    assert both in str(error.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("init_seed", 7),
        ("order_seed", 7),
        ("model.init_args.demonstrations.seed", 7),
        ("data.files", {"train": "16-21/train.tsv"}),
        ("out", "elsewhere"),
        ("trainer.accelerator", "cpu"),
        ("trainer.devices", 2),
        ("micro_batches", 1),  # which the version that wrote the other record did not know
    ],
)
def test_seeds_may_differ_in_their_seed_their_draw_their_machine_and_their_version(path: str, value: Any) -> None:
    check(seeds(changed(path, value)))


def test_seeds_may_have_chosen_other_candidates() -> None:
    first, second = seeds({}, chosen={"candidate": 1}, tuning="BitFit")
    check([{**first, "chosen": {"candidate": 0}, "tuning": "Full"}, second])


def test_other_rows_have_other_settings() -> None:
    check([record(config=CONFIG), record("fine_tuning", config=merged(CONFIG, changed("trainer.max_steps", 60)))])


def test_a_run_made_in_python_says_nothing_of_its_settings() -> None:
    check([record(), record(seed=21, config={}), record(seed=42, config=CONFIG)])


def test_runs_of_unlike_steps_are_not_reported_as_one_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, steps in ((0, 1), (1, 2)):
        runs.record(tmp_path, {"data": {"seed": seed}, "trainer": {"max_steps": steps}})
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "(trainer.max_steps: 1, here 2)" in capsys.readouterr().err
