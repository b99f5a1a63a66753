r"""The pattern language: literal text with slots between braces; parsed, never evaluated.

    pattern  = (literal | slot)*
    slot     = "{" name [":" argument] ("." option)* "}"
    literal  = any text; "{{" and "}}" stand for braces

``parse`` and ``write`` are inverse: a pattern is printed back as it was written.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from prompt_lab.errors import LabError

_SLOT = re.compile(r"\{([A-Za-z_]\w*)(?::([^{}]*?))?((?:\.[A-Za-z_]\w*)*)\}")


@dataclass(frozen=True)
class Literal:
    """Text that stands in every input as it is."""

    text: str

    def __str__(self) -> str:
        return self.text.replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True)
class SlotNode:
    """A pair of braces: a name, an argument, options, and the character at which it begins."""

    name: str
    argument: str | None
    options: tuple[str, ...]
    at: int

    def __str__(self) -> str:
        argument = "" if self.argument is None else f":{self.argument}"
        return "{" + self.name + argument + "".join(f".{o}" for o in self.options) + "}"


Node = Literal | SlotNode


def parse(text: str) -> tuple[Node, ...]:
    """The nodes of a pattern.

    Raises:
        LabError: a brace that is not closed or not opened, or a slot that is not written as above; it points at the character.
    """
    return tuple(_merged(_nodes(text)))


def write(nodes: tuple[Node, ...]) -> str:
    """The pattern that ``parse`` reads as these nodes."""
    return "".join(map(str, nodes))


def pointed(text: str, at: int, message: str) -> LabError:
    """An error that shows the pattern with a caret under one character."""
    shown = text.translate({ord(c): " " for c in "\n\r\t"})
    columns = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text[:at])  # Chinese is two columns wide
    return LabError(f"template: {message}\n  {shown}\n  {' ' * columns}^")


def _nodes(text: str) -> Iterator[Node]:
    at = 0
    while at < len(text):
        if text[at : at + 2] in ("{{", "}}"):
            yield Literal(text[at])
            at += 2
        elif text[at] == "}":
            raise pointed(text, at, "a '}' without its '{' (write '}}' for a brace that is meant as text)")
        elif text[at] == "{":
            slot = _SLOT.match(text, at)
            if slot is None:
                raise pointed(
                    text, at, "a slot is written {name}, {name:argument} or {name.option}, and closed with '}'"
                )
            yield SlotNode(slot[1], slot[2], tuple(slot[3].split(".")[1:]), at)
            at = slot.end()
        else:
            end = next((i for i in range(at, len(text)) if text[i] in "{}"), len(text))
            yield Literal(text[at:end])
            at = end


def _merged(nodes: Iterator[Node]) -> Iterator[Node]:
    """The same nodes with neighbouring literals joined, so that equal patterns have equal nodes."""
    held = ""
    for node in nodes:
        if isinstance(node, Literal):
            held += node.text
            continue
        if held:
            yield Literal(held)
            held = ""
        yield node
    if held:
        yield Literal(held)
