"""The contract that every task keeps, a function a clause: it raises ``AssertionError`` with what was expected and what was found."""

from collections import Counter
from collections.abc import Callable, Iterator

from prompt_lab.data.cleaning import clean
from prompt_lab.tasks import Task
from prompt_lab.templates import Template

Check = Callable[[Task], None]


def checks() -> dict[str, Check]:
    """All clauses by name, without their ``check_``."""
    return {name.removeprefix("check_"): f for name, f in globals().items() if name.startswith("check_")}


def check_labels_are_told_apart(task: Task) -> None:
    """There are two labels or more, each of its own name."""
    assert len(set(task.labels)) == len(task.labels) >= 2, f"two labels or more, no two alike; they are {task.labels}"


def check_every_label_has_words_of_its_own(task: Task) -> None:
    """Each label has a word, and none is another label's, too."""
    without = [label for label in task.labels if not task.label_words.get(label)]
    assert not without, f"no label words for {without}"
    found = Counter(word for label in task.labels for word in set(task.label_words[label]))
    assert found.most_common(1)[0][1] == 1, f"{found.most_common(1)[0][0]!r} is a word of several labels"
    loose = [word for word in found if word.strip() != word or not word]
    assert not loose, f"label words are written without spaces around them: {loose}"


def check_patterns_ask_for_the_whole_example_at_one_mask(task: Task) -> None:
    """Each pattern holds a mask and every field."""
    assert task.templates, "a task has one pattern at least"
    for pattern in task.templates:
        assert Template(pattern, task.fields).has_mask, f"{pattern!r} has no {{mask}}"
        missing = [name for name in task.fields if "{" + name not in pattern]
        assert not missing, f"{pattern!r} does not show {missing}"


def check_texts_to_learn_from_and_to_test_on(task: Task) -> None:
    """Both splits are there, and every label can be learnt."""
    splits, _ = clean(task.source.read(task), strict=False)
    for split in ("train", "test"):
        assert splits.get(split), f"the source has no texts of the split {split!r}"
    found = Counter(e.label for e in splits["train"])
    never = [label for number, label in enumerate(task.labels) if not found[number]]
    assert not never, f"no training text has the label {never}"


def results(task: Task) -> Iterator[tuple[str, str]]:
    """Every clause with ``ok`` or what was found."""
    for name, check in checks().items():
        try:
            check(task)
            yield name, "ok"
        except AssertionError as error:
            yield name, f"FAILED: {error}"
        except Exception as error:  # a file that cannot be read fails its clause, not the others
            yield name, f"FAILED: {type(error).__name__}: {error}"
