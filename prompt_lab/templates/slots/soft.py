"""{soft}: a virtual token, whose vector is trained; {soft:5} for five, {soft:It was} for as many as these words have tokens."""

from prompt_lab.batch import Example
from prompt_lab.errors import LabError
from prompt_lab.templates.slots.base import Piece, Slot


class Soft(Slot):
    """Virtual tokens anywhere in a pattern (Liu et al. 2021, "GPT Understands, Too"; Lester et al. 2021); ``SoftPrompt`` trains them.

    ``{soft:It was}`` begins as the embeddings of these words, read as they would be in the place where they stand (soft and hard
    words mixed: Gu et al. 2022, section 2.2; Hambardzumyan et al. 2021).
    """

    takes_argument = True

    def __init__(self, argument: str | None = None) -> None:
        super().__init__(argument)
        digits = argument is not None and argument.strip().isdecimal()
        self.length = 1 if argument is None else int(argument) if digits else 0
        self.words = "" if argument is None or digits else argument.strip()
        if not self.length and not self.words:
            raise LabError(
                f"{{soft:{argument}}} is no virtual token; write {{soft}}, {{soft:5}} or {{soft:some words}}"
            )

    def pieces(self, example: Example) -> list[Piece]:
        """One piece; its place among the virtual tokens of the pattern says which they are."""
        return [Piece(self.words, "soft")]
