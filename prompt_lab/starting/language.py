"""The language of texts, by script and common words: English, Chinese, or unknown."""

import re
from collections import Counter
from collections.abc import Iterable

from prompt_lab.starting.lexicon import ENGLISH, OTHER_LATIN

NAMES = {"en": "English", "zh": "Chinese", "und": "unknown"}
"""ISO 639 codes; ``und`` is the code of a language that is not determined."""
_SHOWN = 400
"""Characters of a text that are looked at."""


def is_han(character: str) -> bool:
    """Whether it is a Chinese character."""
    return "\u4e00" <= character <= "\u9fff" or "\u3400" <= character <= "\u4dbf"


def language(texts: Iterable[str]) -> str:
    """``en``, ``zh`` or ``und``.

    Chinese is what is written in Chinese characters, at least three of ten letters, with next to no Japanese syllables among them.
    English is written in Latin letters with English function words, three times as many as those of its neighbours.
    """
    scripts: Counter[str] = Counter()
    words: Counter[bool | None] = Counter()
    for text in texts:
        scripts.update(_script(c) for c in text[:_SHOWN] if c.isalpha())
        found = re.findall(r"[^\W\d_]+", text[:_SHOWN].lower())
        words.update(True if w in ENGLISH else False if w in OTHER_LATIN else None for w in found)
    letters = scripts.total() or 1
    if scripts["han"] / letters >= 0.3 and scripts["kana"] / letters < 0.02:
        return "zh"
    english = words[True] / (words.total() or 1) >= 0.02 and words[True] > 3 * words[False]
    return "en" if english and scripts["latin"] / letters > 0.9 else "und"


def _script(character: str) -> str:
    if character.isascii():
        return "latin"
    if is_han(character):
        return "han"
    return "kana" if "\u3040" <= character <= "\u30ff" else "other"
