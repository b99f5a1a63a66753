"""Masked language modelling over mentions of entities: whole spans, as in ERNIE (Sun et al. 2019)."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from prompt_lab.errors import LabError
from prompt_lab.pretraining.masking import Masking
from prompt_lab.pretraining.objectives.whole_word_masking import CHINESE, spans_of
from prompt_lab.pretraining.passages import Document

_CAPITALS = "".join(c for c in map(chr, range(0x2000)) if c.isupper())
_LETTER = rf"[^\W_{CHINESE.pattern[1:]}"
_REST = rf"{_LETTER}*(?:(?:[.-]|['’](?![sS]\b)){_LETTER}+)*"  # an 's is no part of a name
_NAME = rf"[{_CAPITALS}]{_REST}"
_PIECE = re.compile(rf"{CHINESE.pattern}|{_LETTER}{_REST}|[^\w\s]|_")
_MENTION = re.compile(rf"(?<!{_LETTER}){_NAME}(?:(?: (?:of|the|de|von|van|and)){{0,2}} {_NAME})*")
_BEFORE_SENTENCE = re.compile(r"(?:\A|[.!?:'\"‘“”(\n])\s*")
_SPEAKER = re.compile(r"I(?:['’][a-z]+)?")


class EntityMasking(Masking):
    """Mentions of entities are chosen as wholes, nothing else (Sun et al. 2019, section 3.2.3).

    Name it before ``TokenMasking`` or ``WholeWordMasking``: they then choose among the rest.

    Args:
        weight: of its loss in the sum.
        rate: share of the tokens of mentions that are chosen.
        masked: share of the chosen tokens that the mask replaces.
        random: share of the chosen tokens that a random token replaces.
        entities: a UTF-8 file with an entity a line; the longest that begins at a place is its mention. Without it, runs of
            capitalised words are taken for mentions, except a single one at the beginning of a sentence: good enough for English,
            of no use for Chinese.
    """

    def __init__(
        self,
        weight: float = 1.0,
        rate: float = 0.15,
        masked: float = 0.8,
        random: float = 0.1,
        entities: str | None = None,
    ) -> None:
        super().__init__(weight, rate, masked, random)
        self.entities = entities
        self._known = None if entities is None else _read(Path(entities).expanduser())

    def units(self, document: Document) -> np.ndarray:
        """The mention of each token."""
        found = recognised(document.text) if self._known is None else listed(document.text, *self._known)
        return spans_of(document, found)


def recognised(text: str) -> Iterator[tuple[int, int]]:
    """Runs of capitalised words, (from, up to) in characters; ``of`` and the like may stand inside of one."""
    starts = {before.end() for before in _BEFORE_SENTENCE.finditer(text)}
    for mention in _MENTION.finditer(text):
        alone = " " not in mention[0]
        if not (alone and (mention.start() in starts or _SPEAKER.fullmatch(mention[0]))):
            yield mention.span()


def listed(text: str, entities: frozenset[tuple[str, ...]], longest: int) -> Iterator[tuple[int, int]]:
    """Known entities, (from, up to) in characters, the longest at each place, in whole words and whatever their case.

    Args:
        text: where they are looked for.
        entities: each as its lower-cased words (Chinese characters and marks are words of their own).
        longest: the most words of one.
    """
    pieces = [(m[0].lower(), m.start(), m.end()) for m in _PIECE.finditer(text)]
    words = tuple(word for word, _, _ in pieces)
    at = 0
    while at < len(pieces):
        most = min(longest, len(pieces) - at)
        length = next((n for n in range(most, 0, -1) if words[at : at + n] in entities), 0)
        if length:
            yield pieces[at][1], pieces[at + length - 1][2]
        at += max(length, 1)


def _read(path: Path) -> tuple[frozenset[tuple[str, ...]], int]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(
            f"the list of entities {path} cannot be read ({error}); it must be UTF-8 with an entity a line"
        ) from error
    named = [line for line in lines if any(map(str.isalnum, line))]
    found = frozenset(tuple(piece.lower() for piece in _PIECE.findall(line)) for line in named)
    if not found:
        raise LabError(f"the list of entities {path} names none")
    return found, max(map(len, found))
