"""Short runs on the toy task and the tiny backbone, in this process and in others."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from prompt_lab import settings
from prompt_lab.experiment import Experiment, Run
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.testing.subject import TOY
from prompt_lab.trees import merged

TRAINER = {
    "accelerator": "cpu", "devices": 1, "max_steps": 3, "log_every_n_steps": 1, "num_sanity_val_steps": 0,
    "check_val_every_n_epoch": 1,
}  # fmt: skip
DATA = {"task": TOY, "k": 2, "batch_size": 2, "max_length": 64}
BASE = {"backbone": "tiny-masked", "wandb": "disabled", "save_model": False, "data": DATA, "trainer": TRAINER}
MODELS = {"zero_shot": "ZeroShot", "fine_tuning": "FineTuning", "pattern_tuning": "PatternTuning"}
MODELS |= {"slow": "own_paradigms.Slow", "raises": "own_paradigms.Raises"}
MODELS |= {"slow_to_answer": "own_paradigms.SlowToAnswer"}


def tree(out: Path, *changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run of pattern tuning, with changes."""
    return merged(BASE, {"out": str(out), "model": {"class_path": "PatternTuning"}}, *changes)


def experiment(out: Path, *changes: Mapping[str, Any]) -> Experiment:
    return settings.parse_tree(tree(out, *changes)).experiment()


def record(out: Path, *changes: Mapping[str, Any]) -> dict[str, Any]:
    """A run's record."""
    return execute(experiment(out, *changes), Bars())


def of(module: Any, data: Any, out: Path, **trainer: Any) -> Experiment:
    """An experiment with a paradigm that is already made."""
    run = Run(backbone="tiny-masked", out=str(out), wandb="disabled", **trainer.pop("run", {}))
    return Experiment(module, data, run, {**TRAINER, **trainer})


def words(out: Path, *more: str, model: str = "PatternTuning") -> list[str]:
    """The command line of a short run."""
    given = ["fit", "--backbone", "tiny-masked", "--wandb", "disabled", "--out", str(out), "--model", model]
    given += [w for k, v in DATA.items() for w in (f"--data.{k}", str(v))]
    given += [w for k, v in TRAINER.items() for w in (f"--trainer.{k}", str(v))]
    return [*given, *more]


def on_two_devices(out: Path, model: str, *more: str) -> Path:
    """Run the real command line, which Lightning starts once more for the second device; the folder of the run."""
    given = ("--data.k", "3", "--data.batch_size", "4", "--trainer.max_steps", "6", *more)
    command = [sys.executable, "-m", "prompt_lab.cli", *words(out, *given, model=model)]
    command += ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("test/acc") == 1, "one process speaks"
    (path,) = out.rglob("record.json")
    return path.parent


def log_probabilities(folder: Path) -> torch.Tensor:
    return torch.tensor([r["log_probabilities"] for r in lines(folder / "predictions.jsonl")])


def suite(folder: Path, name: str = "suite", **keys: Any) -> Path:
    """A suite file on the toy task, with its base and paradigm files."""
    for file, content in {"base": BASE, **{f"paradigms/{n}": _paradigm(n) for n in MODELS}}.items():
        write(folder / f"{file}.yaml", content)
    grid = {"base": "../base.yaml", "paradigms": ["pattern_tuning"], "tasks": [TOY], "k": [2], "seeds": [0]}
    return write(folder / "suites" / f"{name}.yaml", {**grid, "backbones": ["tiny-masked"], **keys})


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class Process:
    """`prompt-lab` in a process of its own, forked from one that has imported everything, which saves seconds.

    An environment variable that is empty is taken away.
    """

    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(["prompt_lab.settings", "prompt_lab.suite", "own_paradigms"])

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._out, self._err = folder / "stdout", folder / "stderr"
        self._process = self._context.Process(
            target=_command, args=(command, environment, str(self._out), str(self._err)), daemon=True
        )
        self._process.start()

    def signal(self, number: int) -> None:
        os.kill(self._process.pid or 0, number)

    def wait(self, seconds: float = 60) -> tuple[int, str, str]:
        """Exit code, standard output and error stream."""
        self._process.join(seconds)
        code = self._process.exitcode
        assert code is not None, f"still running; it said: {self._err.read_text()}"
        return code, self._out.read_text(), self._err.read_text()


def _command(command: tuple[str, ...], environment: Mapping[str, str], out: str, err: str) -> None:
    from prompt_lab import cli

    for name, value in environment.items():
        os.environ[name] = value
        if not value:
            del os.environ[name]
    for number, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.exit(cli.main(command))


def _paradigm(name: str) -> dict[str, Any]:
    return {"model": {"class_path": MODELS[name]}, **({"data": {"k": 0}} if name == "zero_shot" else {})}
