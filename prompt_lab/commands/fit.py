"""`prompt-lab fit`: one run, any setting of which can be given on the command line."""

import sys
from collections.abc import Sequence

from prompt_lab import settings
from prompt_lab.progress import Bars
from prompt_lab.reporting import files

PRINTING = ("--help", "-h", "--print_config", "--model.help", "--data.help", "--trainer.help")


def main(words: Sequence[str]) -> int:
    """Parse, run, print the scores and where the record lies."""
    if any(w.split("=")[0] in PRINTING or w.endswith(".help") for w in words):
        settings.parser().parse_args(list(words))  # prints, and exits
    parsed = settings.parse(words)
    experiment = parsed.experiment()
    record = files.finished(experiment.folder, parsed.identity)
    if record is not None:
        print(f"finished before: {experiment.folder / files.RECORD}", file=sys.stderr)
    else:
        with Bars() as bars:
            record = experiment.execute(bars)
    for name, value in record["scores"].items():
        print(f"{name:<14} {value:.4f}")
    print(experiment.folder / files.RECORD)
    return 0
