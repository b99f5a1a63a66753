"""A toy task with forty-eight short reviews, made on the spot: for tests."""

from dataclasses import dataclass
from itertools import product

from prompt_lab.batch import Example
from prompt_lab.tasks import Split, Task

_THINGS = ("film", "plot", "cast", "music", "ending", "script", "picture", "story")
_WORDS = {"negative": ("dull", "poor", "tired"), "positive": ("bright", "rich", "lively")}


@dataclass(frozen=True)
class Made:
    """Sentences put together from words; every third one is for the test.

    Attributes:
        flip_test: give every test text the wrong label.
    """

    flip_test: bool = False

    def read(self, task: Task) -> dict[Split, list[Example]]:
        """Train and test."""
        pairs = [(label, Example({"text_a": f"the {t} is {w}"}, label))
                 for label, words in enumerate(_WORDS.values()) for t, w in product(_THINGS, words)]  # fmt: skip
        train = [e for i, (_, e) in enumerate(pairs) if i % 3]
        test = [
            Example(e.fields, 1 - label if self.flip_test else label)
            for i, (label, e) in enumerate(pairs)
            if i % 3 == 0
        ]
        return {"train": train, "test": test}


TASK = Task(
    source=Made(),
    labels=("negative", "positive"),
    label_words={"negative": ["terrible"], "positive": ["great"]},
    templates=("{text_a} It was {mask}.", "It was {mask}: {text_a}", "Review: {text_a} Verdict: {mask}"),
    name="toy",
)
