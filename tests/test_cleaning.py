"""Texts that come twice or stand in two splits, on rows few enough to count by hand."""

import pytest

from prompt_lab.batch import Example
from prompt_lab.data.cleaning import clean
from prompt_lab.errors import LabError


def rows(split: str, written: str) -> list[Example]:
    """Examples from ``text=label`` words; the label may be left out."""
    parts = [word.partition("=") for word in written.split()]
    return [
        Example({"text_a": text}, int(label) if label else None, f"{split}.csv:{line}")
        for line, (text, _, label) in enumerate(parts, 2)
    ]


def shown(examples: list[Example]) -> str:
    return " ".join(e.fields["text_a"] for e in examples)


def test_clean_splits_stay_as_they_are() -> None:
    splits = {"train": rows("train", "a=0 b=1"), "test": rows("test", "c=0")}
    assert clean(splits, strict=True) == (splits, {})


def test_the_first_of_a_repeated_row_is_kept_in_every_split() -> None:
    splits = {
        "train": rows("train", "a=0 b=1 a=0 a=0"),
        "test": rows("test", "c=0 c=0"),
        "unlabeled": rows("unlabeled", "d d"),
    }
    for strict in (True, False):
        cleaned, counts = clean(splits, strict=strict)
        assert [*map(shown, cleaned.values())] == ["a b", "c", "d"]
        assert cleaned["train"][0].origin == "train.csv:2"
        assert counts == {"duplicates": 4}


def test_both_fields_make_a_row_and_the_origin_does_not() -> None:
    pairs = [Example({"text_a": "a", "text_b": b}, 0, f"x:{i}") for i, b in enumerate("bcb")]
    assert clean({"train": pairs}, strict=True) == ({"train": pairs[:2]}, {"duplicates": 1})


def test_the_order_of_the_splits_is_kept() -> None:
    splits = {"unlabeled": rows("u", "a"), "test": rows("test", "b=0"), "train": rows("train", "c=0")}
    assert [*clean(splits, strict=False)[0]] == ["unlabeled", "test", "train"]


def test_a_text_of_two_labels_is_dropped_or_refused() -> None:
    splits = {"train": rows("train", "a=0 b=1 a=1 a=0")}
    cleaned, counts = clean(splits, strict=False)
    assert shown(cleaned["train"]) == "b"
    assert counts == {"conflicting": 3}
    with pytest.raises(LabError, match=r"two labels, 1 problem:\n  train.csv:2 and train.csv:4\n"):
        clean(splits, strict=True)


def test_a_text_of_several_splits_stays_in_test_then_in_train() -> None:
    splits = {
        "train": rows("train", "a=0 b=0 c=0"),
        "validation": rows("validation", "b=0 c=1 d=0"),
        "test": rows("test", "a=1 d=0 e=0"),
        "unlabeled": rows("unlabeled", "a b d e f"),
    }
    cleaned, counts = clean(splits, strict=False)
    assert {name: shown(split) for name, split in cleaned.items()} == {
        "train": "b c",
        "validation": "",
        "test": "a d e",
        "unlabeled": "f",
    }
    assert counts == {"in_test": 5, "in_train": 3}


def test_the_users_files_may_not_share_a_text() -> None:
    words = " ".join(f"{letter}=0" for letter in "abcdefg")
    splits = {"train": rows("train", "z=0 " + words), "test": rows("test", words)}
    with pytest.raises(LabError) as error:
        clean(splits, strict=True)
    message = str(error.value)
    assert "the same text stands in two splits, 7 problems:" in message
    assert "\n  train.csv:3 (train) and test.csv:2 (test)\n" in message
    assert message.count(" and test.csv") == 5
    assert "... and 2 more" in message
    assert "Remove it from one of the files, or set allow_overlap" in message


def test_nor_may_training_and_validation() -> None:
    splits = {"train": rows("train", "a=0"), "validation": rows("validation", "b=0 a=0")}
    with pytest.raises(LabError, match=r"validation.csv:3 \(validation\) and train.csv:2 \(train\)"):
        clean(splits, strict=True)


def test_a_pool_loses_its_overlap_without_an_error() -> None:
    splits = {"train": rows("train", "a=0"), "test": rows("test", "b=0"), "unlabeled": rows("unlabeled", "a b c")}
    cleaned, counts = clean(splits, strict=True)
    assert shown(cleaned["unlabeled"]) == "c"
    assert counts == {"in_train": 1, "in_test": 1}


def test_published_splits_can_be_used_as_they_are() -> None:
    splits = {
        "train": rows("train", "a=0 a=0 b=1 b=0 c=0"),
        "test": rows("test", "c=0"),
        "unlabeled": rows("unlabeled", "a c d d"),
    }
    cleaned, counts = clean(splits, strict=True, allow_overlap=True)
    assert [*map(shown, cleaned.values())] == ["a a b b c", "c", "d"]
    assert counts == {
        "duplicates_kept": 1,
        "conflicting_kept": 2,
        "in_test_kept": 1,
        "in_train": 1,
        "in_test": 1,
        "duplicates": 1,
    }
