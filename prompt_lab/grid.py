"""A grid of runs (paradigm x task x backbone x K x seed), expanded from a suite file."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import yaml

from prompt_lab.errors import LabError, unknown
from prompt_lab.reporting import files
from prompt_lab.trees import Tree, identity, merged, read_yaml

if TYPE_CHECKING:
    from prompt_lab.settings import Settings

KEYS = ("base", "paradigms", "tasks", "backbones", "k", "seeds", "settings")
OWN = ("name", "out", "backbone", "data.task", "data.k", "data.seed")
"""Settings that tell the runs of a grid apart."""
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
            parsed = self.settings
            return files.finished(self.folder, parsed.identity, parsed.everything) is not None

    @cached_property
    def settings(self) -> "Settings":
        """Its settings, parsed once; this imports what a grid of finished cells can do without."""
        from prompt_lab import settings

        return settings.parse_tree(self.tree)


def expand(path: Path, out: str, more: Mapping[str, str] = MappingProxyType({})) -> list[Cell]:
    """The cells of a suite file, backbone by backbone.

    A suite has ``paradigms``, ``tasks``, ``backbones``, ``k`` and ``seeds``, each a list; ``base``, a YAML file that all cells
    start from; and ``settings`` for all cells. A paradigm is the name of a file in ``paradigms/`` beside the suite's folder,
    or ``{name: {config: file, ...settings}}``; a task is a name, or ``{name: {...settings}}``. Later ones win: base, settings,
    task, the grid's own values, paradigm, ``more``. ``{seed}`` and ``{k}`` in the paths of ``data.files`` are filled in. Where K is
    0 nothing is drawn, so only the first seed is run.

    Args:
        path: of the suite file.
        out: folder of all results.
        more: settings of all runs by their names, such as ``trainer.max_steps``, as YAML.

    Raises:
        LabError: the file cannot be read, a key or a paradigm is unknown, an entry is malformed, or two runs have one name.
    """
    suite, last = _suite(path), _nested(more)
    base = read_yaml(path.parent / suite["base"]) if "base" in suite else {}
    base = merged(base, suite.get("settings", {}))
    grid = itertools.product(
        suite.get("backbones") or [base.get("backbone", "minilm-mlm")],
        map(_named, suite["tasks"]),
        suite.get("k") or [base.get("data", {}).get("k", 16)],
        suite["seeds"],
        map(_named, suite["paradigms"]),
    )
    cells: dict[Path, Cell] = {}
    for backbone, (task, of_task), k, seed, (name, of_paradigm) in grid:
        own = {"name": name, "out": out, "backbone": backbone, "data": {"task": task, "k": k, "seed": seed}}
        tree = merged(base, of_task, own, _paradigm(path.parent, name, of_paradigm), last)
        if tree["data"]["k"] == 0:
            tree["data"]["seed"] = suite["seeds"][0]
        cell = _cell(tree)
        if cells.setdefault(cell.folder, cell).tree != cell.tree:
            raise LabError(f"{path}: two runs are called {cell.title}; give one another name")
    return list(cells.values())


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


def _nested(more: Mapping[str, str]) -> Tree:
    """Settings by dotted names as a tree."""
    tree: Tree = {}
    for name, text in more.items():
        if name in OWN:
            raise LabError(f"--with holds for all runs alike, and {name} is what the suite's grid and --out set")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise LabError(f"--with {name}={text}: the value is no YAML: {error}") from error
        for key in reversed(name.split(".")):
            value = {key: value}
        tree = merged(tree, value)
    return tree


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
