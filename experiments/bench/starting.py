"""How long a suite takes to its first step, and what a cell of a second suite in the same process costs beside its steps."""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import yaml
from run import Ways

from prompt_lab import grid, suite
from prompt_lab.progress import Bars

ABOUT = "seconds from the command to the first step of a suite (aim: 12), and of a cell of one step in a second suite (aim: 1)"
AIM = None
SECONDS = {"command to first step": 12.0, "a cell of a second suite": 1.0}
PAIRS = ()
SUITE = Path("experiments/suites/quickstart.yaml")


def ways() -> Ways:
    """Seconds of each."""

    def small(folder: Path, paradigms: list[str]) -> Path:
        home = SUITE.parent.parent.resolve()
        tree = yaml.safe_load(SUITE.read_text())
        tree |= {"base": str(home / "base.yaml"), "tasks": tree["tasks"][:1]}
        tree["paradigms"] = [{name: {"config": str(home / f"paradigms/{name}.yaml")}} for name in paradigms]
        tree["settings"] = {"trainer": {"max_steps": 1}, "data": {"test_size": 8}, "wandb": "offline"}
        path = folder / "suites/small.yaml"
        path.parent.mkdir()
        path.write_text(yaml.safe_dump(tree))
        return path

    def to_the_first_step() -> float:
        folder = Path(tempfile.mkdtemp())
        path = small(folder, ["pattern_tuning"])
        code = "import sys; from prompt_lab import cli; sys.exit(cli.main(sys.argv[1:]))"
        words = [sys.executable, "-c", code, "compare", str(path), "--out", str(folder / "runs"), "--side-by-side", "1"]
        start = time.time()
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        records = [json.loads(p.read_text()) for p in (folder / "runs").rglob("record.json")]
        first = min(records, key=lambda record: str(record["started"]))
        seconds = first["cost"]["seconds"]
        began = datetime.fromisoformat(first["started"]).timestamp() - start
        return float(began + seconds["prepare"] + seconds["load"] + seconds["fit"])

    def another_cell() -> float:
        folder = Path(tempfile.mkdtemp())
        cells = grid.expand(small(folder, ["fine_tuning", "pattern_tuning"]), str(folder / "runs"))
        start = time.perf_counter()
        suite.run(cells, Bars(), at_once=1)
        return (time.perf_counter() - start) / len(cells)

    return {"command to first step": to_the_first_step, "a cell of a second suite": another_cell}
