"""Filling a gap in a text: the words that a backbone of any kind finds most probable there.

from prompt_lab.backbones.load import load_backbone
from prompt_lab.filling import fill

fill(load_backbone("minilm-mlm"), "Paris is the capital of [MASK].", top=3)
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Word
from prompt_lab.data.encoded import collate
from prompt_lab.filling.gap import LONGEST, Gap, find_gap
from prompt_lab.filling.spelling import Spelling

__all__ = ["LONGEST", "Filled", "Gap", "fill", "find_gap"]
TRIED = 10
"""First tokens that are tried for each word that is asked for, at most."""
ROWS = 128
"""Beginnings of words that go through the model at once."""


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
    spelling = Spelling(reader)
    with torch.inference_mode():
        if reader.kind == "masked":
            found = _ranked(_following(backbone, gap, [(reader.mask_id,)])[0])
        else:
            found = iter(_left_to_right(backbone, gap, spelling, top))
        return list(islice(_shown(found, spelling, gap), top))


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


def _left_to_right(backbone: Backbone, gap: Gap, spelling: Spelling, top: int) -> list[tuple[Word, float]]:
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
    backbone: Backbone, gap: Gap, spelling: Spelling, going: list[tuple[Word, float]]
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


def _shown(found: Iterable[tuple[Word, float]], spelling: Spelling, gap: Gap) -> Iterator[Filled]:
    """Each word once, with its best tokens; ``found`` is best first."""
    seen = {""}
    for ids, logp in found:
        word = spelling.word(ids, gap)
        if word not in seen:
            seen.add(word)
            yield Filled(word, math.exp(logp), spelling.names(ids))
