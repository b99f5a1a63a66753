"""`prompt-lab fit`: one run, any setting of which can be given on the command line."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout
from lightning.pytorch.utilities import rank_zero_only

from prompt_lab import settings
from prompt_lab.errors import LabError
from prompt_lab.progress import Bars
from prompt_lab.reporting import files
from prompt_lab.running import execute

PRINTING = ("--help", "-h", "--print_config", "--model.help", "--data.help", "--trainer.help")


def main(words: Sequence[str]) -> int:
    """Parse, print what moves, run, print the scores and where the record lies."""
    if only_prints(words):
        settings.print_and_exit(words)
    parsed = settings.parse(words)
    experiment = parsed.experiment()
    record = files.finished(experiment.folder, experiment.settings, experiment.config)
    if record is not None:
        print(f"finished before: {experiment.folder / files.RECORD}", file=sys.stderr)
    else:
        files.check_writable(Path(experiment.run.out))
        with held(experiment.folder), Bars() as bars:
            record = execute(experiment, bars, show_parameters=first())
    if not first():
        return 0
    for name, value in record["scores"].items():
        print(f"{name:<14} {value:.4f}")
    for line in record.get("method", {}).get("shown", ()):
        print(line)
    print(experiment.folder / files.RECORD)
    return 0


def only_prints(words: Sequence[str]) -> bool:
    """Whether the words ask for help or for the configuration."""
    return any(w.split("=")[0] in PRINTING or w.endswith(".help") for w in words)


def first() -> bool:
    """Whether this is the only process of the run, or the first of several."""
    return not rank_zero_only.rank  # type: ignore[attr-defined]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes from computing the same run; the first process does so for all of its own."""
    if not first():
        yield
        return
    try:
        with files.lock(folder).acquire(timeout=0):
            yield
    except Timeout as error:
        raise LabError(
            f"another process has {folder} in hand. Wait for it, or give this run another --name or --out."
        ) from error
