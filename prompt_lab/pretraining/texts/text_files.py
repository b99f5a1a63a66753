"""The user's own text files: UTF-8, plain or compressed with gzip, a document a file, a paragraph or a line."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args

from prompt_lab.errors import LabError, unknown
from prompt_lab.pretraining.texts.base import AS_STATED, Texts
from prompt_lab.pretraining.texts.lines import lines

Unit = Literal["file", "paragraph", "line"]


class TextFiles(Texts):
    """Text files, read in the order in which they are given; what one pattern finds is sorted, and no file comes twice.

    Args:
        paths: files, each also with ``.gz``; ``~`` is the home folder, and ``*``, ``?``, ``[`` and ``**`` make a pattern.
        unit: what a document is. Paragraphs are parted by blank lines.
        licence: of the texts.
    """

    def __init__(self, paths: list[str], unit: Unit = "paragraph", licence: str = AS_STATED) -> None:
        super().__init__(licence)
        self.paths = paths
        self.unit = unit

    @property
    def name(self) -> str:
        """The last part of each path or pattern."""
        return ", ".join(Path(path).name for path in self.paths)

    def check(self) -> None:
        """Refuse a path that names no file, and a unit that does not exist."""
        if self.unit not in get_args(Unit):
            raise unknown("unit of text", self.unit, get_args(Unit))
        self.files()

    def files(self) -> list[Path]:
        """The files that are read.

        Raises:
            LabError: no path was given, one is a folder or does not exist, or a pattern finds no file.
        """
        if not self.paths:
            raise LabError("no text files were given; paths takes files and patterns such as texts/*.txt")
        return [*dict.fromkeys(file for path in self.paths for file in _found(Path(path).expanduser()))]

    def documents(self) -> Iterator[str]:
        """One document a unit that is not blank; no more than one document is held at a time.

        Raises:
            LabError: as ``check``, or a file cannot be read, is corrupt or is not UTF-8 (with the line).
        """
        self.check()
        for path in self.files():
            texts = (text for _, text in lines(path))
            for document in self._documents(texts):
                if stripped := document.strip():
                    yield stripped

    def _documents(self, texts: Iterator[str]) -> Iterator[str]:
        if self.unit == "line":
            yield from texts
        elif self.unit == "file":
            yield "\n".join(texts)
        else:
            yield from ("\n".join(paragraph) for _, paragraph in groupby(texts, bool))


def _found(path: Path) -> list[Path]:
    if path.is_dir():
        raise LabError(f"{path} is a folder; name its files, such as {path / '*.txt'}")
    if path.is_file():  # before it is a pattern: names of files may have brackets
        return [path]
    pattern = path.relative_to(path.anchor).as_posix()
    try:
        found = sorted(file for file in Path(path.anchor).glob(pattern) if file.is_file())
    except ValueError as error:
        raise LabError(f"{path}: {error}") from error
    if not found:
        raise LabError(f"{path}: {'no file fits this pattern' if set(pattern) & set('*?[') else 'no such file'}")
    return found
