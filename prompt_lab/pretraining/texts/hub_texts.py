"""One text column of a data set of the Hugging Face hub, or of a local folder that ``datasets`` can read."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from prompt_lab.errors import LabError
from prompt_lab.hub import go_offline_if_unreachable
from prompt_lab.pretraining.texts.base import AS_STATED, Texts


class HubTexts(Texts):
    """One column of a data set, read with ``datasets``; rows whose text is empty are left out.

    Args:
        path: hub id, or a folder of files that ``datasets`` reads: JSON lines, CSV, Parquet, text.
        name: configuration of the data set.
        split: what to read of it, also a part such as ``train[:1%]``.
        column: the one with the texts.
        revision: branch, tag or commit; ``refs/convert/parquet`` for data sets that are scripts (no longer run).
        limit: how many documents to take, from the start. The data set is then streamed, so that only what is taken is
            downloaded, and nothing is kept for working offline.
        licence: of the texts.
    """

    def __init__(
        self,
        path: str,
        name: str | None = None,
        split: str = "train",
        column: str = "text",
        revision: str | None = None,
        limit: int | None = None,
        licence: str = AS_STATED,
    ) -> None:
        super().__init__(licence)
        self.path = path
        self.configuration = name
        self.split = split
        self.column = column
        self.revision = revision
        self.limit = limit

    @property
    def name(self) -> str:
        """The data set, its configuration, revision and split, and how much of it is read."""
        local = Path(self.path).expanduser()
        data_set = local.name if local.exists() else self.path
        if self.revision is not None:
            data_set += f"@{self.revision}"
        first = None if self.limit is None else f"first {self.limit:,}"
        return ", ".join(filter(None, (data_set, self.configuration, self.split, first)))

    def check(self) -> None:
        """Refuse a limit that leaves nothing; whether the hub has the data set is seen when it is read."""
        if self.limit is not None and self.limit < 1:
            raise LabError(f"limit is {self.limit}; it must be at least 1, or left out to read everything")

    def documents(self) -> Iterator[str]:
        """One document a row.

        Raises:
            LabError: as ``check``, the data set cannot be read, lacks the column, or has something else than text in it.
        """
        self.check()
        return islice(self._texts(), self.limit)

    def _texts(self) -> Iterator[str]:
        for number, row in enumerate(self._rows()):
            if self.column not in row:
                raise LabError(f"data set {self.path!r} has no column {self.column!r}; it has {[*row]}")
            text = row[self.column]
            if text is not None and not isinstance(text, str):
                raise LabError(
                    f"{self.path}:{self.split}:{number}: {self.column} must be text, not {type(text).__name__}"
                )
            if text and (stripped := text.strip()):
                yield stripped

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        try:
            yield from self._table()
        except Exception as error:  # datasets, huggingface_hub and httpx raise a dozen unrelated types
            named = " ".join(filter(None, (self.path, self.configuration, self.split)))
            raise LabError(
                f"the data set {named} could not be read: {type(error).__name__}: {error}\n"
                "Download its texts elsewhere and read them with TextFiles, "
                "or use texts that are installed: TaskTexts of rotten_tomatoes, imdb or bbc_news."
            ) from error

    def _table(self) -> Iterable[Mapping[str, Any]]:
        go_offline_if_unreachable()
        from datasets import load_dataset  # takes a second to import, and only hub texts need it

        path = Path(self.path).expanduser()
        table = load_dataset(
            str(path) if path.exists() else self.path,
            self.configuration,
            split=self.split,
            revision=self.revision,
            streaming=self.limit is not None,
        )
        known = table.column_names or ()  # a stream may not know its columns before its first row
        return table.select_columns([self.column]) if self.column in known else table
