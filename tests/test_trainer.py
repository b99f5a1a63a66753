"""What is said of a precision that the processor has no arithmetic for."""

from pathlib import Path

import pytest

from prompt_lab import cli, trainer

import runs


@pytest.mark.parametrize(
    ("precision", "accelerator", "has_arithmetic", "is_advised"),
    [
        ("bf16-mixed", "cpu", False, True),
        ("bf16-true", "auto", False, True),
        ("bf16-mixed", "cpu", True, False),
        ("32-true", "cpu", False, False),
        (None, "cpu", False, False),
    ],
)
def test_advises_against_bfloat16_in_software(
    precision: str | None, accelerator: str, has_arithmetic: bool, is_advised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_multiplies_bfloat16", lambda: has_arithmetic)
    monkeypatch.setattr(trainer.torch.accelerator, "is_available", lambda: False)
    said = trainer.in_software({"precision": precision, "accelerator": accelerator})
    assert bool(said) == is_advised
    assert ("--trainer.precision 32-true" in said) == is_advised


def test_a_gpu_has_its_own_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "_multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(trainer.torch.accelerator, "is_available", lambda: True)
    assert not trainer.in_software({"precision": "bf16-mixed", "accelerator": "auto"})


def test_a_suite_is_advised_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_multiplies_bfloat16", lambda: False)
    path = runs.suite(tmp_path, seeds=[0, 1], settings={"trainer": {"precision": "bf16-mixed", "max_steps": 1}})
    assert cli.main(["compare", str(path), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.count("this CPU has no arithmetic for bfloat16") == 1
