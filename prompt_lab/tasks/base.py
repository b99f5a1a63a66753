"""What a task is: a source of texts, its labels, how it may be asked, and how it is scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

from prompt_lab import discovery
from prompt_lab.batch import Example
from prompt_lab.errors import LabError, unknown
from prompt_lab.stamps import Stamps, stamps
from prompt_lab.tasks import poles

Split = Literal["train", "validation", "test", "unlabeled"]
Metric = Literal["acc", "f1", "f1_macro", "mcc", "pearson", "spearman"]


class Source(Protocol):
    """Where a task's texts come from: a hub data set, a package, or files."""

    def read(self, task: "Task") -> dict[Split, list[Example]]:
        """All splits the source has. ``train`` and ``test`` must be there for an experiment; the others may be missing.

        Raises:
            LabError: the source cannot be reached, or a row is unusable (with its place).
        """


@dataclass(frozen=True)
class Task:
    """A task of classification or regression. A file of ``prompt_lab/tasks`` holds one as ``TASK``; so may any file of a user's own.

    Attributes:
        source: where the texts come from.
        labels: label names, in the order of the class index.
        label_words: for each label, one or more words whose probability at the mask scores it (PET's verbalizer).
        templates: at least one pattern with a ``{mask}``; patterns whose mask stands last also fit causal models.
        fields: the text fields of an example.
        metric: what is reported first: accuracy, F1 of the last label, macro F1, Matthews' correlation, or, where there are
            ``bounds``, Pearson's or Spearman's.
        language: ISO code of the texts.
        citation: authors and year of the data set.
        bounds: for regression (Gao et al. 2021, section 4.1): the numbers of the two labels, which are its poles, the lower one first.
            The label column then holds numbers. Of each pole, K of the examples that lie nearer to it are drawn.
        name: filled in from the file's name.
    """

    source: Source
    labels: tuple[str, ...]
    label_words: Mapping[str, Sequence[str]]
    templates: tuple[str, ...]
    fields: tuple[str, ...] = ("text_a",)
    metric: Metric = "acc"
    language: str = "en"
    citation: str = ""
    bounds: poles.Bounds | None = None
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if hidden := set(self.fields) & set(discovery.entries("slot")):
            raise LabError(
                f"a field cannot be called {hidden.pop()!r}: in a pattern that is a slot; name the columns otherwise"
            )
        extra = set(self.label_words) - set(self.labels)
        if extra:
            raise LabError(f"label words for {sorted(extra)}, which are not labels; the labels are {list(self.labels)}")
        if self.bounds is not None:
            poles.check(self.bounds, self.labels)
        elif self.metric in ("pearson", "spearman"):
            raise LabError(f"{self.metric} compares numbers; give the task bounds, the numbers of its two labels")

    @property
    def primary(self) -> str:
        """The record's key of the score that is reported first, such as ``test/acc``."""
        return f"test/{self.metric}"

    def label_index(self, label: str, where: str) -> int:
        """The class index of a label name, or an error that names the nearest label and the place ``where`` it stood."""
        if label not in self.labels:
            raise unknown("label", label, self.labels, more=f"At {where}.")
        return self.labels.index(label)


def load_task(name: str) -> Task:
    """A task by the name of its file in ``prompt_lab/tasks``, or by the path of a file of the user's own, as it is now.

    Raises:
        LabError: no such task; the message names the nearest ones.
    """
    return _load_task(name, stamps([name] if name.endswith(".py") else []))


@cache
def _load_task(name: str, as_written: Stamps) -> Task:
    if name.endswith(".py"):
        task = discovery.load_file(Path(name), "TASK")
        if not isinstance(task, Task):
            raise LabError(f"TASK in {name} must be a prompt_lab.tasks.Task, not {type(task).__name__}")
        return replace(task, name=Path(name).stem)
    known = discovery.entries("task")
    if name not in known:
        raise unknown("task", name, known, more="A task of your own is given by its path: --data.task my_task.py")
    return replace(known[name].load(), name=name)
