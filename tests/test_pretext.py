"""Examples that plain texts give: which sentence is paired with which, what can be chosen from, and which texts are too short."""

import re

import pytest
import torch

from prompt_lab import pretext
from prompt_lab.batch import Example
from prompt_lab.errors import LabError
from prompt_lab.paradigms.ppt import surest

WORDS = ("no", "maybe", "yes")
ANOTHER, SAME, NEXT = range(3)


def documents(*lengths: int) -> list[str]:
    """Texts whose sentences say where they stand: ``a0. a1. a2.`` is the first of them."""
    return [" ".join(f"{chr(ord('a') + d)}{s}." for s in range(n)) for d, n in enumerate(lengths)]


def where(sentence: str) -> tuple[str, int]:
    """The document and the place of a sentence."""
    assert re.fullmatch(r"[a-z]\d\.", sentence), sentence
    return sentence[0], int(sentence[1])


def texts(example: Example) -> tuple[str, str]:
    return example.fields["text_a"], example.fields["text_b"]


def candidates(example: Example) -> dict[str, str]:
    """What an example of multiple choice has to choose from, by letter."""
    return dict(re.findall(r"([A-Z])\. ([a-z]\d\.)", example.fields["text_b"]))


class TestSentences:
    @pytest.mark.parametrize(
        ("document", "expected"),
        [
            ("It was good. Was it? It was!", ["It was good.", "Was it?", "It was!"]),
            ("first line\n\nsecond line", ["first line", "second line"]),
            ("很好。真的！", ["很好。", "真的！"]),
            ("all in one breath of air", ["all in one", "breath of air"]),
            ("an odd number of words", ["an odd", "number of words"]),
            (" alone ", ["alone"]),
            ("", []),
        ],
    )
    def test_of_a_document(self, document: str, expected: list[str]) -> None:
        assert pretext.sentences(document) == expected


class TestPairs:
    def test_of_three_sentences_each(self) -> None:
        """The third of every three documents can only be asked about its first and its last sentence."""
        found = pretext.pairs(documents(3, 3, 3, 3, 3, 3), WORDS, seed=0).examples
        assert [e.label for e in found] == [NEXT, ANOTHER, SAME] * 2
        assert [texts(found[i]) for i in (2, 5)] == [("c0.", "c2."), ("f0.", "f2.")]
        assert [where(texts(e)[0])[0] for e in found] == [*"abcdef"]

    def test_of_any_length_over_many_seeds(self) -> None:
        seen = {kind: set[tuple[str, int, str, int]]() for kind in range(3)}
        for seed in range(60):
            for example in pretext.pairs(documents(5, 4, 5), WORDS, seed).examples:
                assert example.label is not None
                first, second = map(where, texts(example))
                seen[example.label].add((*first, *second))
        assert seen[NEXT] == {("a", i, "a", i + 1) for i in range(4)}
        assert seen[SAME] == {("c", i, "c", j) for i in range(5) for j in range(i + 2, 5)}
        others = {("a", i) for i in range(5)} | {("c", i) for i in range(5)}
        assert {(d, i) for _, _, d, i in seen[ANOTHER]} == others, (
            "any sentence of any other document, and none of its own"
        )
        assert {(d, i) for d, i, _, _ in seen[ANOTHER]} == {("b", i) for i in range(4)}

    def test_a_document_that_is_too_short_for_its_turn_gives_its_next_sentence(self) -> None:
        found = pretext.pairs(documents(3, 2, 2), WORDS, seed=0).examples
        assert [e.label for e in found] == [NEXT, ANOTHER, NEXT]
        assert texts(found[2]) == ("c0.", "c1.")

    def test_without_third_sentences_there_are_two_labels(self) -> None:
        found = pretext.pairs(documents(2, 2, 2, 2), WORDS, seed=0)
        assert found.task.labels == ("another document", "the next sentence")
        assert found.task.label_words == {"another document": ["no"], "the next sentence": ["yes"]}
        assert [e.label for e in found.examples] == [1, 0, 1, 0]
        assert [texts(found.examples[i]) for i in (0, 2)] == [("a0.", "a1."), ("c0.", "c1.")]

    def test_the_words_of_each_relation(self) -> None:
        task = pretext.pairs(documents(3, 3), ("not", "perhaps", "sure"), seed=0).task
        assert task.labels == pretext.RELATIONS
        assert [task.label_words[label] for label in task.labels] == [["not"], ["perhaps"], ["sure"]]

    def test_texts_without_a_second_sentence_are_left_out(self) -> None:
        one, two = documents(2, 2)
        found = pretext.pairs(["word", one, "", two], WORDS, seed=0).examples
        assert [where(texts(e)[0])[0] for e in found] == ["a", "b"]

    def test_the_seed_alone_says_what_is_drawn(self) -> None:
        one, again, other = (pretext.pairs(documents(9, 9, 9, 9), WORDS, seed).examples for seed in (1, 1, 2))
        assert one == again
        assert one != other


class TestChoices:
    def test_the_answer_is_the_next_sentence(self) -> None:
        found = pretext.choices(documents(*[5] * 9), seed=0)
        assert found.task.labels == tuple("ABCDEF")
        assert found.task.label_words == {c: [c] for c in "ABCDEF"}
        assert len(found.examples) == 9
        for example in found.examples:
            assert example.label is not None
            given = candidates(example)
            assert [*given] == [*"ABCDEF"], "in the order of the letters"
            document, place = where(example.fields["text_a"])
            assert where(given["ABCDEF"[example.label]]) == (document, place + 1)

    def test_another_candidate_is_of_the_same_document_where_it_has_a_third_sentence(self) -> None:
        for seed in range(20):
            for example in pretext.choices(documents(5, 2, 3), seed).examples:
                assert example.label is not None
                given = [where(s) for s in candidates(example).values()]
                document, place = where(example.fields["text_a"])
                assert (document, place) not in given, "what it is asked about is no answer"
                wrong = [i for d, i in given if d == document and i != place + 1]
                assert len(wrong) == (document != "b")
                assert given.count((document, place + 1)) == 1

    def test_the_place_of_the_answer_varies(self) -> None:
        labels = [e.label for seed in range(10) for e in pretext.choices(documents(*[3] * 10), seed).examples]
        assert {*labels} == {*range(6)}
        assert all(5 <= labels.count(i) <= 30 for i in range(6)), "each is expected 16.7 times of 100"

    def test_candidates_are_cut(self) -> None:
        long = " ".join(f"w{i}" for i in range(20))
        example = pretext.choices([f"{long}. {long}. {long}."] * 2, seed=0, number=2).examples[0]
        twelve = " ".join(f"w{i}" for i in range(12))
        assert example.fields["text_b"] == f"A. {twelve} B. {twelve}"
        assert example.fields["text_a"] == f"{long}.", "the question is not"

    def test_the_seed_alone_says_what_is_drawn(self) -> None:
        one, again, other = (pretext.choices(documents(9, 9, 9, 9), seed).examples for seed in (1, 1, 2))
        assert one == again
        assert one != other


def test_options_have_letters() -> None:
    assert pretext.options(["sport", "politics"]) == "A. sport B. politics"
    assert pretext.options(["x"] * 26).endswith("Z. x")
    with pytest.raises(LabError, match="at most 26 labels; there are 27"):
        pretext.options(["x"] * 27)
    with pytest.raises(LabError, match="at most 26 labels; there are 27"):
        pretext.choices(documents(3, 3), seed=0, number=27)


def test_fewer_than_two_documents_are_refused() -> None:
    given = ["word", "a0. a1. a2.", ""]
    for make in (lambda: pretext.pairs(given, WORDS, 0), lambda: pretext.choices(given, 0)):
        with pytest.raises(LabError, match="documents of two sentences or more, and 1 of 3 texts have them"):
            make()


def test_the_surest_by_hand() -> None:
    """Eight texts: two for each of two labels. Label 0 is surest of 6 and 1, label 1 of 3 and 0, though of 6 it is surer."""
    of_first = [0.30, 0.80, 0.50, 0.20, 0.60, 0.40, 0.90, 0.70]
    logp = torch.tensor([[p, 1 - p] for p in of_first]).log()
    texts = [Example({"text_a": str(i)}) for i in range(8)]
    found = surest(texts, logp)
    assert [(e.fields["text_a"], e.label) for e in found] == [("0", 1), ("1", 0), ("3", 1), ("6", 0)]
    one_sided = torch.tensor([[p, 1 - p] for p in (0.9, 0.6, 0.8, 0.7)]).log()
    assert [(e.fields["text_a"], e.label) for e in surest(texts[:4], one_sided)] == [("0", 0), ("1", 1)]
    same = surest(texts, torch.full((8, 3), 1 / 3).log())
    assert len({e.key for e in same}) == 3
    assert sorted(e.label for e in same) == [0, 1, 2], "balanced, and no text twice"
