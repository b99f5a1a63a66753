"""The words that `prompt-lab` understands. Nothing heavy is imported before a command runs."""

import argparse
from collections.abc import Callable
from pathlib import Path

from prompt_lab import __version__

LISTED = ("paradigms", "tasks", "backbones", "templates", "answers", "tunings", "objectives", "texts")
"""What can be listed."""
_NEW = {
    "paradigm": "one file that passes the contract as it stands; inside a checkout, a part of the package with its experiment file",
    "tuning": "one file that passes the contract as it stands; inside a checkout, a part of the package with its experiment file",
    "task": "a task file for a file of texts with labels: columns, language, patterns and label words are found or proposed",
}


def parser() -> argparse.ArgumentParser:
    """The parser of all commands but those whose settings are typed: fit, pretrain and predict have parsers of their own."""
    made = argparse.ArgumentParser(
        prog="prompt-lab", description="Compare ways of prompting and tuning with few labels."
    )
    made.add_argument("--version", action="version", version=f"prompt-lab {__version__}")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser(
        "fit", help="one run: prompt-lab fit --config experiments/base.yaml --model PatternTuning …", add_help=False
    )
    commands.add_parser(
        "pretrain",
        help="teach a backbone from plain text: prompt-lab pretrain --config experiments/pretraining/minilm_mlm.yaml",
        add_help=False,
    )
    compare = _command(commands, "compare", _compare, "a grid of runs, and the table that compares them")
    compare.add_argument("suite", type=Path, help="a YAML file such as experiments/suites/quickstart.yaml")
    compare.add_argument("--out", default="runs", help="folder of all results (default: runs)")
    compare.add_argument(
        "--dry-run", action="store_true", help="list the runs, and which are finished, without running any"
    )
    compare.add_argument(
        "--with",
        action="append",
        dest="more",
        default=[],
        metavar="KEY=VALUE",
        help="a setting for all runs in place of the suite's, such as trainer.precision=32-true",
    )
    compare.add_argument(
        "--side-by-side",
        type=int,
        default=8,
        metavar="N",
        help="how many runs over one frozen backbone read at once, where they differ in seeds and rates alone (default: 8; 1: none)",
    )
    compare.add_argument(
        "--on",
        choices=("here", "ray", "slurm"),
        default="here",
        help="where runs go: this process, a Ray cluster, jobs of SLURM (default: here)",
    )
    compare.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of that place: address, cpus, gpus of ray; folder, cluster, timeout_min, slurm_partition … of slurm",
    )
    report = _command(
        commands,
        "report",
        _report,
        "what finished runs say: tables, tests, pictures, examples, on one page and as files",
    )
    report.add_argument("runs", type=Path, help="folder of results")
    report.add_argument(
        "--baseline", help="the row that others are compared with (default: fine_tuning, if it was run)"
    )
    report.add_argument("--out", type=Path, help="folder to write to (default: reports/all below the results)")
    for command in (compare, report):
        command.add_argument(
            "--columns",
            choices=("scores", "cost"),
            default="scores",
            help="cost: trained parameters, bytes stored, seconds a step and peak memory, against fine_tuning (default: scores)",
        )
    dashboard = _command(
        commands, "dashboard", _dashboard, "a W&B workspace and report that compare the runs of a project"
    )
    dashboard.add_argument("--entity", required=True, help="the W&B user or team")
    dashboard.add_argument("--project", default="prompt_lab", help="the W&B project (default: prompt_lab)")
    dashboard.add_argument(
        "--runs",
        type=Path,
        default=Path("runs"),
        help="folder of results, whose tasks, backbones and Ks get a section (default: runs)",
    )
    dashboard.add_argument(
        "--out", type=Path, default=Path("runs/dashboard.json"), help="what is written where W&B cannot be reached"
    )
    sync = _command(commands, "sync", _sync, "send runs that were logged offline to W&B")
    sync.add_argument("runs", type=Path, help="folder of results")
    sync.add_argument("--project", help="the W&B project (default: the one the runs name)")
    sync.add_argument("--entity", help="the W&B user or team (default: your own)")
    sweep = _command(commands, "sweep", _sweep, "search the settings of a W&B sweep file on this machine")
    sweep.add_argument("file", type=Path, help="a YAML file such as experiments/sweeps/learning_rates.yaml")
    sweep.add_argument(
        "--trials", type=int, help="settings for each paradigm (default: the file's number, or the whole grid)"
    )
    sweep.add_argument("--out", type=Path, default=Path("sweeps"), help="folder of all sweeps (default: sweeps)")
    sweep.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting for all runs in place of the file's, such as trainer.max_steps=20",
    )
    rescore = _command(commands, "rescore", _rescore, "all scores of finished runs again, from their predictions alone")
    rescore.add_argument("runs", type=Path, help="folder of a run, or of results")
    trace = _command(commands, "trace", _trace, "where the number of a finished run came from")
    trace.add_argument("folder", type=Path, help="folder of a finished run", metavar="RUN")
    commands.add_parser(
        "predict", help='labels of texts, by finished runs: prompt-lab predict --run RUN --text "…"', add_help=False
    )
    merge = _command(commands, "merge", _merge, "what a run learnt, as plain weights for transformers")
    merge.add_argument("--run", dest="folder", type=Path, required=True, help="folder of a finished run")
    merge.add_argument("--out", type=Path, required=True, help="folder to write; it must not be there yet")
    show = _command(commands, "show", _show, "what a model really reads of three examples, token by token")
    show.add_argument("--data.task", dest="task", required=True, help="name of a task, or path of your own")
    show.add_argument(
        "--template", default="0", help="number of one of the task's patterns, a pattern, or none (default: 0)"
    )
    show.add_argument("--backbone", default="minilm-mlm", help="whose tokenizer reads (default: minilm-mlm)")
    show.add_argument("--data.max_length", dest="max_length", type=int, default=128, help="tokens (default: 128)")
    show.add_argument("--data.files.test", dest="file", help="a file of your own to take the examples from")
    fill = _command(commands, "fill-mask", _fill_mask, "the words that a backbone finds most probable in a gap")
    fill.add_argument(
        "text", help='with one gap, such as "Paris is the capital of [MASK]."; at its end for causal models'
    )
    fill.add_argument("--backbone", default="minilm-mlm", help="who fills it (default: minilm-mlm)")
    fill.add_argument("--top", type=int, default=10, help="how many words (default: 10)")
    check = _command(commands, "check", _check, "run the contract on a paradigm, a tuning or a task of your own")
    check.add_argument("name", help="my_package.MyParadigm, my_package.MyTuning, my_task.py, or a name of prompt_lab")
    new = _command(commands, "new", _new, "a starting point for a paradigm, a tuning or a task of your own")
    kinds = new.add_subparsers(required=True, metavar="paradigm|tuning|task", dest="kind")
    for kind, what in _NEW.items():
        one = kinds.add_parser(kind, help=what, description=what)
        one.add_argument("name", help="of the file, such as my_idea: small letters, digits and _")
        one.add_argument("--out", type=Path, help="the folder to write to (default: the current one)")
    one.add_argument("--from", dest="data", type=Path, required=True, help="a .csv, .tsv, .jsonl or .parquet file")
    one.add_argument("--test", type=Path, help="a file with the same columns to test on (default: a part is held out)")
    one.add_argument("--backbone", default="minilm-mlm", help="who must know the label words (default: minilm-mlm)")
    one.add_argument("--label", help="the label's column (default: found)")
    one.add_argument("--text", action="append", help="a column of texts, twice for a pair (default: found)")
    listing = _command(commands, "list", _list, "what exists, a line each")
    listing.add_argument("what", choices=LISTED, help="one of " + ", ".join(LISTED), metavar="WHAT")
    return made


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], int],
    about: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(run=run)
    return parser


def _list(options: argparse.Namespace) -> int:
    from prompt_lab.commands import listing

    return listing.main(options.what)


def _compare(options: argparse.Namespace) -> int:
    from prompt_lab.commands import compare

    return compare.main(
        options.suite,
        options.out,
        options.more,
        dry_run=options.dry_run,
        shown=options.columns,
        at_once=options.side_by_side,
        on=options.on,
        settings=options.set,
    )


def _report(options: argparse.Namespace) -> int:
    from prompt_lab.commands import report

    return report.main(options.runs, options.out, options.baseline, options.columns)


def _rescore(options: argparse.Namespace) -> int:
    from prompt_lab.commands import rescore

    return rescore.main(options.runs)


def _trace(options: argparse.Namespace) -> int:
    from prompt_lab.commands import trace

    return trace.main(options.folder)


def _dashboard(options: argparse.Namespace) -> int:
    from prompt_lab.commands import dashboard

    return dashboard.main(options.entity, options.project, options.runs, options.out)


def _sync(options: argparse.Namespace) -> int:
    from prompt_lab.commands import sync

    return sync.main(options.runs, options.project, options.entity)


def _sweep(options: argparse.Namespace) -> int:
    from prompt_lab.commands import sweep

    return sweep.main(options.file, options.trials, options.out, options.set)


def _merge(options: argparse.Namespace) -> int:
    from prompt_lab.commands import merge

    return merge.main(options.folder, options.out)


def _show(options: argparse.Namespace) -> int:
    from prompt_lab.commands import show

    return show.main(options)


def _fill_mask(options: argparse.Namespace) -> int:
    from prompt_lab.commands import fill_mask

    return fill_mask.main(options)


def _new(options: argparse.Namespace) -> int:
    from prompt_lab.commands import new

    return new.main(options)


def _check(options: argparse.Namespace) -> int:
    from prompt_lab.commands import check

    return check.main(options.name)
