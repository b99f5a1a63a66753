"""A text with a gap: found in what the user wrote, and laid out for a backbone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from prompt_lab.backbones.reader import SENTINEL, Plan, Reader, Word
from prompt_lab.batch import Example
from prompt_lab.data.encoding import Encoder
from prompt_lab.errors import LabError
from prompt_lab.templates import Template

SPELLINGS = ("[MASK]", "<mask>", "{mask}", SENTINEL)
"""How the gap may be written, whatever the backbone; its own mask token will do as well."""
LONGEST = 5
"""The most tokens of a word that is written from left to right."""
PIECE = "##"
"""How WordPiece marks a token that goes on the word before it."""


@dataclass(frozen=True)
class Gap:
    """A text with a gap, as the user wrote what stands before and after it."""

    before: str
    after: str

    @property
    def spaced(self) -> bool:
        """Whether a space stands in front of the gap."""
        return self.before.endswith(" ")

    def filled(self, word: str) -> str:
        """The text with a word in the gap."""
        if word.startswith(PIECE) and word != PIECE:
            return self.before.rstrip(" ") + word.removeprefix(PIECE) + self.after
        return self.before + word + self.after

    @property
    def example(self) -> Example:
        """The text around the gap as two fields, so that nothing in it is read as a pattern or as a special token.

        The space before the gap belongs to the word.
        """
        return Example({"text_a": self.before.removesuffix(" "), "text_b": self.after})

    def encoder(self, reader: Reader, rows: Sequence[Word]) -> Encoder:
        """Lays the text out once for each of the ``rows``, the tokens that stand in the gap."""
        return Encoder(
            Template("{text_a}{mask}{text_b}", ("text_a", "text_b")), Plan(tuple(rows)), reader, reader.max_length
        )


def find_gap(reader: Reader, text: str, top: int = 10) -> Gap:
    """The gap of a text; all that can be refused before a model is loaded is refused here.

    Raises:
        LabError: a text that is empty, has no gap or several, is longer than the backbone reads, or whose gap is not at its end
            if the backbone is causal; a ``top`` below 1 or above the size of the vocabulary.
    """
    size = len(reader.tokenizer)
    if not 1 <= top <= size:
        raise LabError(f"top is {top}; expected a number of words from 1 to {size}, the vocabulary of {reader.name!r}")
    if not text.strip():
        raise LabError('the text is empty; write one with a gap, such as "Paris is the capital of [MASK]."')
    spellings = sorted({*SPELLINGS, reader.tokenizer.mask_token or SENTINEL}, key=len, reverse=True)
    gaps = list(re.finditer("|".join(map(re.escape, spellings)), text))
    if len(gaps) != 1:
        held = f"{len(gaps)} gaps ({', '.join(g[0] for g in gaps)})" if gaps else "no gap"
        raise LabError(
            f'the text {text!r} has {held}; write exactly one as [MASK], such as "Paris is the capital of [MASK]." '
            f"({', '.join(SPELLINGS[1:])} mean the same)"
        )
    gap = Gap(text[: gaps[0].start()], text[gaps[0].end() :])
    if not reader.has_mask and any(c.isalnum() for c in gap.after):
        raise LabError(
            f"the text {text!r} has its gap inside, but {reader.name!r} is a causal model and reads left to right: write a text "
            "that ends in its gap (closing punctuation may follow), or take a masked or seq2seq backbone"
        )
    _refuse_long(reader, gap)
    return gap


def _refuse_long(reader: Reader, gap: Gap) -> None:
    longest = 1 if reader.kind == "masked" else LONGEST - 1  # the last token is read, not written
    marks = gap.encoder(reader, [(reader.pad_id,) * longest]).trace(gap.example)
    if cut := sum(mark == "cut" for _, mark in marks):
        raise LabError(
            f"the text takes {reader.max_length + cut} tokens, with special tokens and {longest} for the gap, but {reader.name!r} "
            f"reads {reader.max_length} at most; shorten it by {cut}"
        )
