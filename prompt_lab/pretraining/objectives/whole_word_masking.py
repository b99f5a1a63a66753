"""Masked language modelling over whole words: all pieces of a chosen word (Devlin 2019; Cui et al. 2021 for Chinese)."""

import re
import warnings
from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np

from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError, unknown
from prompt_lab.masking import NO_UNIT
from prompt_lab.pretraining.masking import Masking
from prompt_lab.pretraining.passages import Document

Segmenter = Literal["auto", "tokenizer", "jieba"]
CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_CHINESE_WORD = re.compile(f"{CHINESE.pattern}+")


class WholeWordMasking(Masking):
    """All pieces of a word are chosen together (BERT's release of May 2019; Cui et al. 2021, section 3.1, for Chinese).

    Args:
        weight: of its loss in the sum.
        rate: share of the tokens that are chosen.
        masked: share of the chosen tokens that the mask replaces.
        random: share of the chosen tokens that a random token replaces.
        segmenter: what tells Chinese words apart: the ``tokenizer`` (BERT's takes every Chinese character for a word); ``jieba``;
            or ``auto``, jieba where it is installed. All other words are the tokenizer's.
    """

    def __init__(
        self,
        weight: float = 1.0,
        rate: float = 0.15,
        masked: float = 0.8,
        random: float = 0.1,
        segmenter: Segmenter = "auto",
    ) -> None:
        super().__init__(weight, rate, masked, random)
        if segmenter not in get_args(Segmenter):
            raise unknown("segmenter", segmenter, get_args(Segmenter))
        self.segmenter = segmenter

    def prepare(self, reader: Reader) -> None:
        """Find the segmenter."""
        super().prepare(reader)
        if self.segmenter == "jieba" and _jieba() is None:
            raise LabError("segmenter: jieba needs the package jieba: pip install jieba")

    def units(self, document: Document) -> np.ndarray:
        """The word of each token."""
        if self.segmenter == "tokenizer" or not CHINESE.search(document.text):
            return document.words
        jieba = _jieba()
        if jieba is None:
            warnings.warn("every Chinese character is taken for a word; pip install jieba for words", stacklevel=2)
            return document.words
        found = jieba.tokenize(document.text)
        chinese = spans_of(document, ((start, end) for word, start, end in found if _CHINESE_WORD.fullmatch(word)))
        return np.where(chinese == NO_UNIT, document.words, chinese + document.words.max(initial=NO_UNIT) + 1)


def spans_of(document: Document, spans: Iterable[tuple[int, int]]) -> np.ndarray:
    """[N] the number of the span that each token lies in, -1 for tokens that lie in none.

    A span that begins or ends inside a token is left out: only a part of it could be hidden.

    Args:
        document: N tokens.
        spans: (from, up to) in characters, in order and apart from each other.
    """
    at_character = np.full(len(document.text) + 1, NO_UNIT, dtype=np.int64)
    for number, (start, end) in enumerate(spans):
        at_character[start:end] = number
    start_N, end_N = document.offsets.T
    first_N, last_N = at_character[start_N], at_character[np.maximum(end_N - 1, start_N)]
    cut = np.stack([first_N, last_N])[:, first_N != last_N]
    return np.where(np.isin(first_N, cut), NO_UNIT, first_N)


def _jieba() -> Any:
    try:
        import jieba
    except ModuleNotFoundError:
        return None
    jieba.setLogLevel("WARNING")
    return jieba
