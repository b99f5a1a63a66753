"""{mask}: the place whose filling is the answer; as many masks as the label words have tokens."""

from prompt_lab.batch import Example
from prompt_lab.templates.slots.base import Piece, Slot


class Mask(Slot):
    """The answer slot of a cloze or prefix prompt (Schick & Schütze 2021, section 3)."""

    def pieces(self, example: Example) -> list[Piece]:
        """One mask piece."""
        return [Piece("", "mask")]
