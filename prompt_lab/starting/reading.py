"""A user's file of labelled texts, read whole with all its columns, and refused where no task can be made of it."""

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from prompt_lab.errors import LabError, listed
from prompt_lab.tasks.files import rows
from prompt_lab.tasks.table import written

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_NAME = 80
"""The most characters that the name of a column is believed to have."""


@dataclass(frozen=True)
class Data:
    """A file with named columns.

    Attributes:
        path: of the file.
        columns: their names, in the file's order; a column without a name, such as pandas writes, is left out.
        rows: every row, by the column's name.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]

    def values(self, column: str) -> list[str]:
        """A column's cells as text, empty where there is none."""
        return [written(row.get(column)) for row in self.rows]


def read(path: Path) -> Data:
    """Read a file: CSV, TSV, JSON lines or Parquet, each also with ``.gz``.

    Raises:
        LabError: it is missing, of another kind, not UTF-8, broken or empty, or has no header, one column only, or two of one name.
    """
    if path.is_dir():
        raise LabError(f"{path} is a folder; give one file of texts with their labels")
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix == ".txt":
        raise LabError(f"{path}: a .txt file has no labels; save texts and labels as .csv, .tsv, .jsonl or .parquet")
    first = _header(path, _DELIMITERS[suffix]) if suffix in _DELIMITERS and path.is_file() else None
    names = first if first is not None else _schema(path) if suffix == ".parquet" and path.is_file() else None
    named = [n for n in names or () if n]
    if twice := sorted({n for n in named if named.count(n) > 1}):
        raise LabError(f"{path}: two columns are called {twice[0]!r}; give each a name of its own")
    found: list[Mapping[str, Any]] = []
    problems: list[str] = []
    for line, row in rows(path, named):
        if isinstance(row, LabError):
            problems.append(f"{path}:{line}: {row}")
        else:
            found.append(row)
    if problems:
        raise LabError(listed(f"{path} cannot be used", problems))
    if not found:
        raise LabError(f"{path} holds no rows" + (", only a line of column names" if named else "; it is empty"))
    columns = tuple(named) if names is not None else tuple(dict.fromkeys(str(n) for row in found for n in row))
    data = Data(path, columns, found)
    if first is not None:
        _refuse_headless(data)
    if len(columns) < 2:
        raise LabError(_single(path, columns, suffix))
    return data


def _header(path: Path, delimiter: str) -> list[str]:
    """The first line that is not empty, cut up; what cannot be decoded is told later, with its line."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
            return [name.strip() for name in next((line for line in csv.reader(text, delimiter=delimiter) if line), [])]
    except (OSError, EOFError, csv.Error):
        return []  # told later, too


def _schema(path: Path) -> list[str] | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        return []


def _refuse_headless(data: Data) -> None:
    """An error if the first line is a row like all others."""
    for name in data.columns:
        again = sum(value == name for value in islice(data.values(name), 1000))
        if _is_number(name) or len(name) > _NAME or again:
            raise LabError(
                f"{data.path}: the first line must name the columns, such as text,label; its {name[:40]!r} looks like a row's value"
                + (", and stands below as one, too" if again else "")
            )


def _single(path: Path, columns: Sequence[str], suffix: str) -> str:
    name = columns[0] if columns else ""
    other = next((d for d in ";\t,|" if d != _DELIMITERS.get(suffix) and d in name), None)
    hint = (
        f" Is it separated by {other!r}? Save it with {_DELIMITERS[suffix]!r}."
        if other and suffix in _DELIMITERS
        else ""
    )
    return f"{path} has one column, {name!r}; a task needs one of labels and one or two of texts.{hint}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
