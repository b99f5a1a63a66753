"""A pattern over the fields of a task: turns an example into pieces."""

from collections.abc import Sequence
from typing import NamedTuple

from prompt_lab import discovery
from prompt_lab.batch import Example
from prompt_lab.errors import LabError, unknown
from prompt_lab.tasks import Task
from prompt_lab.templates.lm_bff import translated
from prompt_lab.templates.options import OPTIONS
from prompt_lab.templates.pattern import Literal, Node, SlotNode, parse, pointed, write
from prompt_lab.templates.slots.base import Piece, Slot
from prompt_lab.templates.slots.soft import Soft


class Virtual(NamedTuple):
    """The virtual tokens of one slot of a pattern.

    Attributes:
        length: how many, where they begin as no words.
        words: what they begin as; they are then as many as these have tokens.
        before: the character in front of words, as ``Template.before_mask`` gives it.
    """

    length: int
    words: str
    before: str | None


class Template:
    """A pattern such as ``{text_a} It was {mask}.`` (Liu et al. 2021, section 3: a prompt function).

    ``str(template)`` is the pattern as it was written.

    Args:
        pattern: text with slots; see ``prompt_lab.templates.pattern``.
        fields: the names of the task's text fields.

    Raises:
        LabError: the pattern cannot be parsed, names a field the task lacks or an option that does not exist, holds no
            field, or holds more than one mask.
    """

    def __init__(self, pattern: str, fields: Sequence[str]) -> None:
        self._pattern = pattern
        self._nodes = parse(pattern)
        self._fields = tuple(fields)
        slots = [n for n in self._nodes if isinstance(n, SlotNode)]
        self._slots = {n: self._slot(n) for n in slots}
        masks = [n for n in slots if n.name == "mask"]
        if len(masks) > 1:
            raise pointed(pattern, masks[1].at, "a second {mask}; a pattern has at most one")
        if all(n.name not in self._fields for n in slots):
            raise LabError(f"template {pattern!r} shows the model no text: it needs a field, one of {_braced(fields)}")
        self.has_mask = bool(masks)
        self.virtual = tuple(self._virtual(n) for n in slots if isinstance(self._slots[n], Soft))
        """The virtual tokens of each of its soft slots, in order."""
        self.literals = tuple(n.text for n in self._nodes if isinstance(n, Literal))

    def pieces(self, example: Example) -> list[Piece]:
        """What the model reads of an example, in order."""
        found: list[Piece] = []
        for node in self._nodes:
            if isinstance(node, Literal):
                found.append(Piece(node.text))
            elif (slot := self._slots[node]) is not None:
                found += slot.pieces(example)
            else:
                found.append(Piece(_applied(example.fields[node.name], node.options), "field"))
        return found

    def before_mask(self) -> str | None:
        """The character in front of the mask: "" at the start of the text or a segment, None after a field."""
        return self._before(next(n for n in self._nodes if isinstance(n, SlotNode) and n.name == "mask"))

    def ends_in_mask(self) -> bool:
        """Whether only punctuation follows the mask, so that a model that reads left to right can use the pattern."""
        at = next(i for i, n in enumerate(self._nodes) if isinstance(n, SlotNode) and n.name == "mask")
        return not any(_says_something(n) for n in self._nodes[at + 1 :])

    def __str__(self) -> str:
        return write(self._nodes)

    def __repr__(self) -> str:
        return f"Template({self._pattern!r}, {self._fields!r})"

    def with_virtual(self, length: int, *, around: bool = False) -> "Template":
        """The same pattern with virtual tokens in front of everything, or half of them before the fields and half behind."""
        fields = [i for i, n in enumerate(self._nodes) if isinstance(n, SlotNode) and n.name in self._fields]
        front, back = (length - length // 2, length // 2) if around else (length, 0)
        at = fields[0] if around else 0
        parts = [
            *self._nodes[:at],
            _soft(front),
            *self._nodes[at : fields[-1] + 1],
            _soft(back),
            *self._nodes[fields[-1] + 1 :],
        ]
        return self._of(parts)

    def with_soft_words(self) -> "Template":
        """The same pattern with virtual tokens in the place of its words, which they begin as; punctuation alone is no word."""

        def softened(node: Node) -> str:
            if not isinstance(node, Literal) or not _says_something(node):
                return str(node)
            words = node.text.strip()
            start = node.text.index(words)
            return f"{node.text[:start]}{{soft:{words}}}{node.text[start + len(words) :]}"

        try:
            made = self._of([softened(n) for n in self._nodes])
        except LabError:
            made = self
        wanted = [n.text.strip() for n in self._nodes if isinstance(n, Literal) and _says_something(n)]
        if sorted(v.words for v in made.virtual) != sorted([*wanted, *(v.words for v in self.virtual)]):
            raise LabError(
                f"the words of template {self._pattern!r} cannot be made virtual tokens: leave out braces, and digits that stand alone"
            )
        return made

    def _of(self, parts: Sequence[Node | str]) -> "Template":
        return Template("".join(map(str, parts)), self._fields)

    def _before(self, node: SlotNode) -> str | None:
        """The character in front of a slot: "" at the start of the text or a segment or behind the mask, None after another slot."""
        at = self._nodes.index(node)
        before = self._nodes[at - 1] if at else None
        if isinstance(before, Literal):
            return before.text[-1]
        return "" if before is None or before.name in ("sep", "mask") else None

    def _virtual(self, node: SlotNode) -> Virtual:
        slot = self._slots[node]
        assert isinstance(slot, Soft)
        return Virtual(slot.length, slot.words, self._before(node) if slot.words else None)

    def _slot(self, node: SlotNode) -> Slot | None:
        """The mechanism that a slot names; None for a field of the task."""
        mechanisms = discovery.entries("slot")
        if node.name in self._fields:
            if node.argument is not None:
                raise pointed(self._pattern, node.at, f"the field {node.name!r} takes no argument")
            for option in node.options:
                if option not in OPTIONS:
                    raise pointed(self._pattern, node.at, str(unknown("option", option, OPTIONS)))
            return None
        if node.name not in mechanisms:
            hint = unknown(
                "slot", node.name, [*self._fields, *mechanisms], more=f"The task's fields are {_braced(self._fields)}."
            )
            raise pointed(self._pattern, node.at, str(hint))
        mechanism: type[Slot] = mechanisms[node.name].load()
        if node.options or (node.argument is not None and not mechanism.takes_argument):
            raise pointed(self._pattern, node.at, f"{{{node.name}}} takes no options and no argument")
        try:
            return mechanism(node.argument)
        except LabError as error:
            raise pointed(self._pattern, node.at, str(error)) from error


def resolve(template: int | str, task: Task) -> Template:
    """The template that a setting names.

    Args:
        template: the number of one of the task's own patterns, ``none`` for the fields alone (promptless), ``mask`` for the fields and
            a mask behind them, or a pattern; also in LM-BFF's own writing (``prompt_lab.templates.lm_bff``).
        task: gives the patterns and the names of the fields.
    """

    def make(pattern: str) -> Template:
        own = translated(pattern, task.fields)
        return Template(pattern if own is None else own, task.fields)

    if template in ("none", "mask"):
        fields = "{sep}".join(_braced(task.fields).split(", "))
        return make(fields if template == "none" else f"{fields} {{mask}}")
    if isinstance(template, int):
        if not 0 <= template < len(task.templates):
            own = "".join(f"\n  {i}  {p}" for i, p in enumerate(task.templates))
            span = f"templates 0 to {len(task.templates) - 1}" if own else "no templates"
            raise LabError(f"template {template} does not exist: task {task.name!r} has {span}{own}")
        return make(task.templates[template])
    return make(template)


def _applied(text: str, options: Sequence[str]) -> str:
    for option in options:
        text = OPTIONS[option](text)
    return text


def _says_something(node: Node) -> bool:
    return any(c.isalnum() for c in node.text) if isinstance(node, Literal) else True


def _soft(length: int) -> str:
    return f"{{soft:{length}}}" if length else ""


def _braced(fields: Sequence[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in fields)
