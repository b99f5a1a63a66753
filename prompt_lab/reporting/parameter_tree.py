"""What moves, as a tree of modules in plain text (after OpenDelta's view of a model: Hu et al. 2023, section 4)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from prompt_lab.reporting.parameters import Figures, parameters

NOTHING = "–"
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class _Node:
    """A module with what is in it, or a parameter, which has a shape; or several that are alike, with the figures of one."""

    name: str
    figures: Figures
    children: tuple["_Node", ...] = ()
    shape: tuple[int, ...] | None = None
    number: int = 1


def tree(module: nn.Module) -> str:
    """Lines of a module's parts, with how many parameters of each are frozen, trained and added (see ``parameters``), and what share
    of all parameters moves there.

    Parts that are alike and differ in one number of their names are one line, whose figures are those of all of them. A part in which
    nothing moves is one line, as is one of several modules in which all of the pretrained moves; elsewhere every parameter that moves
    is named with its shape.
    """
    names: dict[str, Any] = {}
    for parameter in parameters(module):
        *path, last = parameter.name.split(".")
        inside = names
        for part in path:
            inside = inside.setdefault(part, {})
        inside[last] = parameter
    root = _module(type(module).__name__, _alike(_node(name, content) for name, content in names.items()))
    rows = [("parameters", ("frozen", "trained", "added", "% of all")), *_lines(root, root.figures.total)]
    wide = [max(len(row[i]) for _, row in rows) for i in range(4)]
    label = max(len(text) for text, _ in rows)
    return "\n".join(
        text.ljust(label) + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, wide, strict=True))
        for text, cells in rows
    )


def _node(name: str, content: Any) -> _Node:
    if not isinstance(content, dict):
        return _Node(name, content.figures, shape=content.shape)
    children = _alike(_node(inner, of) for inner, of in content.items())
    if len(children) == 1:
        return replace(children[0], name=f"{name}.{children[0].name}")
    return _module(name, children)


def _module(name: str, children: tuple[_Node, ...]) -> _Node:
    return _Node(name, sum((child.figures.times(child.number) for child in children), Figures()), children)


def _alike(nodes: Iterable[_Node]) -> tuple[_Node, ...]:
    """Nodes that differ only in the first number of their names made one, where the first of them stood."""
    groups: dict[tuple[str, _Node], list[_Node]] = {}
    for node in nodes:
        groups.setdefault((_NUMBER.sub("#", node.name, count=1), replace(node, name="")), []).append(node)
    return tuple(_joined(group) if len(group) > 1 else group[0] for group in groups.values())


def _joined(nodes: list[_Node]) -> _Node:
    numbers = [int(found.group()) for node in nodes if (found := _NUMBER.search(node.name))]
    name = _NUMBER.sub(_ranges(numbers), nodes[0].name, count=1)
    return replace(nodes[0], name=name, number=nodes[0].number * len(nodes))


def _ranges(numbers: list[int]) -> str:
    """``[0, 1, 2, 5]`` as ``0-2,5``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)


def _lines(
    node: _Node, total: int, lead: str = "", below: str = "", times: int = 1
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """A node's label and cells, then those of what is in it.

    Args:
        node: a module or a parameter.
        total: all parameters of the tree.
        lead: what stands before its name.
        below: what stands before the branches of what is in it.
        times: how many there are of what it is in.
    """
    times *= node.number
    label = lead + node.name
    if node.shape is not None:
        label += f" {list(node.shape)}" + (f" × {times}" if times > 1 else "")
    own = node.figures.times(times)
    counts = [f"{count:,}" if count else NOTHING for count in (own.frozen, own.trained, own.added)]
    yield label, (*counts, _percent(own.moving / total) if own.moving else NOTHING)
    shown = _shown(node)
    for child in shown:
        branch, further = ("└─ ", "   ") if child is shown[-1] else ("├─ ", "│  ")
        yield from _lines(child, total, below + branch, below + further, times)


def _percent(share: float) -> str:
    return f"{100 * share:.3f}" if share >= 5e-6 else "<0.001"


def _shown(node: _Node) -> list[_Node]:
    """What of a module's content has lines of its own."""
    has_modules = any(child.shape is None for child in node.children)
    is_whole = node.figures.moving == 0 or (node.figures.trained == node.figures.total and has_modules)
    return [] if is_whole else [c for c in node.children if c.shape is None or c.figures.moving]
