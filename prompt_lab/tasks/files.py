"""A task's texts from the user's own files: CSV, TSV, JSON lines, Parquet or plain lines, each problem told with its line."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from prompt_lab.batch import Example
from prompt_lab.errors import LabError, listed, unknown
from prompt_lab.tasks.base import Split, Task
from prompt_lab.tasks.poles import placed

Row = Mapping[str, Any]
Rows = Iterator[tuple[int, Row | LabError]]  # each line's number, with its row or what is wrong with it


@dataclass(frozen=True)
class Files:
    """The user's own files: CSV, TSV, JSON lines or Parquet, each also with ``.gz``, told apart by suffix.

    Columns (keys) are the task's fields and ``label``; others are ignored. A label is one of the task's names, or the
    number of its class; for a task with bounds it is a number between them. ``unlabeled`` needs no labels, and any that
    it has are not read; for a task of one field it may be a ``.txt`` file, with a text in every line.

    Attributes:
        train: file to draw training examples from.
        validation: file to draw validation examples from.
        test: file to test on.
        unlabeled: file of texts for semi-supervised methods.
        allow_overlap: keep rows that come twice or stand in two splits, as some published splits have them; they are counted.
    """

    train: str | None = None
    validation: str | None = None
    test: str | None = None
    unlabeled: str | None = None
    allow_overlap: bool = False

    def named(self) -> dict[Split, Path]:
        """The files that were given, by split."""
        given: dict[Split, str | None] = {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
            "unlabeled": self.unlabeled,
        }
        return {split: Path(path).expanduser() for split, path in given.items() if path is not None}

    def read(self, task: Task) -> dict[Split, list[Example]]:
        """The splits that were given.

        Raises:
            LabError: a file is missing, of an unknown kind or corrupt, or has unusable rows: a missing column, an
                unknown label, a number out of bounds, an empty text, a broken line. All are counted, the first few
                listed with file and line.
        """
        return {split: _examples(path, task, split != "unlabeled") for split, path in self.named().items()}


def _examples(path: Path, task: Task, labelled: bool) -> list[Example]:
    wanted = (*task.fields, "label") if labelled else task.fields
    examples: list[Example] = []
    problems: list[str] = []
    for line, row in rows(path, wanted):
        where = f"{path}:{line}"
        try:
            if isinstance(row, LabError):
                raise row
            _require(wanted, list(row))
            texts = {name: _text(name, row[name]) for name in task.fields}
            label, soft = _label(task, row["label"]) if labelled else (None, None)
            examples.append(Example(texts, label, where, soft))
        except LabError as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise LabError(listed(f"{path} cannot be used", problems))
    if not examples:
        raise LabError(f"{path} holds no rows")
    return examples


def _require(wanted: Sequence[str], columns: Sequence[str]) -> None:
    for name in wanted:
        if name not in columns:
            near = get_close_matches(name, [str(c) for c in columns], n=1)
            hint = f" Is it {near[0]!r}? Then rename that." if near else ""
            raise LabError(f"no column {name!r}; the columns are {', '.join(map(repr, columns))}.{hint}")


def _text(name: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise LabError(f"{name} must be text, not {type(value).__name__}")
    if value is None or not value.strip():
        raise LabError(f"{name} is empty")
    return value.strip()


def _label(task: Task, value: Any) -> tuple[int, tuple[float, ...] | None]:
    if value is None or value == "":
        raise LabError("the label is missing")
    return (_class(task, value), None) if task.bounds is None else placed(value, task.bounds)


def _class(task: Task, value: Any) -> int:
    name = str(value).lower() if isinstance(value, bool) else str(value).strip()
    if name in task.labels:
        return task.labels.index(name)
    digits = name.isdecimal() and not any(label.isdecimal() for label in task.labels)
    if digits and int(name) < len(task.labels):
        return int(name)
    raise unknown("label", name, task.labels)


def rows(path: Path, wanted: Sequence[str]) -> Rows:
    """Each row of a file that has these columns, with its line; in its place what is wrong with one that is broken.

    Raises:
        LabError: the file is missing, of an unknown kind or corrupt.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in _KINDS:
        raise LabError(f"{path}: the suffix must be one of {', '.join(_KINDS)}, each also with .gz; it is {suffix!r}")
    return _KINDS[suffix](_bytes(path), wanted)


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except FileNotFoundError:
        near = get_close_matches(path.name, [p.name for p in path.parent.glob("*")], n=1)
        raise LabError(f"{path}: no such file.{f' Did you mean {near[0]!r}?' if near else ''}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise LabError(f"{path}: cannot be read ({error})") from error


def _decoded(read: Callable[[str, Sequence[str]], Rows]) -> Callable[[bytes, Sequence[str]], Rows]:
    """A reader of bytes from a reader of text."""

    def from_bytes(data: bytes, wanted: Sequence[str]) -> Rows:
        try:
            return read(data.decode("utf-8-sig"), wanted)
        except UnicodeDecodeError:
            return _undecodable(data)

    return from_bytes


def _undecodable(data: bytes) -> Rows:
    for number, line in enumerate(data.split(b"\n"), 1):  # no part of a UTF-8 character looks like a line break
        try:
            line.decode()
        except UnicodeDecodeError as error:
            yield number, LabError(f"not UTF-8 (byte 0x{line[error.start]:02x}); save the file as UTF-8")


def _delimited(delimiter: str) -> Callable[[str, Sequence[str]], Rows]:
    def read(text: str, wanted: Sequence[str]) -> Rows:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            line = rows.line_num + 1  # where the row starts: a quoted text may go on for several lines
            try:
                values = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, LabError(f"broken line ({error})")
                continue
            if header is None and values:
                header = [name.strip() for name in values]
                try:
                    _require(wanted, header)
                except LabError as error:  # once, not again for every row
                    yield line, error
                    return
            elif header is not None and values:
                yield line, _zipped(header, values)

    return read


def _zipped(header: list[str], values: list[str]) -> Row | LabError:
    if len(values) != len(header):
        return LabError(f"broken line: {len(values)} values, but the header names {len(header)} columns")
    return dict(zip(header, values, strict=True))


def _json_lines(text: str, wanted: Sequence[str]) -> Rows:
    for line, written in enumerate(text.split("\n"), 1):  # not splitlines(), which also splits inside of texts
        if not written.strip():
            continue
        try:
            row = json.loads(written)
        except json.JSONDecodeError as error:
            yield line, LabError(f"broken line ({error.msg}, column {error.colno}); each line must be one JSON object")
        else:
            yield line, row if isinstance(row, dict) else LabError("each line must be one JSON object")


def _lines(text: str, wanted: Sequence[str]) -> Rows:
    if len(wanted) > 1:
        yield 1, LabError(f"a .txt file has one text a line and nothing else, but {', '.join(wanted)} are needed")
        return
    for line, written in enumerate(text.split("\n"), 1):
        if written.strip():
            yield line, {wanted[0]: written}


def _parquet(data: bytes, wanted: Sequence[str]) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
        _require(wanted, table.column_names)
    except (pa.ArrowException, OSError) as error:
        yield 1, LabError(f"not a readable Parquet file ({error})")
    except LabError as error:
        yield 1, error
    else:
        yield from enumerate(table.select(list(wanted)).to_pylist(), 1)  # no lines here: rows, counted from 1


_KINDS: dict[str, Callable[[bytes, Sequence[str]], Rows]] = {
    ".csv": _decoded(_delimited(",")),
    ".tsv": _decoded(_delimited("\t")),
    ".jsonl": _decoded(_json_lines),
    ".ndjson": _decoded(_json_lines),
    ".json": _decoded(_json_lines),
    ".txt": _decoded(_lines),
    ".parquet": _parquet,
}
