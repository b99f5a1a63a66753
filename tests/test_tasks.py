"""Every task that is discovered, and the splits of those whose data are installed."""

from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from prompt_lab import discovery
from prompt_lab.errors import LabError
from prompt_lab.tasks import Task, load_task
from prompt_lab.tasks.base import Metric
from prompt_lab.tasks.sources import Package
from prompt_lab.templates import Template

TASKS = sorted(discovery.entries("task"))
PACKAGED = {  # (training texts, test texts of each label)
    "rotten_tomatoes": (7530, 500),
    "imdb": (22902, 1000),
    "bbc_news": (1560, 100),
}
OWN = """
from prompt_lab.tasks.base import Task
from prompt_lab.tasks.files import Files

TASK = Task(Files(train={train!r}), ("no", "yes"), {{"no": ["No"], "yes": ["Yes"]}}, ("{{text_a}} {{mask}}",))
"""


def test_all_tasks_of_the_readme_exist() -> None:
    assert len(TASKS) == 26


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_what_it_is(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert len(discovery.entries("task")[name].summary) > 10
    assert task.citation
    assert task.metric in get_args(Metric)
    assert len(set(task.labels)) == len(task.labels) >= 2
    assert task.language == ("zh" if name in ("eprstmt", "tnews", "ocnli", "bustm", "comment_classify") else "en")


@pytest.mark.parametrize("name", TASKS)
def test_every_label_has_words_of_its_own(name: str) -> None:
    task = load_task(name)
    words = [word for label in task.labels for word in task.label_words[label]]
    assert all(task.label_words[label] for label in task.labels)
    assert len(set(words)) == len(words)
    assert all(word.strip() == word != "" for word in words)


@pytest.mark.parametrize("name", TASKS)
def test_patterns_ask_for_the_whole_example_at_one_mask(name: str) -> None:
    task = load_task(name)
    templates = [Template(pattern, task.fields) for pattern in task.templates]
    assert len(set(task.templates)) == len(templates) >= 3
    assert all(template.has_mask for template in templates)
    assert all("{" + field in pattern for pattern in task.templates for field in task.fields)
    assert any(template.ends_in_mask() for template in templates), "none fits a model that reads left to right"


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_splits_are_fixed_balanced_and_disjoint(name: str) -> None:
    task = load_task(name)
    splits = task.source.read(task)
    train, per_class = PACKAGED[name]
    assert len(splits["train"]) == train
    assert Counter(e.label for e in splits["test"]) == dict.fromkeys(range(len(task.labels)), per_class)
    assert {e.label for e in splits["train"]} == set(range(len(task.labels)))
    keys = [e.key for split in splits.values() for e in split]
    assert len(set(keys)) == len(keys)
    assert not [e for split in splits.values() for e in split if "<br" in e.fields["text_a"] or not e.origin]


def test_no_bbc_story_stands_in_both_splits_under_another_headline() -> None:
    task = load_task("bbc_news")
    splits = task.source.read(task)
    bodies = {name: {e.fields["text_a"].partition(". ")[2] for e in split} for name, split in splits.items()}
    assert not bodies["train"] & bodies["test"]
    assert not [e for split in splits.values() for e in split if "\ufffd" in e.fields["text_a"]]


def numbered(texts: list[str]) -> Package:
    rows = [(text, ("no", "yes")[int(text) % 2], f"row {i}") for i, text in enumerate(texts)]
    return Package("prompt-lab", "prompt_lab", lambda _: rows, test_per_class=3)


def test_the_test_split_does_not_depend_on_the_order_of_the_files() -> None:
    texts = [str(i) for i in range(20)]
    task = Task(numbered(texts), ("no", "yes"), {}, ())
    forward, backward = task.source.read(task), numbered([*texts[::-1], "0"]).read(task)
    for split in forward:
        assert [e.key for e in forward[split]] == [e.key for e in backward[split]]
    assert (len(forward["train"]), len(forward["test"])) == (14, 6)


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it() -> None:
    task = Task(Package("some-reviews", "some_reviews", lambda _: [], 1), ("no", "yes"), {}, (), name="mine")
    with pytest.raises(LabError, match=r"'mine' reads the package 'some-reviews'.*pip install some-reviews"):
        task.source.read(task)


def test_a_task_of_the_users_own_is_given_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text_a,label\nfine,yes\n")
    path = tmp_path / "my_task.py"
    path.write_text(OWN.format(train=str(tmp_path / "data.csv")))
    task = load_task(str(path))
    assert task.name == "my_task"
    assert [(e.fields["text_a"], e.label) for e in task.source.read(task)["train"]] == [("fine", 1)]


def test_a_file_without_a_task_says_what_it_must_define(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text("TASKS = 1\n")
    (tmp_path / "wrong.py").write_text("TASK = 1\n")
    with pytest.raises(LabError, match="must define TASK; it defines TASKS"):
        load_task(str(tmp_path / "half.py"))
    with pytest.raises(LabError, match=r"must be a prompt_lab\.tasks\.Task, not int"):
        load_task(str(tmp_path / "wrong.py"))
    with pytest.raises(LabError, match="no such file"):
        load_task(str(tmp_path / "none.py"))


def test_an_unknown_task_is_answered_with_near_names() -> None:
    with pytest.raises(LabError, match=r"unknown task 'sst-2'. Did you mean 'sst2'.*--data.task my_task.py"):
        load_task("sst-2")


def test_labels_for_words_that_are_none_are_refused() -> None:
    with pytest.raises(LabError, match=r"label words for \['maybe'\], which are not labels"):
        Task(Package("a", "b", lambda _: [], 1), ("no", "yes"), {"maybe": ["Maybe"]}, ())
