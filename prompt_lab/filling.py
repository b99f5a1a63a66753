"""Filling a gap in a text: the words that a backbone of any kind finds most probable there.

from prompt_lab.backbones.load import load_backbone
from prompt_lab.filling import fill

fill(load_backbone("minilm-mlm"), "Paris is the capital of [MASK].", top=3)
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import SENTINEL, Plan, Reader, Word
from prompt_lab.batch import Example
from prompt_lab.data.encoding import Encoder, collate
from prompt_lab.errors import LabError
from prompt_lab.templates import Template

SPELLINGS = ("[MASK]", "<mask>", "{mask}", SENTINEL)
"""How the gap may be written, whatever the backbone; its own mask token will do as well."""
LONGEST = 5
"""The most tokens of a word that is written from left to right."""
TRIED = 10
"""First tokens that are tried for each word that is asked for, at most."""
ROWS = 128
"""Beginnings of words that go through the model at once."""
SPACE = ("Ġ", "▁")
"""How byte-level BPE and sentencepiece write the space in front of a word."""
PIECE = "##"
"""How WordPiece marks a token that goes on the word before it."""
HALF = "\ufffd"
"""What bytes that are only a part of a character are decoded to."""


@dataclass(frozen=True)
class Filled:
    """One filling of the gap.

    Attributes:
        word: as a person writes it; a piece that goes on the word before the gap begins with ``##``.
        probability: of all its tokens together, from 0 to 1.
        tokens: how the tokenizer writes it.
    """

    word: str
    probability: float
    tokens: tuple[str, ...]


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


def fill(backbone: Backbone, text: str, top: int = 10) -> list[Filled]:
    """The most probable words in the gap of a text, best first.

    A masked model fills it with one token: the softmax over the whole vocabulary at the mask. A causal or seq2seq model writes
    from left to right: a first token that fits the text's space before the gap is gone on with, greedily, until the next one
    would begin another word, is punctuation or ends the text, or there are five. Such a word scores the product of its tokens'
    probabilities, each given those before it; that it ends there is not scored. First tokens are tried by their probability
    until no other could begin a better word (``10 * top`` at most). Special tokens and what cannot be shown are left out, but
    keep their share of the probability.

    Args:
        backbone: in evaluation mode, as ``load_backbone`` gives it.
        text: with one gap, written ``[MASK]``, ``<mask>``, ``{mask}``, ``<extra_id_0>`` or as the backbone's own mask token.
        top: how many words; there may be fewer, as words that are written alike are listed once.

    Raises:
        LabError: what ``find_gap`` refuses, or a backbone without its language-model head.
    """
    backbone.require_head()
    reader = backbone.reader
    gap = find_gap(reader, text, top)
    spelling = _Spelling(reader)
    with torch.inference_mode():
        if reader.kind == "masked":
            found = _ranked(_following(backbone, gap, [(reader.mask_id,)])[0])
        else:
            found = iter(_left_to_right(backbone, gap, spelling, top))
        return list(islice(_shown(found, spelling, gap), top))


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


class _Spelling:
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


def _following(backbone: Backbone, gap: Gap, rows: Sequence[Word]) -> Tensor:
    """Log-probabilities of the vocabulary [R, V] at the last slot of the text with each of R rows of tokens, of one length."""
    reader, device = backbone.reader, next(backbone.parameters()).device
    parts = []
    for start in range(0, len(rows), ROWS):
        encoder = gap.encoder(reader, rows[start : start + ROWS])
        batch = collate(encoder.encode([gap.example]), reader)
        logits_BGNV = backbone.slot_logits(replace(batch, slots=batch.slots[..., -1:]).to(device))
        parts.append(logits_BGNV[0, :, 0].float().log_softmax(-1).cpu())
    return torch.cat(parts)


def _ranked(logp_V: Tensor) -> Iterator[tuple[Word, float]]:
    """All tokens with their log-probabilities, best first."""
    best = logp_V.sort(descending=True, stable=True)
    return (((token,), logp) for logp, token in zip(best.values.tolist(), best.indices.tolist(), strict=True))


def _left_to_right(backbone: Backbone, gap: Gap, spelling: _Spelling, top: int) -> list[tuple[Word, float]]:
    """Words with their log-probabilities, best first. A word is at most as probable as its first token, which says when to stop."""
    first = _ranked(_following(backbone, gap, [()])[0])
    fitting = islice((begun for begun in first if spelling.fits(begun[0][0], gap)), TRIED * top)
    words: list[tuple[Word, float]] = []
    while going := list(islice(fitting, top)):
        best = list(islice(_shown(words, spelling, gap), top))
        if len(best) == top and best[-1].probability >= math.exp(going[0][1]):
            break
        words = sorted([*words, *_written(backbone, gap, spelling, going)], key=lambda word: -word[1])
    return words


def _written(
    backbone: Backbone, gap: Gap, spelling: _Spelling, going: list[tuple[Word, float]]
) -> Iterator[tuple[Word, float]]:
    """Words that were begun, gone on with to their ends; one pass through the model a token."""
    for _ in range(LONGEST - 1):
        if not going:
            return
        best = _following(backbone, gap, [ids for ids, _ in going]).max(-1)
        grown = []
        for (ids, logp), more, token in zip(going, best.values.tolist(), best.indices.tolist(), strict=True):
            if spelling.goes_on(ids, token):
                grown.append(((*ids, token), logp + more))
            else:
                yield ids, logp
        going = grown
    yield from going


def _shown(found: Iterable[tuple[Word, float]], spelling: _Spelling, gap: Gap) -> Iterator[Filled]:
    """Each word once, with its best tokens; ``found`` is best first."""
    seen = {""}
    for ids, logp in found:
        word = spelling.word(ids, gap)
        if word not in seen:
            seen.add(word)
            yield Filled(word, math.exp(logp), spelling.names(ids))
