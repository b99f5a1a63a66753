"""An example laid out in several ways, such as through several patterns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Example
from prompt_lab.data.encoded import EncodedExample, encoded, filled
from prompt_lab.data.encoding import Encoder


@dataclass(frozen=True)
class Views:
    """Several encoders for the same examples.

    Attributes:
        encoders: one a view; an example has the rows of all of them, one view after the other.
        one_a_pass: show an example in one view in each pass of training, in another one in the next, and in each of them once in as
            many passes as there are views.
    """

    encoders: tuple[Encoder, ...]
    one_a_pass: bool = False

    @property
    def reader(self) -> Reader:
        """The backbone's."""
        return self.encoders[0].reader

    @property
    def key(self) -> tuple[Any, ...]:
        """Everything the encoding depends on but the examples."""
        return tuple(encoder.key for encoder in self.encoders)

    def encode(self, examples: Sequence[Example], *, labels: bool = True) -> list[EncodedExample]:
        """Every example in all views."""
        views = [encoder.encode(examples, labels=labels) for encoder in self.encoders]
        return [
            replace(same[0], rows=tuple(row for one in same for row in one.rows)) for same in zip(*views, strict=True)
        ]

    def encode_pass(self, examples: Sequence[Example], number: int, seed: int) -> list[EncodedExample]:
        """Every example in one view; which one it begins with follows from its text."""
        if not self.one_a_pass:
            return encoded(self, examples)
        views = [encoded(encoder, examples) for encoder in self.encoders]
        width = max(len(v[0].rows) for v in views)
        found = []
        for place, example in enumerate(examples):
            view = (int(example.key[:8], 16) + number) % len(views)
            one = views[view][place]
            found.append(replace(one, rows=filled(one, width), view=view))
        return found
