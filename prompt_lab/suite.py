"""A grid of runs (paradigm x task x backbone x K x seed): expand it, skip what is finished, run the rest in one process."""

import gc
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from prompt_lab.errors import LabError, unknown
from prompt_lab.reporting import files
from prompt_lab.trees import Tree, identity, merged, read_yaml

if TYPE_CHECKING:
    from prompt_lab.progress import Bars

KEYS = ("base", "paradigms", "tasks", "backbones", "k", "seeds", "settings")
LISTS: dict[str, tuple[type, ...]] = {
    "paradigms": (str, dict),
    "tasks": (str, dict),
    "backbones": (str,),
    "k": (int, str),
    "seeds": (int,),
}
"""What the entries of a suite's lists may be."""
EXAMPLES = {
    "paradigms": "[zero_shot, fine_tuning]",
    "tasks": "[sst2]",
    "backbones": "[minilm-mlm]",
    "k": "[4, 16, full]",
    "seeds": "[13, 21]",
}


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Attributes:
        folder: where its record goes.
        tree: its settings.
    """

    folder: Path
    tree: Tree = field(compare=False)

    @property
    def title(self) -> str:
        """For people: task, paradigm, backbone, K and seed."""
        return " ".join(self.folder.parts[-5:])

    def finished(self) -> bool:
        """Whether its record is there; LabError if that of another run is."""
        try:
            return files.finished(self.folder, identity(self.tree)) is not None
        except files.OtherSettings:  # or the same, written otherwise, such as 5e-5, which is text in YAML
            from prompt_lab import settings

            parsed = settings.parse_tree(self.tree)
            return files.finished(self.folder, parsed.identity, parsed.everything) is not None


@dataclass
class Outcome:
    """What running a suite came to: how many cells were there before, ran, failed, and whether it was stopped."""

    skipped: int = 0
    ran: int = 0
    failed: int = 0
    stopped: bool = False


def expand(path: Path, out: str) -> list[Cell]:
    """The cells of a suite file, backbone by backbone.

    A suite has ``paradigms``, ``tasks``, ``backbones``, ``k`` and ``seeds``, each a list; ``base``, a YAML file that all cells
    start from; and ``settings`` for all cells. A paradigm is the name of a file in ``paradigms/`` beside the suite's folder,
    or ``{name: {config: file, ...settings}}``; a task is a name, or ``{name: {...settings}}``. Later ones win: base, settings,
    task, the grid's own values, paradigm. ``{seed}`` and ``{k}`` in the paths of ``data.files`` are filled in. Where K is 0
    nothing is drawn, so only the first seed is run.

    Raises:
        LabError: the file cannot be read, a key or a paradigm is unknown, an entry is malformed, or two runs have one name.
    """
    suite = _suite(path)
    base = read_yaml(path.parent / suite["base"]) if "base" in suite else {}
    base = merged(base, suite.get("settings", {}))
    cells: dict[Path, Cell] = {}
    for backbone in suite.get("backbones") or [base.get("backbone", "minilm-mlm")]:
        for task, of_task in map(_named, suite["tasks"]):
            for k in suite.get("k") or [base.get("data", {}).get("k", 16)]:
                for seed in suite["seeds"]:
                    for name, of_paradigm in map(_named, suite["paradigms"]):
                        grid = {
                            "name": name,
                            "out": out,
                            "backbone": backbone,
                            "data": {"task": task, "k": k, "seed": seed},
                        }
                        tree = merged(base, of_task, grid, _paradigm(path.parent, name, of_paradigm))
                        if tree["data"]["k"] == 0:
                            tree["data"]["seed"] = suite["seeds"][0]
                        cell = _cell(tree)
                        if cells.setdefault(cell.folder, cell).tree != cell.tree:
                            raise LabError(f"{path}: two runs are called {cell.title}; give one another name")
    return list(cells.values())


def run(cells: Sequence[Cell], bars: "Bars") -> Outcome:
    """Run what is not finished. One failing cell is recorded as failed, and the rest goes on; Ctrl-C stops cleanly.

    Raises:
        LabError: a cell's settings cannot be used. Nothing has been run then.
    """
    outcome = Outcome()
    waiting = [c for c in cells if not c.finished()]
    outcome.skipped = len(cells) - len(waiting)
    for _ in range(outcome.skipped):
        bars.cell_done()
    try:
        _check(waiting)
        for wait in (False, True):  # first what is free, then what another process has in hand
            waiting = [c for c in waiting if not _attempt(c, bars, outcome, wait=wait)]
    except KeyboardInterrupt:
        outcome.stopped = True
    return outcome


def failures(cells: Sequence[Cell]) -> list[Tree]:
    """What is recorded of the cells that failed."""
    import json

    paths = [c.folder / files.FAILURE for c in cells]
    return [json.loads(p.read_text(encoding="utf-8")) for p in paths if p.exists()]


def records(cells: Sequence[Cell]) -> list[Tree]:
    """The records of the cells that are finished."""
    paths = [c.folder / files.RECORD for c in cells]
    return [files.read_record(p) for p in paths if p.exists()]


def _check(cells: Sequence[Cell]) -> None:
    """Refuse a grid with a cell that could not even start, before the first one runs."""
    if not cells:
        return
    from prompt_lab import settings

    for cell in cells:
        try:
            settings.parse_tree(cell.tree).experiment()
        except LabError as error:
            raise LabError(f"{cell.title}: {error}") from error


def _attempt(cell: Cell, bars: "Bars", outcome: Outcome, *, wait: bool) -> bool:
    """Run a cell unless another process does; whether it is done with."""
    lock = FileLock(_lock_path(cell))
    if wait:
        bars.say(f"waiting for {cell.title}, which another process has in hand")
    try:
        with lock.acquire(timeout=-1 if wait else 0):
            if cell.finished():
                outcome.skipped += 1
            else:
                _execute(cell, bars, outcome)
    except Timeout:
        return False
    bars.cell_done()
    return True


def _execute(cell: Cell, bars: "Bars", outcome: Outcome) -> None:
    from prompt_lab import settings
    from prompt_lab.running import execute

    with _recorded_failure(cell, bars, outcome):
        record = execute(settings.parse_tree(cell.tree).experiment(), bars)
        outcome.ran += 1
        score = record["scores"][record["metric"]]
        bars.say(f"{cell.title}: {record['metric']} {score:.3f} in {record['cost']['seconds']['total']:.1f} s")
    gc.collect()  # modules and trainers refer to each other: without this, a dozen models pile up before Python looks


@contextmanager
def _recorded_failure(cell: Cell, bars: "Bars", outcome: Outcome) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        outcome.failed += 1
        bars.say(f"{cell.title}: failed: {error}")
        tree, data = cell.tree, cell.tree["data"]
        failure = {
            "task": cell.folder.parts[-5],
            "paradigm": tree["name"],
            "backbone": tree["backbone"],
            "k": data["k"],
            "split_seed": data["seed"],
            "error": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(),
            "settings": tree,
        }
        files.write_json(cell.folder / files.FAILURE, failure)


def _lock_path(cell: Cell) -> Path:
    cell.folder.mkdir(parents=True, exist_ok=True)
    return cell.folder / ".lock"


def _cell(tree: Tree) -> Cell:
    data = tree["data"]
    paths = data.get("files", {})
    fill = {"{seed}": str(data["seed"]), "{k}": str(data["k"])}
    for name, value in paths.items():
        for slot, filling in fill.items():
            value = value.replace(slot, filling) if isinstance(value, str) else value
        paths[name] = value
    task = Path(data["task"]).stem if data["task"].endswith(".py") else data["task"]
    return Cell(files.cell_folder(tree["out"], task, tree["name"], tree["backbone"], data["k"], data["seed"]), tree)


def _suite(path: Path) -> Tree:
    """A suite file whose keys and entries are what they should be."""
    suite = read_yaml(path)
    for key, value in suite.items():
        if key not in KEYS:
            raise unknown("suite setting", str(key), KEYS)
        if key in LISTS and not (isinstance(value, list) and all(_is(entry, LISTS[key]) for entry in value)):
            raise LabError(f"{path}: {key} must be a list such as {EXAMPLES[key]}; it is {value!r}")
    if not isinstance(suite.get("settings", {}), dict):
        raise LabError(f"{path}: settings must hold settings by name; it holds {suite['settings']!r}")
    for key in ("paradigms", "tasks", "seeds"):
        if not suite.get(key):
            raise LabError(f"{path} names no {key}")
    return suite


def _is(entry: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(entry, kinds) and not isinstance(entry, bool)


def _named(entry: str | Mapping[str, Tree]) -> tuple[str, Tree]:
    """A name with its settings, from ``name`` or ``{name: settings}``."""
    if isinstance(entry, str):
        return entry, {}
    if len(entry) == 1:
        name, settings = next(iter(entry.items()))
        if isinstance(name, str) and isinstance(settings, Mapping | None):
            return name, dict(settings or {})
    raise LabError(f"a suite's entry is a name or {{name: settings}}; it was {entry!r}")


def _paradigm(folder: Path, name: str, own: Tree) -> Tree:
    """The settings of a paradigm: its YAML file with its own settings over it."""
    own = dict(own)
    config = str(own.pop("config", name))
    path = folder / config if config.endswith(".yaml") else folder.parent / "paradigms" / f"{config}.yaml"
    if not path.exists() and not config.endswith(".yaml"):
        raise unknown("paradigm", config, [p.stem for p in path.parent.glob("*.yaml")])
    return merged(read_yaml(path), own)
