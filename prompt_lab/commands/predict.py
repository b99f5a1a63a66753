"""`prompt-lab predict`: the labels that finished runs give to texts."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from prompt_lab.batch import Example
from prompt_lab.errors import LabError, unknown
from prompt_lab.predicting import Predictor, examples, predictors
from prompt_lab.progress import Bars
from prompt_lab.reporting import files
from prompt_lab.stored_run import StoredRun, read_run
from prompt_lab.tasks import Task
from prompt_lab.tasks.files import Files
from prompt_lab.tasks.poles import mixed

_PARTS = {"task": "{}", "paradigm": "{}", "backbone": "{}", "k": "K = {}", "split_seed": "seed {}"}


def main(words: Sequence[str]) -> int:
    """Read the runs, let each answer, and print a table or write a file."""
    given, _ = _parser().parse_known_args(words)
    runs = [read_run(folder) for folder in given.run]
    options = _options(words, runs)
    texts = _texts(options, runs)
    if options.out is not None:
        if options.out.is_dir():
            raise LabError(f"--out {options.out} is a folder; give the path of a file")
        files.check_writable(options.out.parent)
    with Bars() as bars:
        answers = [
            (one, own, one.log_probabilities(own, bars))
            for one, own in zip(predictors(runs, options.accelerator), texts, strict=True)
        ]
    if options.out is None:
        Console(highlight=False).print(_table(answers))
        return 0
    files.write_lines(options.out, _lines(answers))
    print(f"{options.out}   ({len(texts[0])} texts, {len(runs)} runs)")
    return 0


Answers = Sequence[tuple[Predictor, Sequence[Example], Tensor]]
"""Of each run: what it read, and the log-probabilities of its labels [N, C]."""


# ---------------------------------------------------------------- what is asked


def _parser(names: Sequence[str] = (), alias: Sequence[str] = ()) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prompt-lab predict",
        usage='prompt-lab predict --run RUN (--text "…" | --file FILE) [--out OUT] [--accelerator auto|cpu|gpu]',
        description="Let finished runs label texts. Every field of their task is an option, such as --text_b; --text is the first.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--run", type=Path, action="append", required=True, help="folder of a finished run; may be given several times"
    )
    parser.add_argument("--file", type=Path, help="a text a row: .csv, .tsv, .jsonl, .parquet, or .txt with one a line")
    parser.add_argument("--out", type=Path, help="write all log-probabilities there as JSON lines; else print a table")
    parser.add_argument("--accelerator", choices=("auto", "cpu", "gpu"), default="auto", help="(default: auto)")
    for name in names:
        flags = [*alias, f"--{name}"] if alias and name == names[0] else [f"--{name}"]
        parser.add_argument(
            *flags, dest=f"field {name}", action="append", default=[], help="may be given several times"
        )
    return parser


def _options(words: Sequence[str], runs: Sequence[StoredRun]) -> argparse.Namespace:
    """The words, read with the fields of the runs' tasks."""
    names = list(dict.fromkeys(name for run in runs for name in run.task.fields))
    is_first = len({run.task.fields[0] for run in runs}) == 1 and "text" not in names
    parser = _parser(names, ["--text"] if is_first else [])
    options, extra = parser.parse_known_args(words)
    if extra:
        known = [flag.removeprefix("--") for flag in parser._option_string_actions]
        raise unknown("option", extra[0].removeprefix("--").partition("=")[0], known)
    options.fields = {name: getattr(options, f"field {name}") for name in names}
    return options


def _texts(options: argparse.Namespace, runs: Sequence[StoredRun]) -> list[list[Example]]:
    """The examples of each run, in the same order.

    Raises:
        LabError: there is no text, or a task's field is missing.
    """
    given = {name: texts for name, texts in options.fields.items() if texts}
    if bool(given) == bool(options.file):
        raise LabError('give texts with --text "…", which may stand there several times, or with --file, and not both')
    if options.file:
        return [_from_file(options.file, run.task) for run in runs]
    if len({len(texts) for texts in given.values()}) > 1:
        counts = ", ".join(f"{len(texts)} of {name}" for name, texts in given.items())
        raise LabError(f"every text needs all its fields, once each, in the same order; there are {counts}")
    rows = [dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)]
    return [examples(run.task, rows) for run in runs]


def _from_file(path: Path, task: Task) -> list[Example]:
    return Files(unlabeled=str(path)).read(task)["unlabeled"]


# ---------------------------------------------------------------- what is answered


def _table(answers: Answers) -> Table:
    """A row for each text: its fields, and each run's label with its probability."""
    fields = list(dict.fromkeys(name for one, _, _ in answers for name in one.task.fields))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in fields:
        table.add_column(name, overflow="fold", ratio=1)
    for title in _titles([one.run for one, _, _ in answers]):
        table.add_column(title)
        table.add_column("", justify="right")
    for number in range(len(answers[0][1])):
        read = {name: text for _, own, _ in answers for name, text in own[number].fields.items()}
        said = [part for one, _, logp_NC in answers for part in _said(one.task, logp_NC[number])]
        table.add_row(*(Text(read[name]) for name in fields), *map(Text, said))
    return table


def _said(task: Task, logp_C: Tensor) -> tuple[str, str]:
    """The label and its probability; for a task with bounds the number, and nothing."""
    if task.bounds is not None:
        return f"{mixed(float(logp_C.exp()[1]), task.bounds):.4g}", ""
    return task.labels[int(logp_C.argmax())], f"{float(logp_C.max().exp()):.1%}"


def _lines(answers: Answers) -> list[dict[str, Any]]:
    """A line for each text and run."""
    found = []
    for number in range(len(answers[0][1])):
        for one, own, logp_NC in answers:
            logp_C, task = logp_NC[number].double(), one.task
            value = {} if task.bounds is None else {"predicted_value": mixed(float(logp_C.exp()[1]), task.bounds)}
            found.append(
                {
                    "run": str(one.run.folder),
                    "text": dict(own[number].fields),
                    "predicted": task.labels[int(logp_C.argmax())],
                    **value,
                    "log_probabilities": dict(zip(task.labels, logp_C.tolist(), strict=True)),
                }
            )
    return found


def _titles(runs: Sequence[StoredRun]) -> list[str]:
    """What tells the runs apart, in few words."""
    differing = [p for p in _PARTS if len({str(run.record[p]) for run in runs}) > 1] or ["paradigm"]
    titles = [" ".join(_PARTS[p].format(run.record[p]) for p in differing) for run in runs]
    return titles if len(set(titles)) == len(runs) else [str(run.folder) for run in runs]
