"""A pattern over the fields of a task: turns an example into pieces."""

from collections.abc import Sequence

from prompt_lab import discovery
from prompt_lab.batch import Example
from prompt_lab.errors import LabError, unknown
from prompt_lab.tasks import Task
from prompt_lab.templates.lm_bff import translated
from prompt_lab.templates.options import OPTIONS
from prompt_lab.templates.pattern import Literal, Node, SlotNode, parse, pointed, write
from prompt_lab.templates.slots.base import Piece, Slot


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
        at = next(i for i, n in enumerate(self._nodes) if isinstance(n, SlotNode) and n.name == "mask")
        node = self._nodes[at - 1] if at else None
        if isinstance(node, Literal):
            return node.text[-1]
        return "" if node is None or node.name == "sep" else None

    def ends_in_mask(self) -> bool:
        """Whether only punctuation follows the mask, so that a model that reads left to right can use the pattern."""
        at = next(i for i, n in enumerate(self._nodes) if isinstance(n, SlotNode) and n.name == "mask")
        return not any(_says_something(n) for n in self._nodes[at + 1 :])

    def __str__(self) -> str:
        return write(self._nodes)

    def __repr__(self) -> str:
        return f"Template({self._pattern!r}, {self._fields!r})"

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
        return mechanism(node.argument)


def resolve(template: int | str, task: Task) -> Template:
    """The template that a setting names.

    Args:
        template: the number of one of the task's own patterns, ``none`` for the fields alone (promptless), or a pattern; also in
            LM-BFF's own writing (``prompt_lab.templates.lm_bff``).
        task: gives the patterns and the names of the fields.
    """

    def make(pattern: str) -> Template:
        own = translated(pattern, task.fields)
        return Template(pattern if own is None else own, task.fields)

    if template == "none":
        return make("{sep}".join(_braced(task.fields).split(", ")))
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


def _braced(fields: Sequence[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in fields)
