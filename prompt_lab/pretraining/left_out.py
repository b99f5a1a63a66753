"""Keeps test texts out of pretraining: texts known by a digest of their letters and digits."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from prompt_lab import discovery
from prompt_lab.batch import Example
from prompt_lab.data.reading import read
from prompt_lab.errors import LabError, unknown
from prompt_lab.pretraining.texts.lines import lines
from prompt_lab.reporting.files import atomic
from prompt_lab.tasks import load_task

SHORTEST_PART = 20
"""Letters and digits that a line or a field must have to be told apart: shorter ones come up by chance."""

# What tokenisation and damage put in the place of a mark: the Penn Treebank's brackets, HTML's numbered characters.
_STAND_INS = re.compile(r"-[lr][rsc]b-|&#\d+ ?;", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\n|(?<=[.!?])['\")\s]*\s+")
_NEITHER_LETTER_NOR_DIGIT = re.compile(r"[\W_]+")
_DIGEST = re.compile(r"[0-9a-f]{16}")


def digest(text: str) -> str:
    """The first 16 hex digits of sha256 over a text's letters and digits, in lower case and without accents.

    Copies of a text that differ in blanks, marks, case, accents or tokenisation have the same digest: ``It's good.`` and
    ``it 's good .``; ``crème -LRB- brûlée -RRB-`` and ``creme (brulee)``.
    """
    return _hashed(_letters(text))


class LeftOut:
    """Texts that pretraining must not read, known by their digests. The texts of tasks are read when first needed.

    Args:
        named: each the name of a task, whose whole test split it stands for, or the path of a file of digests, as
            ``write_digests`` writes it.

    Raises:
        LabError: something named is neither a task nor a file, or a file does not hold digests.
    """

    def __init__(self, named: Sequence[str]) -> None:
        self._tasks = [name for name in dict.fromkeys(named) if _is_task(name)]
        self._files = {name: _digests(name) for name in named if name not in self._tasks}

    def holds(self, text: str) -> bool:
        """Whether a document is one of the texts, or one of its sentences is, from ``SHORTEST_PART`` letters and digits on.

        Raises:
            LabError: a task's source cannot be had.
        """
        if digest(text) in self._all:
            return True
        return any(_hashed(part) in self._all for part in _parts(_SENTENCE_END.split(text)))

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many digests each name stands for: at least one a text, and one for each long field of a pair."""
        return {name: len(found) for name, found in self._by_name.items()}

    @cached_property
    def _by_name(self) -> dict[str, frozenset[str]]:
        return self._files | {name: frozenset(d for e in _tests(name) for d in _of(e)) for name in self._tasks}

    @cached_property
    def _all(self) -> frozenset[str]:
        return frozenset().union(*self._by_name.values())


def write_digests(path: Path, texts: Iterable[str], about: str = "digests of texts to leave out") -> None:
    """Write a file of digests, sorted, one a line, each once, under a comment. The texts cannot be had back from it.

    Args:
        path: of the file.
        texts: what to leave out.
        about: the comment: what the texts are and where they are from.

    Raises:
        LabError: the file cannot be written.
    """
    written = [f"# {' '.join(about.split())}", *sorted({digest(text) for text in texts})]
    with atomic(path) as temporary:
        temporary.write_text("\n".join(written) + "\n", encoding="utf-8")


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", _STAND_INS.sub(" ", text)).lower()  # NFKD parts letters from their accents
    return _NEITHER_LETTER_NOR_DIGIT.sub("", plain)


def _hashed(letters: str) -> str:
    return hashlib.sha256(letters.encode()).hexdigest()[:16]


def _parts(texts: Iterable[str]) -> Iterator[str]:
    """The letters of texts that are long enough to be told apart."""
    return (letters for text in texts if len(letters := _letters(text)) >= SHORTEST_PART)


def _of(example: Example) -> Iterator[str]:
    """The digests of a test text: all fields joined, and each long one."""
    yield digest("\n".join(example.fields.values()))
    if len(example.fields) > 1:
        yield from map(_hashed, _parts(example.fields.values()))


def _is_task(name: str) -> bool:
    if name.endswith(".py"):
        load_task(name)
        return True
    known = discovery.entries("task")
    if name not in known and not Path(name).expanduser().is_file():
        raise unknown("task", name, known, more="A file of digests of that name was not found either.")
    return name in known


def _tests(task: str) -> list[Example]:
    splits, _ = read(task, None)
    if "test" not in splits:
        raise LabError(f"task {task!r} has no test split to leave out; it has {', '.join(splits)}")
    return splits["test"]


def _digests(name: str) -> frozenset[str]:
    path = Path(name).expanduser()
    found = {number: line for number, line in lines(path) if line and not line.startswith("#")}
    for number, line in found.items():
        if _DIGEST.fullmatch(line) is None:
            raise LabError(f"{path}:{number}: {line[:40]!r} is not a digest, which is 16 hex digits in lower case")
    if not found:
        raise LabError(f"{path} holds no digests")
    return frozenset(found.values())
