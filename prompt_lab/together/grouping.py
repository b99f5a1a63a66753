"""Which cells of a grid are run side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from prompt_lab.grid import Cell
from prompt_lab.trees import digest

MAY_DIFFER = ("name", "seed", "init_seed", "order_seed", "learning_rate", "weight_decay", "files", "trials")
"""Settings in which runs side by side may differ: none of them changes what the backbone computes."""


def groups(cells: Sequence[Cell], at_most: int) -> list[list[Cell]]:
    """Cells that can be run side by side with the same numbers as apart; the others alone. In the order of their first ones.

    They differ in seeds and rates alone, train on one device, and something beside a frozen backbone without dropout: with dropout
    the numbers that are drawn would depend on the company.

    Args:
        cells: checked.
        at_most: how many may be run at once.
    """
    found: dict[str, list[list[Cell]]] = {}
    for number, cell in enumerate(cells):
        key = _key(cell) if at_most > 1 else None
        of_key = found.setdefault(key or str(number), [[]])
        if len(of_key[-1]) == at_most:
            of_key.append([])
        of_key[-1].append(cell)
    return [group for of_key in found.values() for group in of_key]


def _key(cell: Cell) -> str | None:
    experiment = cell.settings.experiment()
    tuning = experiment.paradigm.tuning
    is_alone = bool(experiment.candidates) or experiment.trainer.get("devices", 1) not in (1, "1")
    if is_alone or not tuning.moves or tuning.dropout:
        return None
    return digest(_alike(cell.settings.everything))


def _alike(tree: Any) -> Any:
    """Settings without those that may differ."""
    if isinstance(tree, Mapping):
        return {name: _alike(value) for name, value in tree.items() if name not in MAY_DIFFER}
    return [_alike(value) for value in tree] if isinstance(tree, list) else tree
