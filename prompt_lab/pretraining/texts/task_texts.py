"""The texts of a task's training split or unlabelled pool; labels are never read, nor is the test split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from prompt_lab.data.reading import read
from prompt_lab.errors import LabError, unknown
from prompt_lab.pretraining.texts.base import AS_STATED, Texts
from prompt_lab.tasks import load_task

Pool = Literal["train", "unlabeled"]


class TaskTexts(Texts):
    """The texts of a task, cleaned as for a run: none comes twice, and none stands in the task's test split.

    The fields of an example become the lines of one document, in the task's order.

    Args:
        task: name of a task, or path of a file of the user's own.
        split: the training split, or the unlabelled pool of tasks that have one.
        licence: of the texts.
    """

    def __init__(self, task: str, split: Pool = "train", licence: str = AS_STATED) -> None:
        super().__init__(licence)
        self.task = task
        self.split = split

    @property
    def name(self) -> str:
        """Task and split."""
        return f"{Path(self.task).stem}, {self.split}"

    def check(self) -> None:
        """Refuse a task that does not exist, and every split that is no pool of texts to learn from."""
        if self.split not in get_args(Pool):
            raise unknown("split of texts", self.split, get_args(Pool), more="Test texts are never trained on.")
        load_task(self.task)

    def documents(self) -> Iterator[str]:
        """One document an example.

        Raises:
            LabError: as ``check``, the task's source cannot be had, or it has no such split.
        """
        self.check()
        splits, _ = read(self.task, None)
        if self.split not in splits:
            raise LabError(f"task {self.task!r} has no split {self.split!r}; it has {', '.join(splits)}")
        fields = load_task(self.task).fields
        for example in splits[self.split]:
            yield "\n".join(example.fields[name] for name in fields)
