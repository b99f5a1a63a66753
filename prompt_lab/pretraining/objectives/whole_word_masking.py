"""Masked language modelling over whole words: all pieces of a chosen word (Devlin 2019; Cui et al. 2021 for Chinese)."""

import re
import warnings
from typing import Any, Literal

import numpy as np

from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError
from prompt_lab.pretraining.masking import Masking
from prompt_lab.pretraining.passages import NO_UNIT, Document

CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")


class WholeWordMasking(Masking):
    """All pieces of a word are chosen together (BERT's release of May 2019; Cui et al. 2021, section 3.1, for Chinese).

    Args:
        weight: of its loss in the sum.
        rate: share of the tokens that are chosen.
        masked: share of the chosen tokens that the mask replaces.
        random: share of the chosen tokens that a random token replaces.
        segmenter: what tells words apart: the ``tokenizer``, which takes every Chinese character for a word; ``jieba``; or
            ``auto``, jieba for texts with Chinese characters where it is installed.
    """

    def __init__(
        self,
        weight: float = 1.0,
        rate: float = 0.15,
        masked: float = 0.8,
        random: float = 0.1,
        segmenter: Literal["auto", "tokenizer", "jieba"] = "auto",
    ) -> None:
        super().__init__(weight, rate, masked, random)
        self.segmenter = segmenter
        self._jieba: Any = None

    def prepare(self, reader: Reader) -> None:
        """Find the segmenter."""
        super().prepare(reader)
        if self.segmenter == "tokenizer":
            return
        try:
            import jieba
        except ModuleNotFoundError as error:
            if self.segmenter == "jieba":
                raise LabError("segmenter: jieba needs the package jieba: pip install jieba") from error
        else:
            jieba.setLogLevel("WARNING")
            self._jieba = jieba

    def units(self, document: Document) -> np.ndarray:
        """The word of each token."""
        if self.segmenter == "tokenizer" or not (self.segmenter == "jieba" or CHINESE.search(document.text)):
            return document.words
        if self._jieba is None:
            warnings.warn("every Chinese character is taken for a word; pip install jieba for words", stacklevel=2)
            return document.words
        return spans_of(document, ((start, end) for _, start, end in self._jieba.tokenize(document.text)))


def spans_of(document: Document, spans: Any) -> np.ndarray:
    """[N] the number of the span that each token lies in, -1 for tokens that lie in none.

    Args:
        document: N tokens.
        spans: (from, up to) in characters, in order and apart from each other.
    """
    at_character = np.full(len(document.text) + 1, NO_UNIT, dtype=np.int64)
    for number, (start, end) in enumerate(spans):
        at_character[start:end] = number
    first = at_character[document.offsets[:, 0]]
    last = at_character[np.maximum(document.offsets[:, 1] - 1, 0)]
    return np.where(first == last, first, NO_UNIT)
