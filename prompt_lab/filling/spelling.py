"""What a tokenizer's tokens look like to a person, and how they go together to words."""

import unicodedata

from prompt_lab.backbones.reader import Reader, Word
from prompt_lab.filling.gap import PIECE, Gap

SPACE = ("Ġ", "▁")
"""How byte-level BPE and sentencepiece write the space in front of a word."""
HALF = "\ufffd"
"""What bytes that are only a part of a character are decoded to."""


class Spelling:
    """What a tokenizer's tokens look like to a person, and how they go together to words."""

    def __init__(self, reader: Reader) -> None:
        self._tokenizer = reader.tokenizer
        self._special = set(reader.tokenizer.convert_tokens_to_ids(reader.special_tokens))
        self._writes_spaces = any(t.startswith(SPACE) for t in reader.tokenizer.tokenize("a b"))

    def names(self, ids: Word) -> tuple[str, ...]:
        """The tokens as the tokenizer writes them; empty for ids that no token has, with which some models fill up."""
        return tuple(name or "" for name in self._tokenizer.convert_ids_to_tokens(list(ids)))

    def text(self, ids: Word) -> str:
        """The tokens as a person writes them; empty for special tokens and ids that no token has."""
        kept = [i for i in ids if i not in self._special]
        return self._tokenizer.decode(kept, clean_up_tokenization_spaces=False) if kept else ""

    def word(self, ids: Word, gap: Gap) -> str:
        """The word to list; empty for what cannot be shown."""
        text = self.text(ids).strip()
        if HALF in text:
            return ""
        loose = gap.spaced and self._writes_spaces and text[:1].isalnum() and self._attached(ids[0])
        return PIECE + text if loose else text

    def fits(self, token: int, gap: Gap) -> bool:
        """Whether a word that is written in the gap may begin with a token: the text says if there is a space."""
        if token in self._special:
            return False
        if gap.spaced:
            return not self._attached(token)
        return not gap.before.strip() or gap.before[-1].isspace() or not self.names((token,))[0].startswith(SPACE)

    def goes_on(self, ids: Word, token: int) -> bool:
        """Whether a token goes on the word that others have begun."""
        begun, added = self.text(ids), self.text((token,)).removeprefix(PIECE)
        bare = self.names(ids)[-1] in SPACE  # sentencepiece may write a word's space alone
        return (bare or not _ends_word(begun[-1:])) and not _ends_word(added[:1]) and self._attached(token)

    def _attached(self, token: int) -> bool:
        """Whether no space stands between a token and what is before it."""
        name = self.names((token,))[0]
        return not name.startswith(SPACE) if self._writes_spaces else name.startswith(PIECE)


def _ends_word(character: str) -> bool:
    """Whether a character, or nothing, is no part of a word: space, punctuation, or a symbol."""
    if not character or character.isspace():
        return True
    return character != HALF and unicodedata.category(character)[0] in "PS"
