"""`prompt-lab rescore`: every score again, from stored predictions alone."""

import sys
from collections.abc import Sequence
from pathlib import Path

from prompt_lab.reporting.rescoring import Again, Rescored, rescore

NONE = "–"


def main(folder: Path) -> int:
    """Print recorded and recomputed scores of a run, or of every run below a folder; nothing is written.

    Returns:
        1 if one differs, or could not be computed; 0 otherwise.
    """
    runs = rescore(folder)
    if len(runs) == 1:
        _show("score", [(one, one.agrees, one.name) for one in runs[0].scores])
    else:
        first = [(run, next(one for one in run.scores if one.name == run.metric)) for run in runs if run.scores]
        _show("run", [(one, run.agrees, f"{run.folder.relative_to(folder)}  {one.name}") for run, one in first])
    wrong = [run for run in runs if not run.agrees]
    for run in wrong:
        print(_complaint(run), file=sys.stderr)
    count = sum(one.recorded is not None for run in runs for one in run.scores)
    print(
        f"recorded scores: {count} of {len(runs)} runs; runs that agree: {len(runs) - len(wrong)}, that do not: {len(wrong)}"
    )
    return 1 if wrong else 0


def _show(of: str, rows: Sequence[tuple[Again, bool, str]]) -> None:
    """A line each; what may be long stands last."""
    if rows:
        print(f"{'recorded':>12}  {'recomputed':>12}  {'':<7}  {of}")
    for one, agrees, name in rows:
        print(f"{_number(one.recorded):>12}  {_number(one.found):>12}  {'agrees' if agrees else 'DIFFERS':<7}  {name}")


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.6f}"


def _complaint(run: Rescored) -> str:
    if run.problem is not None:
        return run.problem
    told = ", ".join(f"{d.name} recorded {_number(d.recorded)}, recomputed {_number(d.found)}" for d in run.differing)
    return f"{run.folder}: {told}"
