"""What is said of a precision that the processor has no arithmetic for."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from prompt_lab import cli, trainer

import runs


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool, bool, str], None]:
    """Makes the machine one without a GPU, whose CPU multiplies bfloat16 or not, and has matrix units or not."""

    def become(multiplies: bool, has_units: bool, machine: str) -> None:
        monkeypatch.setattr(trainer, "_multiplies_bfloat16", lambda: multiplies)
        monkeypatch.setattr(trainer.torch.cpu, "_is_amx_tile_supported", lambda: has_units)
        monkeypatch.setattr(trainer.platform, "machine", lambda: machine)
        monkeypatch.setattr(trainer.torch.accelerator, "is_available", lambda: False)

    return become


@pytest.mark.parametrize(
    ("precision", "accelerator", "multiplies", "has_units", "machine", "said"),
    [
        (
            "bf16-mixed",
            "cpu",
            False,
            False,
            "x86_64",
            "no arithmetic for bfloat16: bf16-mixed takes many times as long",
        ),
        (
            "bf16-true",
            "auto",
            False,
            False,
            "aarch64",
            "no arithmetic for bfloat16: bf16-true takes many times as long",
        ),
        ("bf16-mixed", "cpu", True, False, "x86_64", r"no matrix units for bfloat16 \(AMX\): bf16-mixed takes longer"),
        ("bf16-mixed", "cpu", True, False, "AMD64", "no matrix units"),
        ("bf16-mixed", "cpu", True, True, "x86_64", None),
        ("bf16-mixed", "cpu", True, False, "arm64", None),
        ("32-true", "cpu", False, False, "x86_64", None),
        (None, "cpu", False, False, "x86_64", None),
    ],
)
def test_advises_against_bfloat16_that_is_no_help(
    precision: str | None,
    accelerator: str,
    multiplies: bool,
    has_units: bool,
    machine: str,
    said: str | None,
    cpu: Callable[[bool, bool, str], None],
) -> None:
    cpu(multiplies, has_units, machine)
    found = trainer.slow_bfloat16({"precision": precision, "accelerator": accelerator})
    assert bool(found) == bool(said)
    if said:
        assert re.search(said, found)
        assert "--trainer.precision 32-true" in found


def test_a_gpu_has_its_own_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "_multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(trainer.torch.accelerator, "is_available", lambda: True)
    assert not trainer.slow_bfloat16({"precision": "bf16-mixed", "accelerator": "auto"})


def test_a_suite_is_advised_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_multiplies_bfloat16", lambda: False)
    path = runs.suite(tmp_path, seeds=[0, 1], settings={"trainer": {"precision": "bf16-mixed", "max_steps": 1}})
    assert cli.main(["compare", str(path), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.count("this CPU has no arithmetic for bfloat16") == 1
