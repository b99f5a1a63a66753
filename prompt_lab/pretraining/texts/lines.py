"""Lines of UTF-8 files, plain or compressed with gzip, each problem told with its place."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from prompt_lab.errors import LabError


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The number of each line, from 1, and its text without blanks at the end; the file is never held as a whole.

    Only a line feed ends a line, with or without a carriage return before it.

    Raises:
        LabError: the file cannot be opened, its gzip is corrupt, or a line is not UTF-8.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip()
    except UnicodeDecodeError as error:
        raise LabError(
            f"{path}:{number}: not UTF-8 (byte 0x{error.object[error.start]:02x}); save the file as UTF-8"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise LabError(f"{path}: cannot be read ({error})") from error
