"""The parts of `prompt-lab new task`, on cases small enough to work by hand."""

from collections import Counter
from pathlib import Path

import pytest

from prompt_lab.backbones.load import load_reader
from prompt_lab.batch import Example
from prompt_lab.errors import LabError
from prompt_lab.starting import wording
from prompt_lab.starting.columns import Column
from prompt_lab.starting.language import language
from prompt_lab.starting.predicted import Predicted
from prompt_lab.starting.words import Known, propose, spoken
from prompt_lab.tasks import Task
from prompt_lab.tasks.table import Table, held_out
from prompt_lab.templates import Template

# ------------------------------------------------------------------------------------------------- language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Stocks rise on hopes of a deal with the bank.", "en"),
        ("A café of the old naïve school", "en"),
        ("这个手机很好用，我很满意。", "zh"),
        ("iPhone 的屏幕很好 OK", "zh"),
        ("この映画はとても面白かったです。", "und"),
        ("이 영화는 정말 재미있었다.", "und"),
        ("Это был очень хороший фильм.", "und"),
        ("Der Film ist nicht so gut wie das Buch in der Bibliothek.", "und"),
        ("Het is een film van de zoon van de schrijver, en hij was niet goed.", "und"),
        ("le film est bon et la fin est un peu longue", "und"),
        ("x1 y2 z3", "und"),
        ("", "und"),
    ],
)
def test_language(text: str, code: str) -> None:
    assert language([text]) == code


# ------------------------------------------------------------------------------------------------- columns


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (["a", "b"] * 3, None),
        (["1", "2"] * 3, None),
        (["1.0", "2.0"] * 3, None),
        (["a"] * 6, "one value only"),
        ([""] * 6, "no values"),
        (list("abcdef"), "6 different values in 6 rows: texts or ids"),
        (list("123456"), "regression"),
        ([f"{n}.5" for n in range(12)] * 9, "regression"),
        ([str(n) for n in range(12)] * 9, None),
        (["a long text " * 9, "b long text " * 9] * 3, "holds texts, no labels"),
    ],
)
def test_what_can_be_a_label(values: list[str], fault: str | None) -> None:
    found = Column("x", values).no_label
    assert found is None if fault is None else fault in (found or "")


# ------------------------------------------------------------------------------------------------- patterns


@pytest.mark.parametrize(
    ("labels", "fields", "column", "asked"),
    [
        (["neg", "pos"], 1, "y", "sentiment"),
        (["1", "2", "3"], 1, "stars", "sentiment"),
        (["1", "2", "3"], 1, "label", "other"),
        (["World", "Sports", "Sci/Tech"], 1, "label", "topic"),
        (["spam", "ham"], 1, "label", "other"),
        (["Entailment", "Not-Entailment"], 2, "label", "entailment"),
        (["0", "1"], 2, "label", "entailment"),
        (["same", "different"], 2, "label", "same"),
        (["true", "false"], 2, "label", "question"),
        (["true", "false"], 1, "label", "other"),
        (["体育", "财经"], 1, "label", "topic"),
    ],
)
def test_what_is_asked(labels: list[str], fields: int, column: str, asked: str) -> None:
    assert wording.asked(labels, fields, column) == asked


@pytest.mark.parametrize("code", ["en", "zh", "und"])
@pytest.mark.parametrize("asked", ["sentiment", "topic", "entailment", "same", "question", "other"])
@pytest.mark.parametrize("fields", [("text_a",), ("text_a", "text_b")])
def test_every_pattern_is_one_and_shows_every_text(code: str, asked: wording.Asked, fields: tuple[str, ...]) -> None:
    if len(fields) == 1 and asked in ("entailment", "same", "question"):
        asked = "other"
    patterns = wording.wording(code, asked, len(fields)).patterns
    assert len(set(patterns)) == 3
    assert all("{" + field in pattern for pattern in patterns for field in fields)
    made = [Template(pattern, fields) for pattern in patterns]
    assert all(template.has_mask for template in made)
    assert any(template.ends_in_mask() for template in made)


def test_published_words_are_for_just_these_labels() -> None:
    assert wording.published("en", "sentiment", ["Pos", "Neg"])[0] == {"Pos": "great", "Neg": "terrible"}
    assert wording.published("en", "sentiment", ["1", "5"])[0] == {"1": "terrible", "5": "great"}
    assert wording.published("en", "sentiment", ["positive", "mixed"]) == ({}, "")
    assert wording.published("und", "sentiment", ["positive", "negative"]) == ({}, "")


# ------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("__label__sports", "sports"),
        ("SciTech", "Sci Tech"),
        ("not_spam", "not spam"),
        ("Sci/Tech", "Sci Tech"),
        ("体育", "体育"),
    ],
)
def test_a_label_as_one_says_it(label: str, said: str) -> None:
    assert spoken(label) == said


def test_a_word_is_given_to_one_label_whatever_its_capitals() -> None:
    known = Known(load_reader("tiny-masked"), [" "])
    assert known.pieces("Great") == 1
    known.take("great")
    assert known.pieces("Great") == 0
    assert known.pieces("zyzzy") == 5
    assert known.pieces("\u2603") == 0, "a snowman is no token of it"


def test_what_the_backbone_predicts_is_what_tells_labels_apart() -> None:
    """The copycat says the token in front of the mask: "great" after all texts of one label, after half of the other's "terrible"."""
    texts = [["it was terrible", "it was great"], ["it was great", "we say great"]]
    examples = [[Example({"text_a": text}) for text in own] for own in texts]
    found = Predicted("copycat", Template("{text_a} {mask}", ["text_a"]), examples)
    assert next(found.words(0)) == "terrible"
    assert next(found.words(1)) == "great"


def test_without_a_word_and_without_predictions_the_name_is_spelt() -> None:
    def refuse() -> Predicted:
        raise LabError("no head")

    known = Known(load_reader("tiny-masked"), [" "])
    assert propose(["zyzzy", "sports"], known, {}, "", refuse)["zyzzy"].word == "zyzzy"
    with pytest.raises(LabError, match=r"the label '\u2603' has no word that backbone 'tiny-masked' knows \(no head\)"):
        propose(["\u2603", "sports"], Known(load_reader("tiny-masked"), [" "]), {}, "", refuse)


def test_no_label_gets_the_name_of_another() -> None:
    """A part of the first label's name is the second label."""
    known = Known(load_reader("tiny-masked"), [" "])
    found = propose(["business sports", "business", "sportz"], known, {}, "", lambda: _Says(["film"]))
    assert [found[name].word for name in ("business sports", "business")] == ["sports", "business"]
    assert found["sportz"].word != "sports"


class _Says:
    def __init__(self, words: list[str]) -> None:
        self._words = words

    def words(self, label: int):
        yield from self._words


# ------------------------------------------------------------------------------------------------- the source


def example(text: str, label: int) -> Example:
    return Example({"text_a": text}, label)


def test_what_is_held_out_does_not_depend_on_the_order_of_the_file() -> None:
    examples = [example(f"{n}", n % 3) for n in range(30)] + [example("alone", 3)]
    held = held_out(examples, 4, 0.25)
    assert held == held_out(examples[::-1] + examples[:5], 4, 0.25)
    assert Counter(e.label for e in examples if e.key in held) == {0: 2, 1: 2, 2: 2}, "a quarter of 10, and none of 1"


def test_a_table_names_its_columns_and_leaves_gaps_out(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("Text;,kind\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(20)) + ",a\ntext x,\n")
    task = Task(Table(str(path), {"Text;": "text_a", "kind": "label"}, 0.5), ("a", "b"), {}, ())
    splits = task.source.read(task)
    assert {name: len(split) for name, split in splits.items()} == {"train": 10, "test": 10}
    assert {e.origin for split in splits.values() for e in split} == {f"{path}:{n}" for n in range(2, 22)}
    strict = Task(Table(str(path), {"Text;": "text_a", "kind": "label"}), ("a", "c"), {}, ())
    with pytest.raises(LabError, match=r"10 problems:\n.*data\.csv:3: unknown label 'b'"):
        strict.source.read(strict)
    with pytest.raises(LabError, match="above 0 and below 1; it was 1"):
        Table("data.csv", {}, 1)
