"""Sweep files: W&B's format, read here as W&B and its agent read it, or refused with the reason."""

import math
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps import utils as agent

from prompt_lab import settings
from prompt_lab.errors import LabError
from prompt_lab.tracking.sweeps import file
from prompt_lab.tracking.sweeps.naming import label
from prompt_lab.tracking.sweeps.search import Search
from prompt_lab.tracking.sweeps.space import parameter
from prompt_lab.trees import read_yaml

import runs

SWEEPS = sorted((Path(__file__).parents[1] / "experiments" / "sweeps").rglob("*.yaml"))
W_AND_B = {
    "apiVersion", "command", "controller", "description", "early_terminate", "entity", "image_uri", "job", "kind", "method", "metric",
    "metrics", "name", "parameters", "program", "project", "run_cap", "scheduler",
}  # fmt: skip
"""Keys of W&B's schema (wandb/sweeps, config/schema.json), which allows no others."""
SWEEP: dict[str, Any] = {
    "method": "random",
    "metric": {"name": "val/acc", "goal": "maximize"},
    "command": ["${env}", "prompt-lab", "fit", "--trainer.max_steps=3", "${args}"],
    "parameters": {
        "lr": {"min": 0.1, "max": 0.9},
        "config": {"values": ["a/one.yaml", "a/two.yaml"]},
        "data.k": {"value": 2},
    },
}


def written(folder: Path, **changes: Any) -> Path:
    return runs.write(folder / "mine.yaml", {**SWEEP, **changes})


def read(folder: Path, **parameters: Any) -> file.Sweep:
    return file.read(written(folder, parameters={**SWEEP["parameters"], **parameters}))


# ------------------------------------------------------------------------------------------------- distributions


@pytest.mark.parametrize(
    ("entry", "drawn", "value"),
    [
        ({"values": ["a", 7]}, 1, 7),
        ({"min": 1, "max": 8}, 5, 5),
        ({"min": 0.0, "max": 1.0}, 0.123456, 0.123),
        ({"distribution": "uniform", "min": 0, "max": 1}, 0.123456, 0.123),
        ({"distribution": "log_uniform_values", "min": 1.0e-5, "max": 0.1}, 0.00123456, 0.00123),
        ({"distribution": "log_uniform", "min": -3, "max": 0}, 0.0523456, 0.0523),
        ({"distribution": "q_uniform", "min": 1, "max": 64, "q": 8}, 21.0, 24),
        ({"distribution": "q_uniform", "min": 0, "max": 64}, 20.6, 21),
        ({"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.1}, 0.31, 0.3),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 64, "q": 4}, 10.5, 12),
    ],
)
def test_what_a_draw_stands_for(entry: dict[str, Any], drawn: float, value: Any) -> None:
    found = parameter("x", entry).value(drawn)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("entry", "optuna"),
    [
        ({"values": ["a", "b", "c"]}, "CategoricalDistribution(choices=(0, 1, 2))"),
        ({"min": 1, "max": 8}, "IntDistribution(high=8, log=False, low=1, step=1)"),
        ({"min": 0.5, "max": 1}, "FloatDistribution(high=1.0, log=False, low=0.5, step=None)"),
        (
            {"distribution": "log_uniform_values", "min": 0.01, "max": 1},
            "FloatDistribution(high=1.0, log=True, low=0.01, step=None)",
        ),
        (
            {"distribution": "q_uniform", "min": 0, "max": 9, "q": 3},
            "FloatDistribution(high=9.0, log=False, low=0.0, step=None)",
        ),
    ],
)
def test_what_optuna_draws_from(entry: dict[str, Any], optuna: str) -> None:
    assert str(parameter("x", entry).optuna()) == optuna


def test_log_uniform_is_told_exponents() -> None:
    """As W&B has it: between exp(min) and exp(max)."""
    found = parameter("x", {"distribution": "log_uniform", "min": -2, "max": 1})
    assert (found.low, found.high) == (math.exp(-2), math.exp(1))


def test_what_is_drawn_stays_in_its_range() -> None:
    assert parameter("x", {"min": 0.12345, "max": 0.2}).value(0.12345) == 0.12345


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"distribution": "normal", "mu": 0}, "unknown distribution of the parameter x 'normal'"),
        ({"distribution": "log_uniform_value", "min": 1, "max": 2}, "Did you mean 'log_uniform_values'"),
        ({"values": [1, 2], "probabilities": [0.1, 0.9]}, "x has probabilities; categorical is told values here"),
        (
            {"min": "1e-5", "max": 0.1},
            "min of the parameter x must be a number; it was '1e-5'; YAML reads 1.0e-5 as a number",
        ),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "needs a min above 0 below its max"),
        ({"min": 2, "max": 1}, "needs a min below its max; they were 2 and 1"),
        ({"min": 2}, "lacks max, which int_uniform needs"),
        ({"values": []}, "values of the parameter x must be a list"),
        ({"parameters": {"y": {"value": 1}}}, "write each with its full name"),
        (3, "needs value, values, or min and max; it was 3"),
    ],
)
def test_other_parameters_are_refused(entry: Any, message: str) -> None:
    with pytest.raises(LabError, match=re.escape(message)):
        parameter("x", entry)


# ------------------------------------------------------------------------------------------------- files


def test_a_file_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, trials={"value": 4}, **{"data.seed": {"values": [13, 21]}})
    assert (found.name, found.metric, found.goal, found.trials) == ("mine", "val/acc", "maximize", 4)
    assert found.paradigms == {"one": "a/one.yaml", "two": "a/two.yaml"}
    assert [one.name for one in found.searched] == ["lr"]
    assert found.constants == {"data.k": 2}
    assert found.seeds == (13, 21)
    assert found.command == ("--trainer.max_steps=3",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": {"name": "test/acc", "goal": "maximize"}}, "nothing is chosen by the test"),
        ({"metric": {"name": "train/loss", "goal": "minimize"}}, "chosen by a validation score"),
        ({"metric": {"name": "val/acc"}}, "W&B minimizes where there is none"),
        (
            {"metric": {"name": "val/acc", "goal": "maximize", "target": 0.9}},
            "a target would end the search of one paradigm",
        ),
        (
            {"early_terminate": {"type": "hyperband"}},
            "early_terminate is not used here: a run that is stopped half-way",
        ),
        ({"method": "custom"}, "method must be grid, random, bayes; it was 'custom'"),
        ({"method": "grid"}, "a grid needs values; lr is uniform"),
        ({"paradigms": []}, "is a suite, not a sweep in W&B's format: prompt-lab compare"),
        ({"metod": "grid"}, "Did you mean 'method'"),
        ({"command": ["prompt-lab", "fit"]}, "with ${args} among them"),
        ({"command": ["python", "train.py", "${args}"]}, "must run `prompt-lab fit`"),
        ({"command": ["prompt-lab", "fit", "--data.k", "3", "${args}"]}, "written --key=value; --data.k is not"),
        ({"parameters": {"lr": {"value": 1}}}, "nothing to search"),
        ({"parameters": {}}, "parameters must hold settings by name"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=re.escape(message)):
        file.read(written(tmp_path, **changes))


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("data.task", {"values": ["sst2", "imdb"]}, "scores on different ones cannot be compared"),
        ("data.k", {"values": [4, 16]}, "scores on different ones cannot be compared"),
        ("init_seed", {"values": [1, 2]}, "a seed is nothing to choose"),
        ("data.seed", {"min": 0, "max": 100}, "every setting is run with each of them"),
        ("model", {"values": ["FineTuning", "PatternTuning"]}, "paradigms are compared by their files"),
        ("out", {"value": "there"}, "a folder for its runs"),
        ("trials", {"value": 0}, "trials must be a whole number, at least 1"),
        ("config", {"values": ["a/one.yaml", "b/one.yaml"]}, "each a file with a name of its own"),
    ],
)
def test_what_would_make_a_comparison_unfair_is_refused(tmp_path: Path, name: str, entry: Any, message: str) -> None:
    with pytest.raises(LabError, match=re.escape(message)):
        read(tmp_path, **{name: entry})


def test_names_tell_settings(tmp_path: Path) -> None:
    given = {
        "a.rank": {"values": [1, 2]},
        "template": {"values": ["It was {mask}.", "x"]},
        "b.lr": {"min": 0.1, "max": 0.2},
    }
    searched = read(tmp_path, **given).searched
    values = {"lr": 0.5, "a.rank": 2, "template": "It was {mask}.", "b.lr": 0.1}
    assert label(searched, values) == "rank=2,b_lr=0.1,lr=0.5,template=value0"


# ------------------------------------------------------------------------------------------------- those of the experiments


def test_no_sweep_is_lost_and_nothing_else_is_among_them() -> None:
    assert [p.stem for p in SWEEPS] == ["learning_rates", "lora"]
    assert all({"method", "metric", "parameters"} <= set(read_yaml(p)) for p in SWEEPS)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_a_file_is_wandbs_own_format(path: Path) -> None:
    tree = yaml.safe_load(path.read_text())
    assert set(tree) <= W_AND_B
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) for name in tree["parameters"])


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_wandbs_agent_and_the_local_search_make_the_same_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command as W&B's own agent fills it in, run by a shell, with a `prompt-lab` that only prints its words."""
    monkeypatch.chdir(path.parents[2])
    sweep = file.read(path)
    search = Search(sweep, None, tmp_path / "out")
    for paradigm, config in sweep.paradigms.items():
        chosen = {one.name: one.value(one.low or 0) for one in sweep.searched}
        given = {**sweep.constants, **chosen, "config": config, "trials": sweep.trials}
        given |= {"data.seed": sweep.seeds[0]} if sweep.seeds else {}
        words = as_the_agent(read_yaml(path)["command"], dict(sorted(given.items())), tmp_path)
        assert words[0] == "fit"
        assert "--out=sweeps/the_sweep/the_run" in words, "every trial of an agent has a folder of its own"
        parsed = settings.parse(words[1:])
        parsed.experiment()
        assert parsed.config.trials == search.trials
        (cell, *_) = search.cells(paradigm, chosen)
        assert settings.parse_tree(cell.tree).identity == {**parsed.identity, "backbone": cell.tree["backbone"]}


def as_the_agent(command: list[str], given: dict[str, Any], folder: Path) -> list[str]:
    """The words that `prompt-lab` is given."""
    printing = folder / "prompt-lab"
    printing.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    printing.chmod(0o755)
    filled = agent.create_sweep_command_args({"args": {name: {"value": value} for name, value in given.items()}})
    filled["env"] = ["/usr/bin/env"]
    words = [word for chunk in agent.create_sweep_command(list(command)) for word in filled.get(chunk[2:-1], [chunk])]
    path = {"PATH": f"{folder}:{os.environ['PATH']}", "WANDB_SWEEP_ID": "the_sweep", "WANDB_RUN_ID": "the_run"}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=path, timeout=30).stdout.splitlines()
