"""Where texts come from: the Hugging Face hub, an installed Python package, or the user's own files."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from prompt_lab.batch import Example
from prompt_lab.errors import LabError
from prompt_lab.hub import go_offline_if_unreachable
from prompt_lab.tasks.base import Split, Task
from prompt_lab.tasks.poles import placed

NO_LABEL = (None, -1, "-")  # how hub data sets mark a row without a gold label (GLUE's test sets, SNLI, OCNLI)

Row = Mapping[str, Any]
Rows = Iterator[tuple[int, Row | LabError]]  # each line's number, with its row or what is wrong with it


@dataclass(frozen=True)
class Hub:
    """A data set of the Hugging Face hub, or a local folder in the same form, read with ``datasets``.

    Rows without a gold label or with an empty text are left out.

    Attributes:
        path: hub id, folder, or a reader of ``datasets`` such as ``json`` together with ``files``.
        name: configuration of the data set.
        revision: branch, tag or commit; ``refs/convert/parquet`` for data sets that are scripts (no longer run).
        columns: hub column to our field; the label's column to ``label``.
        splits: our split to the hub's.
        labels: the hub's value of a label to our name; without it a number counts the task's labels, a name stays.
        files: address of each hub split's file, when ``path`` is a reader.
        options: of the reader, such as the ``sep`` of ``csv``.
    """

    path: str
    name: str | None = None
    revision: str | None = None
    columns: Mapping[str, str] = field(default_factory=lambda: {"sentence": "text_a", "label": "label"})
    splits: Mapping[Split, str] = field(default_factory=lambda: {"train": "train", "test": "validation"})
    labels: Mapping[int, str] | Mapping[str, str] | None = None
    files: Mapping[str, str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def read(self, task: Task) -> dict[Split, list[Example]]:
        """All splits.

        Raises:
            LabError: the data set cannot be read, lacks a column, or has a label that the task does not know.
        """
        return {split: list(self._examples(task, split, there)) for split, there in self.splits.items()}

    def _examples(self, task: Task, split: Split, there: str) -> Iterator[Example]:
        columns = {hub: ours for hub, ours in self.columns.items() if ours != "label" or split != "unlabeled"}
        for number, values in enumerate(self._rows(task, there, list(columns))):
            row = dict(zip(columns.values(), values, strict=True))
            where = f"{self.path}:{there}:{number}"
            label, soft = (None, None) if split == "unlabeled" else self._label(task, row["label"], where)
            texts = {name: (row[name] or "").strip() for name in task.fields}
            if all(texts.values()) and (split == "unlabeled" or label is not None):
                yield Example(texts, label, where, soft)

    def _rows(self, task: Task, there: str, columns: list[str]) -> Iterable[tuple[Any, ...]]:
        try:
            go_offline_if_unreachable()
            from datasets import load_dataset  # takes a second to import, and only hub tasks need it

            # One split at a time: files of one data set may differ in their columns (unlabelled rows have no label).
            only = None if self.files is None else {there: self.files[there]}
            how = {"split": there, "revision": self.revision, "data_files": only, **self.options}
            table = load_dataset(self.path, self.name, **how)
        except Exception as error:  # datasets, huggingface_hub and httpx raise a dozen unrelated types
            raise self._unreachable(task, error) from error
        if missing := set(columns) - set(table.column_names):
            raise LabError(f"data set {self.path!r} has no column {sorted(missing)}; it has {table.column_names}")
        found = table.select_columns(columns).to_dict()
        return zip(*(found[name] for name in columns), strict=True)

    def _unreachable(self, task: Task, error: Exception) -> LabError:
        named = " ".join(filter(None, (self.path, self.name))) if self.files is None else ", ".join(self.files.values())
        return LabError(
            f"task {task.name!r} needs the data set {named}, which could not be read: {type(error).__name__}: {error}\n"
            "Read the task from files of your own with --data.files.train PATH --data.files.test PATH, "
            "or use a task whose data are installed: rotten_tomatoes, imdb, bbc_news."
        )

    def _label(self, task: Task, value: Any, where: str) -> tuple[int | None, tuple[float, ...] | None]:
        if task.bounds is None:
            return self._class(task, value, where), None
        if value in NO_LABEL and (value != -1 or task.bounds[0] > -1):
            return None, None
        return _placed(task, value, where)

    def _class(self, task: Task, value: Any, where: str) -> int | None:
        if value in NO_LABEL:
            return None
        if self.labels is not None:
            if value not in self.labels:
                raise LabError(f"{where}: label {value!r} is not one of {list(self.labels)}")
            return task.labels.index(self.labels[value])
        if isinstance(value, str):
            return task.label_index(value, where)
        if not 0 <= value < len(task.labels):
            raise LabError(f"{where}: label {value} is not the number of one of {list(task.labels)}")
        return int(value)


def _placed(task: Task, value: Any, where: str) -> tuple[int, tuple[float, ...]]:
    assert task.bounds is not None
    try:
        return placed(value, task.bounds)
    except LabError as error:
        raise LabError(f"{where}: {error}") from None


def few_clue(folder: str, columns: Mapping[str, str], labels: Mapping[str, str] | None = None) -> Hub:
    """A task of FewCLUE (Xu et al. 2021), from the benchmark's own repository: no readable copy on the hub is known."""
    names: dict[Split, str] = {"train": "train_few_all", "test": "test_public", "unlabeled": "unlabeled"}
    address = f"https://raw.githubusercontent.com/CLUEbenchmark/FewCLUE/main/datasets/{folder}"
    addresses = {name: f"{address}/{name}.json" for name in names.values()}
    return Hub("json", columns=columns, splits=names, labels=labels, files=addresses)


@dataclass(frozen=True)
class Package:
    """Texts that arrive inside an installed Python package, with a test split that is always the same.

    The test split is the first ``test_per_class`` texts of each label by ``Example.key``, a hash of the text: it does
    not depend on the order of the package's files, and no text stands in both splits.

    Attributes:
        distribution: the package as pip knows it.
        module: the module that holds the data.
        rows: reads (text, label name, origin) from the module's folder; a text that comes twice is used once.
        test_per_class: texts of each label in the test split.
    """

    distribution: str
    module: str
    rows: Callable[[Traversable], Iterable[tuple[str, str, str]]]
    test_per_class: int

    def read(self, task: Task) -> dict[Split, list[Example]]:
        """``train`` and ``test``.

        Raises:
            LabError: the package is not installed, or does not hold the files it is known to hold.
        """
        try:
            rows = [*self.rows(files(self.module))]
        except (ModuleNotFoundError, FileNotFoundError, NotADirectoryError) as error:
            raise LabError(
                f"task {task.name!r} reads the package {self.distribution!r}: {error}. "
                f"Install it with: pip install {self.distribution}"
            ) from error
        found = (Example({"text_a": text}, task.label_index(label, origin), origin) for text, label, origin in rows)
        examples = sorted({e.key: e for e in found}.values(), key=lambda e: e.key)
        test: list[Example] = []
        for label in range(len(task.labels)):
            test += [e for e in examples if e.label == label][: self.test_per_class]
        held_out = {e.key for e in test}
        return {"train": [e for e in examples if e.key not in held_out], "test": test}
