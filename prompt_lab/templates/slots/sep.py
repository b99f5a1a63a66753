"""{sep}: the backbone's separator between two segments, such as [SEP]."""

from prompt_lab.batch import Example
from prompt_lab.templates.slots.base import Piece, Slot


class Sep(Slot):
    """The boundary between two segments; what follows it gets segment id 1 where a backbone has segment ids."""

    def pieces(self, example: Example) -> list[Piece]:
        """One separator piece."""
        return [Piece("", "sep")]
