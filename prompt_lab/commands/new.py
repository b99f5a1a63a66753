"""`prompt-lab new`: a starting point for a paradigm, a tuning or a task of one's own."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from prompt_lab.starting import places

_TEST = 2000
"""Test texts from which on a sample of them is proposed."""
_STEPS = "--trainer.max_steps 100"
_ABOUT = {"paradigm": "its contract, in about half a minute", "tuning": "its contract, on a backbone of each kind"}


def main(options: argparse.Namespace) -> int:
    """Write the file, and print what to do next."""
    return _task(options) if options.kind == "task" else _class(options)


def _class(options: argparse.Namespace) -> int:
    from prompt_lab.starting import classes

    made = classes.write(options.kind, options.name, options.out)
    for file in made.files:
        print(places.shown(file))
    if made.checkout is not None:
        print(
            "in this checkout's package, where it is discovered, and tested by tests/contracts (--out . puts it here instead)"
        )
    is_paradigm = options.kind == "paradigm"
    setting = f"--model {made.path}" if is_paradigm else f"--model PatternTuning --model.tuning {made.path}"
    print("\nnext:")
    _print_steps(
        made.files[0].parent if made.checkout is None else None,
        [
            (f"prompt-lab check {made.path if made.checkout is None else made.name}", _ABOUT[options.kind]),
            (f"prompt-lab fit {setting} --data.task rotten_tomatoes {_STEPS}", "one run; --help lists all settings"),
        ],
    )
    if made.checkout is None:
        own = f"{{class_path: {made.path}}}"
        model = own if is_paradigm else f"{{class_path: PatternTuning, init_args: {{tuning: {own}}}}}"
        print(f"  in a suite's paradigms: {{{made.name}: {{config: {made.name}.yaml}}}}, a file beside it that says")
        print(f"    model: {model}")
    else:
        print(f"  in a suite's paradigms: {made.name}")
    return 0


def _task(options: argparse.Namespace) -> int:
    from prompt_lab.starting import names, task_file
    from prompt_lab.starting.proposal import propose

    folder = places.folder(options.out)
    path = folder / f"{options.name}.py"

    def taken(name: str) -> str | None:
        there = folder / f"{name}.py"
        return places.shown(there) if there.exists() else None

    names.checked("task", options.name, taken)
    found = propose(options.data, options.test, options.backbone, options.label, options.text or ())
    places.write({path: task_file.code(options.name, found, folder)})
    from prompt_lab.starting import shown

    shown.print_proposal(found)
    print(f"\n{places.shown(path)}\n\nnext:")
    k = min(16, found.findings.largest_k)
    sample = f" --data.test_size {_TEST // 2}" if found.findings.test > _TEST else ""
    backbone = "" if options.backbone == "minilm-mlm" else f" --backbone {options.backbone}"
    task = f"--data.task {places.shown(path)}"
    _print_steps(
        None,
        [
            (f"prompt-lab show {task}{backbone}", "what the model will really read"),
            (f"prompt-lab check {places.shown(path)}", "whether it still is a task, after you have changed it"),
            (f"prompt-lab fit --model PatternTuning {task} --data.k {k}{sample}{backbone} {_STEPS}", "one run"),
        ],
    )
    print(f"  in a suite: tasks: [{places.shown(path)}]")
    return 0


def _print_steps(folder: Path | None, steps: Sequence[tuple[str, str]]) -> None:
    """Commands with what each is for; first into the folder, as a class is imported from the current one."""
    if folder is not None and folder != Path.cwd().resolve():
        print(f"  cd {places.shown(folder)}")
    width = max(len(command) for command, _ in steps)
    for command, about in steps:
        print(f"  {command:<{width}}  # {about}")
