"""Every experiment file on disk builds, and runs for a moment on a tiny backbone."""

import json
from pathlib import Path

import pytest

from prompt_lab import discovery, grid, settings, trees
from prompt_lab.errors import LabError
from prompt_lab.pretraining import settings as pretraining_settings
from prompt_lab.pretraining.running import execute as execute_pretraining
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.testing.subject import TOY

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
PARADIGMS = sorted((EXPERIMENTS / "paradigms").rglob("*.yaml"))
PRETRAINING = sorted((EXPERIMENTS / "pretraining").rglob("*.yaml"))
SWEEPS = sorted((EXPERIMENTS / "sweeps").rglob("*.yaml"))
"""In W&B's format: see test_sweep_files.py."""
SUITES = sorted((EXPERIMENTS / "suites").rglob("*.yaml"))
FAST = {
    "backbone": "tiny-masked",
    "wandb": "disabled",
    "data": {"task": TOY, "max_length": 64},
    "trainer": {"max_steps": 2, "accelerator": "cpu", "check_val_every_n_epoch": 1},
}


def test_no_file_is_lost() -> None:
    known = {*PARADIGMS, *SUITES, *SWEEPS, *PRETRAINING, EXPERIMENTS / "base.yaml"}
    assert set(EXPERIMENTS.rglob("*.yaml")) == known
    named = {trees.read_yaml(p)["model"]["class_path"] for p in PARADIGMS}
    assert named >= {e.attribute for e in discovery.entries("paradigm").values()}, (
        "every paradigm has its experiment file"
    )
    assert len(PARADIGMS) >= 3
    assert len(SUITES) >= 1
    assert len(PRETRAINING) >= 3


@pytest.mark.parametrize("path", PARADIGMS, ids=lambda p: p.stem)
def test_paradigm_file_runs(path: Path, tmp_path: Path) -> None:
    own = trees.read_yaml(path)
    tree = trees.merged(trees.read_yaml(EXPERIMENTS / "base.yaml"), FAST, {"out": str(tmp_path), "data": {"k": 2}}, own)
    record = execute(settings.parse_tree(tree).experiment(), Bars())
    assert record["scores"]["test/acc"] > 0
    assert record["settings"]["model"]["class_path"].endswith(tree["model"]["class_path"])


@pytest.mark.parametrize("path", SUITES, ids=lambda p: p.stem)
def test_suite_file_expands_to_experiments(path: Path, tmp_path: Path) -> None:
    cells = grid.expand(path, str(tmp_path))
    assert cells
    assert len({c.folder for c in cells}) == len(cells)
    for cell in cells:
        experiment = settings.parse_tree(cell.tree).experiment()
        assert experiment.folder == cell.folder


def test_a_paradigm_file_with_a_typo_is_refused(tmp_path: Path) -> None:
    tree = trees.merged(trees.read_yaml(EXPERIMENTS / "base.yaml"), FAST, {"model": {"class_path": "PatternTunning"}})
    with pytest.raises(LabError, match="Did you mean 'PatternTuning'"):
        settings.parse_tree(tree)


@pytest.mark.parametrize("path", PRETRAINING, ids=lambda p: p.stem)
def test_pretraining_file_runs(path: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(f"The film number {n} was a delight." for n in range(200)))
    texts = [{"class_path": "TextFiles", "init_args": {"paths": [str(tmp_path / "texts.txt")], "unit": "line"}}]
    base = [] if path.name == "minilm_mlm.yaml" else ["--config", str(PRETRAINING[0].with_name("minilm_mlm.yaml"))]
    fast = ["--backbone", "tiny-masked", "--wandb", "disabled", "--out", str(tmp_path), "--probe.examples", "8"]
    fast += ["--data.texts", json.dumps(texts), "--data.max_length", "32", "--trainer.max_steps", "2"]
    run = pretraining_settings.parse([*base, "--config", str(path), *fast])
    record = execute_pretraining(run, Bars())
    assert record["steps"] == 2
    assert record["task"] == path.stem, "the run is named after its file"
