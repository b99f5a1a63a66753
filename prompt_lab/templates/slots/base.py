"""What a slot of a pattern turns into: pieces of text, each with its role."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from prompt_lab.batch import Example

Role = Literal["text", "field", "mask", "sep", "soft"]


@dataclass(frozen=True)
class Piece:
    """A stretch of what the model reads.

    Attributes:
        text: the words; empty for a mask or a separator, which each backbone writes in its own way. Of virtual tokens, the words that
            they begin as.
        role: ``field`` pieces are the only ones that truncation may shorten.
    """

    text: str
    role: Role = "text"


class Slot(ABC):
    """A mechanism of the pattern language, written ``{name}`` or ``{name:argument}``.

    A file of ``prompt_lab/templates/slots`` holds one subclass named like the file. Anything between braces that is no
    such name is a field of the task.
    """

    takes_argument: ClassVar[bool] = False

    def __init__(self, argument: str | None = None) -> None:
        self.argument = argument

    @abstractmethod
    def pieces(self, example: Example) -> list[Piece]:
        """What this slot puts in the place where it stands."""
