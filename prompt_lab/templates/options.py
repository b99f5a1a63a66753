"""The options of a field in a pattern, written ``{text_a.rstrip_punctuation}``: pure functions of its text."""

import unicodedata
from collections.abc import Callable


def rstrip_punctuation(text: str) -> str:
    """Leave off closing punctuation of any script, so that the pattern can put its own (PET, LM-BFF)."""
    end = len(text)
    while end and (text[end - 1].isspace() or unicodedata.category(text[end - 1]).startswith("P")):
        end -= 1
    return text[:end] or text


def lower_first(text: str) -> str:
    """Make the first letter small: the text goes on a sentence of the pattern."""
    return text[:1].lower() + text[1:]


def upper_first(text: str) -> str:
    """Make the first letter capital: the text begins a sentence of the pattern."""
    return text[:1].upper() + text[1:]


OPTIONS: dict[str, Callable[[str], str]] = {f.__name__: f for f in (rstrip_punctuation, lower_first, upper_first)}
