"""`prompt-lab fit`: one run, any setting of which can be given on the command line."""

import sys
from collections.abc import Sequence

from lightning.pytorch.utilities import rank_zero_only

from prompt_lab import settings
from prompt_lab.progress import Bars
from prompt_lab.reporting import files
from prompt_lab.running import execute

PRINTING = ("--help", "-h", "--print_config", "--model.help", "--data.help", "--trainer.help")


def main(words: Sequence[str]) -> int:
    """Parse, run, print the scores and where the record lies."""
    if any(w.split("=")[0] in PRINTING or w.endswith(".help") for w in words):
        settings.print_and_exit(words)
    parsed = settings.parse(words)
    experiment = parsed.experiment()
    record = files.finished(experiment.folder, experiment.settings, experiment.config)
    if record is not None:
        print(f"finished before: {experiment.folder / files.RECORD}", file=sys.stderr)
    else:
        with Bars() as bars:
            record = execute(experiment, bars)
    if rank_zero_only.rank:  # type: ignore[attr-defined]  # one of several processes of this run, and not the first
        return 0
    for name, value in record["scores"].items():
        print(f"{name:<14} {value:.4f}")
    print(experiment.folder / files.RECORD)
    return 0
