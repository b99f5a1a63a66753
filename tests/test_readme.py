"""What the README shows works."""

import re
import subprocess
from pathlib import Path

import pytest

from prompt_lab.data.few_shot import FewShotData
from prompt_lab.discovery import load_file
from prompt_lab.testing.checks import checks
from prompt_lab.testing.subject import Subject

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PARADIGM, STAGED, TASK = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("clause", ["learns_four_rows_by_heart", "answer_is_read_at_the_mask", "logs_the_shared_keys"])
def test_its_paradigm_keeps_the_contract(clause: str, tmp_path: Path) -> None:
    path = tmp_path / "my_idea.py"
    path.write_text(PARADIGM, encoding="utf-8")
    checks()[clause](Subject(load_file(path, "MyIdea")))


@pytest.mark.parametrize("clause", ["counts_what_it_was_told", "logs_the_shared_keys", "same_seeds_same_losses"])
def test_its_paradigm_of_two_fits_keeps_the_contract(clause: str, tmp_path: Path) -> None:
    path = tmp_path / "self_training.py"
    path.write_text(STAGED, encoding="utf-8")
    checks()[clause](Subject(load_file(path, "SelfTraining")))


def test_its_task_reads_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train", "test"):
        rows = [f"{name} text {i},{label}" for i in range(8) for label in ("calm", "urgent")]
        Path(f"{name}.csv").write_text("\n".join(["text_a,label", *(f"{i} {row}" for i, row in enumerate(rows))]))
    Path("my_task.py").write_text(TASK, encoding="utf-8")
    data = FewShotData(str(tmp_path / "my_task.py"), k=4)
    assert (len(data.drawn.train), len(data.drawn.validation), len(data.sealed_test())) == (8, 8, 16)


def test_its_make_targets_are_listed() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in set(re.findall(r"`?make ([a-z]+)", README)):
        assert f"make {target} " in listed, target
    assert len((ROOT / "Makefile").read_text().splitlines()) < 80
