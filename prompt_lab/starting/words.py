"""Label words that a backbone's tokenizer knows, and where each comes from."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple, Protocol

from prompt_lab.backbones.reader import Reader, Word
from prompt_lab.errors import LabError
from prompt_lab.starting.language import is_han
from prompt_lab.starting.lexicon import EMPTY

_PIECES = 4
"""The most tokens of a label's own name that is taken as it is."""
_NEAR = 0.88
"""How alike two spellings must be."""


class Found(NamedTuple):
    """A label's word, where it comes from, and whether that is certain to mean the label."""

    word: str
    source: str
    sure: bool


class Predictions(Protocol):
    """What a backbone says of each label."""

    def words(self, label: int) -> Iterator[str]:
        """Words for a label, best first."""


class Known:
    """What a tokenizer makes of words where a task's patterns put them; every word it gives out is another one.

    Args:
        reader: of the backbone.
        before: the character in front of the mask of each pattern, as ``Template.before_mask`` gives it.
    """

    def __init__(self, reader: Reader, before: Sequence[str | None]) -> None:
        self.reader = reader
        self._before = tuple(dict.fromkeys(before))
        self._used: set[tuple[str | None, Word] | str] = set()

    def pieces(self, word: str) -> int:
        """Of how many tokens it is, at most; 0 for a word that it does not know or that another label has."""
        ids = self._ids(word)
        return 0 if not ids or self._used & {word, *ids.items()} else max(map(len, ids.values()))

    def take(self, word: str) -> None:
        """Give it to a label."""
        self._used |= {word, *self._ids(word).items()}

    def whole(self) -> list[str]:
        """The words of the vocabulary that have four letters or more."""
        names = (n.lstrip("Ġ▁") for n in self.reader.tokenizer.get_vocab())
        return sorted({n.lower() for n in names if len(n) >= 4 and n.isalpha()})

    def _ids(self, word: str) -> dict[str | None, Word]:
        try:
            return {before: self.reader.word_ids(word, before) for before in self._before}
        except LabError:
            return {}


def propose(
    labels: Sequence[str],
    known: Known,
    published: Mapping[str, str],
    paper: str,
    predictions: Callable[[], Predictions],
) -> dict[str, Found]:
    """A word for every label, no two alike, in this order of preference.

    The word a paper has for just these labels; the label's own name, if it is one token (Chinese: as many as it has characters, up
    to four); a part of it that no other label has; the nearest word in spelling; what the backbone predicts over the label's texts
    (Gao et al. 2021, section 5.1); the name in several tokens.

    Args:
        labels: their names.
        known: the tokenizer.
        published: words of a paper, by label.
        paper: which.
        predictions: reads the texts; asked for only if it is needed.

    Raises:
        LabError: nothing of a label is known to the tokenizer, and the backbone predicts nothing.
    """
    found: dict[str, Found] = {}
    steps: list[Callable[[str], Found | None]] = [
        lambda label: _first([published.get(label, "")], known, paper),
        lambda label: _own(label, known),
        lambda label: _part(label, labels, known),
        lambda label: _spelt(label, known),
    ]
    for step in steps:  # first all that are certain, so that no label is given the name of another
        for label in labels:
            if label not in found and (word := step(label)) is not None:
                found[label] = word
                known.take(word.word)
    left = [label for label in labels if label not in found]
    if left:
        said = _asked(predictions)
        for label in left:
            found[label] = _last(label, labels.index(label), known, said)
            known.take(found[label].word)
    return {label: found[label] for label in labels}


def _first(words: Sequence[str], known: Known, source: str, *, sure: bool = True) -> Found | None:
    word = next((w for w in words if w and _fits(w, known)), None)
    return None if word is None else Found(word, source, sure)


def _fits(word: str, known: Known) -> bool:
    return known.pieces(word) == 1 or (all(map(is_han, word)) and 0 < known.pieces(word) <= _PIECES)


def spoken(label: str) -> str:
    """A label's name as one would say it: ``__label__SciTech`` as ``Sci Tech``."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label.removeprefix("__label__"))
    return " ".join(re.sub(r"[\W_]+", " ", name).split())


def _own(label: str, known: Known) -> Found | None:
    name = spoken(label)
    if not any(c.isalpha() for c in name):
        return None  # a number is a token of many vocabularies, but says nothing
    return _first([name.lower(), name, name.capitalize()], known, "its own name")


def _part(label: str, labels: Sequence[str], known: Known) -> Found | None:
    others = {w for other in labels if other != label for w in spoken(other).lower().split()}
    parts = [w for w in spoken(label).lower().split() if len(w) >= 3 and w not in EMPTY and w not in others]
    parts.sort(key=len, reverse=True)  # of "Sci/Tech", tech
    return _first(parts, known, "a part of its name", sure=False) if len(spoken(label).split()) > 1 else None


def _spelt(label: str, known: Known) -> Found | None:
    name = spoken(label).lower()
    if len(name) < 5 or not name.isascii() or not name.isalpha():
        return None
    stems = [name[:end] for end in range(len(name) - 1, max(4, round(0.7 * len(name))) - 1, -1)]
    near = [w for w in get_close_matches(name, known.whole(), n=3, cutoff=_NEAR) if w[:3] == name[:3]]
    return _first([*near, *stems], known, "the nearest in spelling (of the words that the backbone knows)", sure=False)


def _asked(predictions: Callable[[], Predictions]) -> Predictions | str:
    try:
        return predictions()
    except LabError as error:
        return str(error)


def _last(label: str, number: int, known: Known, said: Predictions | str) -> Found:
    source = "predicted over texts of this label"
    if not isinstance(said, str):
        words = (w for w in said.words(number) if w.lower() not in EMPTY and (len(w) >= 3 or all(map(is_han, w))))
        word = next((w for w in words if known.pieces(w) == 1), None)
        if word is not None:
            return Found(word, source, False)
    name = spoken(label)
    if any(c.isalpha() for c in name) and known.pieces(name):
        return Found(name, f"its own name ({known.pieces(name)} tokens, scored together)", True)
    why = said if isinstance(said, str) else "and it predicts no other word"
    raise LabError(
        f"the label {label!r} has no word that backbone {known.reader.name!r} knows ({why}). Name another one with --backbone."
    )
