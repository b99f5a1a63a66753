"""A local search over a sweep file: as many settings for every paradigm, each run with every seed, chosen by validation."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from prompt_lab.errors import LabError
from prompt_lab.grid import Cell
from prompt_lab.reporting import files
from prompt_lab.tracking.sweeps.file import Sweep
from prompt_lab.tracking.sweeps.naming import label
from prompt_lab.tracking.sweeps.proposing import Drawn, propose
from prompt_lab.trees import difference, merged

if TYPE_CHECKING:
    from prompt_lab.progress import Bars

DRAWN, SUMMARY = "drawn.jsonl", "sweep.json"


@dataclass(frozen=True)
class Trial:
    """A setting of a paradigm, and how it did.

    Attributes:
        paradigm: its name.
        number: in the order in which they were tried, from 0.
        drawn: what was drawn.
        settings: what that means, by the names of the parameters.
        records: of its finished runs, one a seed.
        planned: how many runs it has.
        metric: what it is judged by.
    """

    paradigm: str
    number: int
    drawn: Drawn
    settings: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]
    planned: int
    metric: str

    @property
    def scores(self) -> dict[int, float]:
        """By seed."""
        return {record["split_seed"]: record["scores"][self.metric] for record in self.records}

    @property
    def mean(self) -> float | None:
        """Over its seeds; None where a run failed, or has not been made."""
        return fmean(self.scores.values()) if len(self.records) == self.planned else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation over its seeds (ddof = 1); None for fewer than two."""
        return stdev(self.scores.values()) if len(self.records) > 1 else None


class Search:
    """The search that a sweep file asks for.

    What was drawn is kept in ``drawn.jsonl`` and what came out in the records of the runs: a search that is killed goes on, and no
    finished run is made again.

    Args:
        sweep: what to search.
        trials: settings for each paradigm; the file's number, or the whole grid, by default.
        out: folder of all sweeps.
        more: settings for all runs in place of the file's constants, such as ``trainer.max_steps=20``.

    Raises:
        LabError: the number of trials is not said, or not that of the grid; a setting is one that is searched; or the folder holds
            another sweep.
    """

    def __init__(self, sweep: Sweep, trials: int | None, out: Path, more: Sequence[str] = ()) -> None:
        self.sweep, self.more = sweep, _more(sweep, more)
        self.trials = _trials(sweep, trials)
        self.folder = out / sweep.name
        self.definition = {**sweep.definition, "more": self.more}
        self._check_folder()
        self.tried: list[Trial] = []

    @property
    def runs(self) -> int:
        """How many runs there are in all."""
        return self.trials * len(self.sweep.paradigms) * max(1, len(self.sweep.seeds))

    def run(self, bars: "Bars") -> None:
        """Try every setting, the paradigms in turn.

        Raises:
            LabError: settings cannot be used, another process has this sweep in hand, or a run has no such score.
            KeyboardInterrupt: it was stopped; what is finished stays.
        """
        try:
            with files.lock(self.folder).acquire(timeout=0):
                for number in range(self.trials):
                    for paradigm in self.sweep.paradigms:
                        self._try(paradigm, number, bars)
        except Timeout as error:
            raise LabError(f"another process has {self.folder} in hand. Wait for it, or give another --out.") from error

    def cells(self, paradigm: str, settings: Mapping[str, Any]) -> list[Cell]:
        """The runs of a setting."""
        name = f"{paradigm}.{label(self.sweep.searched, settings)}"
        config = self.sweep.paradigms[paradigm]
        given = {**self.sweep.constants, **self.more, **settings}
        words = [*self.sweep.command, *([] if config is None else [f"--config={config}"])]
        words += [f"--{key}={value}" for key, value in sorted(given.items())]  # as W&B's agent gives them
        words += [f"--name={name}", f"--out={self.folder}", f"--trials={self.trials}"]
        seeds = [[f"--data.seed={seed}"] for seed in self.sweep.seeds] or [[]]
        return [_cell([*words, *seed]) for seed in seeds]

    def _try(self, paradigm: str, number: int, bars: "Bars") -> None:
        from prompt_lab import suite

        drawn = self._drawn(paradigm, number)
        settings = {one.name: one.value(drawn[one.name]) for one in self.sweep.searched}
        cells = self.cells(paradigm, settings)
        outcome = suite.run(cells, bars)
        records = suite.records(cells)
        if outcome.stopped:
            raise KeyboardInterrupt
        for record in records:
            if self.sweep.metric not in record["scores"]:
                known = (
                    ", ".join(key for key in record["scores"] if key.startswith("val/")) or "none: nothing validates"
                )
                raise LabError(f"{cells[0].title} has no score {self.sweep.metric}. Its validation scores: {known}.")
        trial = Trial(paradigm, number, drawn, settings, records, len(cells), self.sweep.metric)
        self.tried.append(trial)
        score = "failed" if trial.mean is None else f"{self.sweep.metric} {trial.mean:.3f}"
        bars.say(f"{paradigm} {label(self.sweep.searched, settings)}: {score} (setting {number + 1} of {self.trials})")

    def _drawn(self, paradigm: str, number: int) -> Drawn:
        """What was drawn for a trial, or is drawn now and kept."""
        path = self.folder / DRAWN
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        for row in rows:
            if (row["paradigm"], row["number"]) == (paradigm, number):
                return row["drawn"]
        past = [(one.drawn, one.mean) for one in self.tried if one.paradigm == paradigm]
        drawn = propose(self.sweep.method, self.sweep.searched, past, self.sweep.goal)
        files.write_lines(path, [*rows, {"paradigm": paradigm, "number": number, "drawn": drawn}])
        return drawn

    def _check_folder(self) -> None:
        """Refuse a folder with another sweep; and remember there which one this is."""
        path = self.folder / "definition.json"
        definition = json.loads(json.dumps(self.definition, default=str))
        if path.exists():
            if differing := list(difference(json.loads(path.read_text(encoding="utf-8")), definition)):
                raise LabError(
                    f"{self.folder} holds another sweep ({'; '.join(differing[:3])}). "
                    "Give this one another --out, or delete that folder."
                )
            return
        files.write_json(path, definition)


def _more(sweep: Sweep, words: Sequence[str]) -> dict[str, str]:
    taken = {"config", "data.seed", "name", "out", "trials", *(one.name for one in sweep.searched)}
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise LabError(f"--set takes KEY=VALUE, such as --set trainer.max_steps=20; it was {word!r}")
        if key in taken:
            raise LabError(f"--set holds for all runs alike, and {key} is what the sweep itself sets")
        found[key] = value
    return found


def _trials(sweep: Sweep, given: int | None) -> int:
    wanted = given if given is not None else sweep.trials
    if sweep.method == "grid":
        if wanted not in (None, sweep.grid):
            raise LabError(
                f"the grid has {sweep.grid} settings, and every paradigm gets all of them; {wanted} were asked for"
            )
        return sweep.grid
    if wanted is None:
        raise LabError("how many settings for each paradigm? Give --trials, or the parameter trials in the file")
    if wanted < 1:
        raise LabError(f"at least one trial is needed; {wanted} were asked for")
    return wanted


def _cell(words: Sequence[str]) -> Cell:
    from prompt_lab import settings

    parsed = settings.parse(words)
    config = parsed.config
    own = {
        "backbone": config.backbone,
        "data": {"task": config.data.task, "k": config.data.k, "seed": config.data.seed},
    }
    tree = merged(parsed.given, own)
    task = Path(config.data.task).stem if config.data.task.endswith(".py") else config.data.task
    folder = files.cell_folder(config.out, task, config.name, config.backbone, config.data.k, config.data.seed)
    return Cell(folder, tree)
