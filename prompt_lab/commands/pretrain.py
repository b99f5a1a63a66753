"""`prompt-lab pretrain`: teach a backbone from plain text, and write what it learnt as a small delta."""

import sys
from collections.abc import Sequence
from pathlib import Path

from prompt_lab import settings as experiment_settings
from prompt_lab.commands.fit import first, held, only_prints
from prompt_lab.pretraining import settings
from prompt_lab.pretraining.run import RECORD
from prompt_lab.pretraining.running import execute
from prompt_lab.progress import Bars
from prompt_lab.reporting import files


def main(words: Sequence[str]) -> int:
    """Parse, run or go on with a run, print the scores and where the delta lies."""
    if only_prints(words):
        experiment_settings.print_and_exit(words, settings.parser)
    pretrain = settings.parse(words)
    folder = pretrain.run.folder
    record = pretrain.finished()
    if record is not None:
        print(f"finished before: {folder / RECORD}", file=sys.stderr)
    else:
        files.check_writable(Path(pretrain.run.out))
        with held(folder), Bars() as bars:
            record = execute(pretrain, bars)
    if not first():
        return 0
    for name, value in record["scores"].items():
        print(f"{name:<32} {value:.4f}")
    print(f"{folder}   (use it as --backbone {folder})")
    return 0
