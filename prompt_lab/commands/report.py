"""`prompt-lab report`: what finished runs say, from their records and stored predictions alone."""

from pathlib import Path

from rich.console import Console

from prompt_lab.reporting import files, report
from prompt_lab.reporting.loading import load
from prompt_lab.reporting.study import Study

CORRUPT = 1


def main(folder: Path, out: Path | None = None, baseline: str | None = None, shown: report.Shown = "scores") -> int:
    """Print a table of all runs below a folder, and write the whole report.

    Returns:
        0, or 1 if some run was left out because it could not be read.

    Raises:
        LabError: there is no such folder, none of its runs can be used, they cannot be compared, or no row has the baseline's name.
    """
    loaded = load(folder)
    if not loaded.records and not loaded.failures:
        print("no finished runs")
        return 0
    out = out or folder / "reports" / "all"
    files.check_writable(out)
    study = Study(loaded.outcomes, baseline, loaded.problems)
    made = report.write(loaded.records, out, loaded.failures, study)
    Console().print(made.terminal(shown))
    print("written:", ", ".join(map(str, made.paths)))
    return CORRUPT if loaded.problems else 0
