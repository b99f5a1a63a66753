"""`prompt-lab sweep`: search the settings of a sweep file on this machine, as many for every paradigm."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from prompt_lab.errors import LabError
from prompt_lab.progress import Bars
from prompt_lab.tracking.sweeps import file, outcome, picture
from prompt_lab.tracking.sweeps.search import SUMMARY, Search

PICTURE = "score_against_settings.png"


def main(path: Path, trials: int | None, out: Path, more: Sequence[str]) -> int:
    """Search, then print what was chosen, and write ``sweep.json`` and a picture; 1 if a run failed."""
    sweep = file.read(path)
    if sweep.method != "grid":
        _require_optuna()
    search = Search(sweep, trials, out, more)
    try:
        with Blind(search.runs) as bars:
            search.run(bars)
    finally:
        outcome.write(search)
    Console().print(outcome.table(search))
    for line in outcome.lines(search):
        print(line)
    written = [search.folder / SUMMARY]
    if any(trial.mean is not None for trial in search.tried):
        picture.score_against_settings(search.tried, sweep, search.folder / PICTURE)
        written.append(search.folder / PICTURE)
    print("written:", ", ".join(map(str, written)))
    return 1 if any(trial.mean is None for trial in search.tried) else 0


class Blind(Bars):
    """Bars that say nothing of a test: who searches settings does not look at it (PROTOCOL rule 6)."""

    def say(self, line: str) -> None:
        """A line that stays, if it tells no test score."""
        if ": test/" not in line and "has collapsed" not in line:
            super().say(line)


def _require_optuna() -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise LabError(
            "this sweep draws its settings by Optuna, which is not installed: pip install 'prompt-lab[sweep]'"
        ) from error
