"""Examples of several tasks in one batch, each read as its own task reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Example
from prompt_lab.data.encoded import EncodedExample, Encodes, encoded, filled

TASK = "task"
"""The field that says to which task an example belongs."""


def marked(examples: Sequence[Example], task: str) -> list[Example]:
    """The examples, each saying that it belongs to this task."""
    return [replace(e, fields={**e.fields, TASK: task}) for e in examples]


@dataclass(frozen=True)
class ByTask:
    """One encoder a task; the view of an encoded example is the number of its task.

    Attributes:
        encoders: by name of the task.
    """

    encoders: Mapping[str, Encodes]

    @property
    def reader(self) -> Reader:
        """The backbone's."""
        return next(iter(self.encoders.values())).reader

    @property
    def key(self) -> tuple[Any, ...]:
        """Everything the encoding depends on but the examples."""
        return ("by task", *((name, *encoder.key) for name, encoder in self.encoders.items()))

    def encode(self, examples: Sequence[Example], *, labels: bool = True) -> list[EncodedExample]:
        """Every example as its own task reads it; of several tasks' rows, the last is repeated where another task has more."""
        found: dict[int, EncodedExample] = {}
        for view, (name, encoder) in enumerate(self.encoders.items()):
            own = [i for i, e in enumerate(examples) if e.fields[TASK] == name]
            for place, one in zip(own, encoder.encode([examples[i] for i in own], labels=labels), strict=True):
                found[place] = replace(one, index=place, view=view)
        width = max((len(one.rows) for one in found.values()), default=0)
        return [replace(found[i], rows=filled(found[i], width)) for i in range(len(examples))]

    def encode_pass(self, examples: Sequence[Example], number: int, seed: int) -> list[EncodedExample]:
        """The same rows in every pass; kept."""
        return encoded(self, examples)
