"""Trees of settings, as YAML holds them: read, laid over each other, compared. Nothing heavy is imported here."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from prompt_lab import discovery
from prompt_lab.errors import LabError

Tree = dict[str, Any]

INCIDENTAL = ("out", "wandb", "wandb_project", "save_model", "name", "config", "trials")
MACHINE = ("accelerator", "devices", "num_nodes", "strategy")
"""Settings that do not change what is computed, so that a finished run stays finished when they change."""


def read_yaml(path: Path) -> Tree:
    """A YAML file that holds a mapping.

    Raises:
        LabError: there is no such file, or it is no YAML mapping.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise LabError(f"{path} is no YAML: {error}") from error
    if not isinstance(tree, dict):
        raise LabError(f"{path} must hold settings by name; it holds {type(tree).__name__}")
    return tree


def merged(*trees: Mapping[str, Any]) -> Tree:
    """Trees laid over each other; a later one wins."""
    result: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            below = result.get(key)
            result[key] = (
                merged(below or {}, value) if isinstance(value, Mapping) and isinstance(below, dict | None) else value
            )
    return result


def laid_over(tree: Mapping[str, Any], change: Mapping[str, Any]) -> Tree:
    """A tree with a change laid over it, in which a class that is another one brings settings of its own."""
    return _over(tree, _qualified(change, _classes()))


def _over(tree: Mapping[str, Any], change: Mapping[str, Any]) -> Tree:
    result = dict(tree)
    for key, value in change.items():
        below = result.get(key)
        is_same = isinstance(value, Mapping) and isinstance(below, Mapping) and _class(value, below) == _class(below)
        result[key] = _over(below, value) if is_same else value  # type: ignore[arg-type]
    return result


def _class(*nodes: Mapping[str, Any]) -> Any:
    return next((node["class_path"] for node in nodes if "class_path" in node), None)


def _classes() -> dict[str, str]:
    return {e.attribute: f"{e.module}.{e.attribute}" for e in discovery.classes()}


def identity(tree: Mapping[str, Any]) -> Tree:
    """The part of the given settings that decides what is computed: what makes a run the one it is."""
    kept = {key: value for key, value in tree.items() if key not in INCIDENTAL}
    kept["trainer"] = {key: value for key, value in tree.get("trainer", {}).items() if key not in MACHINE}
    return _qualified(kept, _classes())


def digest(*told: Any) -> str:
    """sha256 of plain values, in hex: another one for other values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(list(told), sort_keys=True, default=str).encode()).hexdigest()


def difference(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two trees differ, a line each, such as ``trainer.max_steps: 60, here 100``."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}):
            yield from difference(one.get(key), other.get(key), f"{path}.{key}" if path else key)
    elif one != other:
        yield f"{path}: {one}, here {other}"


def _qualified(tree: Any, names: Mapping[str, str]) -> Any:
    """The same tree with classes of the package named in full, as the parser names them."""
    if isinstance(tree, list):
        return [_qualified(one, names) for one in tree]
    if not isinstance(tree, Mapping):
        return tree
    return {k: names.get(v, v) if k == "class_path" else _qualified(v, names) for k, v in tree.items()}
