"""(d) A suite in one process against the same cells as processes of their own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from run import Ways

from prompt_lab import grid
from prompt_lab.trees import merged

ABOUT = "the quick start's cells at two steps in one process against the same cells as processes of their own"
AIM = 0.25


def ways() -> Ways:
    """With two steps a cell, what is left is what a process and a run cost beside training."""
    folder = Path(tempfile.mkdtemp())
    home = Path("experiments").resolve()
    suite = yaml.safe_load((home / "suites/quickstart.yaml").read_text())
    suite |= {"base": str(home / "base.yaml"), "paradigms": [_settings(home, name) for name in suite["paradigms"]]}
    small = {"trainer": {"max_steps": 2}, "data": {"test_size": 64}, "wandb": "offline"}
    suite["settings"] = merged(suite.get("settings", {}), small)
    path = folder / "suites/quick.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(suite))
    command = [sys.executable, "-c", "import sys; from prompt_lab import cli; sys.exit(cli.main(sys.argv[1:]))"]

    def run(*words: str) -> None:
        subprocess.run([*command, *words], check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})

    def one_process() -> None:
        run("compare", str(path), "--out", tempfile.mkdtemp(dir=folder))

    def own_processes() -> None:
        for number, cell in enumerate(grid.expand(path, tempfile.mkdtemp(dir=folder))):
            settings = folder / f"cell{number}.yaml"
            settings.write_text(yaml.safe_dump(dict(cell.tree)))
            run("fit", "--config", str(settings))

    return {"one process": one_process, "own processes": own_processes}


def _settings(home: Path, name: str) -> dict[str, dict[str, str]]:
    return {name: {"config": str(home / f"paradigms/{name}.yaml")}}
