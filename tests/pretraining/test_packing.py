"""Passages: full ones that cover the text, and pairs whose relation is true, laid out as the backbone's own tokenizer would."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prompt_lab.backbones.load import load_backbone, load_reader
from prompt_lab.data.reading import read
from prompt_lab.errors import LabError
from prompt_lab.masking import NO_UNIT
from prompt_lab.pretraining.corpus import Corpus, corpus
from prompt_lab.pretraining.objectives.next_sentence import RELATIONS, NextSentence
from prompt_lab.pretraining.objectives.token_masking import TokenMasking
from prompt_lab.pretraining.objectives.whole_word_masking import WholeWordMasking
from prompt_lab.pretraining.packing import FullSequences, Packing, Pairs
from prompt_lab.pretraining.passages import Passages

from samples import MASKED, reader, tokenizer

FIRST = 1000
"""The first id of an invented corpus, whose ids count its tokens, so that each tells its place."""


def invented(*documents: list[int]) -> Corpus:
    """A corpus of documents with sentences of so many tokens; the last token of each is the separator's."""
    ends = np.cumsum([sum(lengths) + 1 for lengths in documents])
    starts = [0, *ends.tolist()]
    sentences = [
        start + sum(lengths[:n]) for start, lengths in zip(starts, documents, strict=False) for n in range(len(lengths))
    ]
    return Corpus(np.arange(FIRST, FIRST + starts[-1]), {}, np.array(starts), np.array([*sentences, starts[-1]]))


def places(passages: Passages) -> list[list[int]]:
    """The places in the corpus that each passage reads."""
    return [[i - FIRST for i in row if i >= FIRST] for row in passages.input_ids.tolist()]


# ---------------------------------------------------------------- full sequences


class TestFullSequences:
    @settings(derandomize=True, max_examples=200, deadline=None)
    @given(
        st.integers(1, 300), st.integers(4, 40), st.integers(0, 2**31 - 1), st.sampled_from(["bert", "gpt2", "llama"])
    )
    def test_a_pass_reads_nearly_every_token_once(self, size: int, length: int, shift: int, family: str) -> None:
        by = reader(family)
        packing = FullSequences(invented([size - 1] if size > 1 else []), by, length)
        room = length - len(by.prefix) - len(by.suffix)
        size = len(packing.corpus.ids)
        passages = packing.passages(range(len(packing)), shift)
        assert passages.attention_mask.all(), "no padding"
        assert passages.tokens == passages.input_ids.numel()
        assert passages.input_ids.shape[1] == min(length, length - room + size)
        found = places(passages)
        assert all(row == [*range(row[0], row[-1] + 1)] for row in found)
        every = [p for row in found for p in row]
        assert every == [*range(every[0], every[0] + len(every))]
        assert len(every) > size - 2 * room

    @pytest.mark.parametrize("size", [100, 101, 108, 109, 110, 15, 10])
    def test_shifts_move_the_cuts_over_every_token(self, size: int) -> None:
        packing = FullSequences(invented([size - 1]), reader("bert"), 12)
        passes = [places(packing.passages(range(len(packing)), shift)) for shift in range(size)]
        starts = {rows[0][0] for rows in passes}
        assert starts == {*range(max(starts) + 1)}
        assert len(starts) >= 10 or size < 19
        assert {p for rows in passes for row in rows for p in row} == {*range(size)}

    def test_special_tokens_stand_around_and_documents_run_on(self) -> None:
        by = reader("bert")
        texts = ["the film was good", "a bad movie"]
        found = FullSequences(corpus(texts, by, [WholeWordMasking()]), by, 11).passages([0], 0)
        tokens = by.tokenizer.convert_ids_to_tokens(found.input_ids[0].tolist())
        assert tokens == [
            "[CLS]", "the", "film", "was", "good", "[SEP]", "a", "bad", "movie", "[SEP]", "[SEP]",
        ]  # fmt: skip
        assert found.token_type_ids is not None
        assert found.token_type_ids.tolist() == [[0] * 11]
        assert found.units["whole_word_masking"].tolist() == [[-1, 0, 1, 2, 3, -1, 4, 5, 6, -1, -1]]
        assert found.relation is None
        assert len(found) == 1
        assert torch.equal(found.input_ids, found.original_ids)

    @pytest.mark.parametrize("family", [*MASKED, "gpt2", "llama"])
    def test_a_short_text_is_as_the_tokenizer_writes_it(self, family: str) -> None:
        by = reader(family)
        text = "It was good"
        found = FullSequences(corpus([text], by, []), by, 60).passages([0], 9)
        bare = tokenizer(family).tokenize(text)
        own = tokenizer(family).convert_ids_to_tokens(found.input_ids[0].tolist())
        assert own[len(by.prefix) : len(by.prefix) + len(bare)] == bare
        if family in MASKED:
            twice = tokenizer(family).convert_ids_to_tokens(tokenizer(family)(text)["input_ids"])
            assert own == [*twice, twice[-1]], "the document's end, and the passage's"
        assert (found.token_type_ids is not None) == (family == "bert")

    def test_a_word_that_is_cut_has_no_unit_in_either_half(self) -> None:
        by = reader("bert")
        packing = FullSequences(corpus(["the zzzz film zz"], by, [WholeWordMasking(), TokenMasking()]), by, 5)
        assert by.tokenizer.convert_ids_to_tokens(packing.corpus.ids.tolist()) == [
            "the", "z", "##z", "##z", "##z", "film", "z", "##z", "[SEP]",
        ]  # fmt: skip
        words = packing.passages([0, 1], 0).units["whole_word_masking"].tolist()
        assert words == [[-1, 0, -1, -1, -1], [-1, -1, -1, 2, -1]]
        assert packing.passages([0], 1).units["whole_word_masking"].tolist() == [[-1, -1, -1, -1, -1]]
        assert packing.passages([1], 2).units["whole_word_masking"].tolist() == [[-1, 2, 3, 3, -1]]
        assert packing.passages([0, 1], 0).units["token_masking"].tolist() == [[-1, 0, 1, 2, -1], [-1, 3, 4, 5, -1]]
        assert packing.corpus.units["whole_word_masking"].tolist() == [0, 1, 1, 1, 1, 2, 3, 3, -1], "left as it was"


# ---------------------------------------------------------------- pairs

documents = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=8), min_size=2, max_size=6)


def relation_of(packing: Pairs, row: list[int], break_at: int) -> str:
    """What is true of a passage's halves, told from the documents alone."""
    found = packing.corpus
    one, other = row[:break_at], row[break_at:]
    home, away = (int(np.searchsorted(found.documents, half[0], side="right")) for half in (one, other))
    if home != away:
        return "other document"
    following = next(
        (s for s in found.sentences.tolist() if s > one[-1]), -1
    )  # also after a sentence that was cut short
    return "next" if other[0] == following else "same document"


def halves(packing: Pairs, passages: Passages) -> Iterator[tuple[list[int], list[int]]]:
    """The places that the two halves of each passage read."""
    assert passages.token_type_ids is not None
    for ids, types in zip(passages.input_ids.tolist(), passages.token_type_ids.tolist(), strict=True):
        text = [(i - FIRST, t) for i, t in zip(ids, types, strict=True) if i >= FIRST]
        yield [p for p, t in text if t == 0], [p for p, t in text if t == 1]


def pairs(found: Corpus, length: int, ways: int) -> Pairs | None:
    try:
        return Pairs(found, reader("bert"), length, ways)
    except LabError:
        return None


class TestPairs:
    @settings(derandomize=True, max_examples=150, deadline=None)
    @given(documents, st.integers(16, 40), st.sampled_from([2, 3]), st.integers(0, 2**31 - 1))
    def test_each_relation_is_true(self, lengths: list[list[int]], length: int, ways: int, shift: int) -> None:
        packing = pairs(invented(*lengths), length, ways)
        if packing is None:
            segments = [len(segmented(one, (length - 3) // 2)) for one in lengths]
            assert max(segments) < 2, "no document has a next segment"
            return
        passages = packing.passages(range(len(packing)), shift)
        assert passages.relation is not None
        assert passages.relation.dtype == torch.int64
        for (one, other), number in zip(halves(packing, passages), passages.relation.tolist(), strict=True):
            assert relation_of(packing, one + other, len(one)) == RELATIONS[ways][number]
            assert one != other

    @settings(derandomize=True, max_examples=150, deadline=None)
    @given(documents, st.integers(16, 40), st.integers(0, 2**31 - 1))
    def test_segments_are_whole_sentences_that_fit(self, lengths: list[list[int]], length: int, shift: int) -> None:
        packing = pairs(invented(*lengths), length, 2)
        if packing is None:
            return
        room = (length - 3) // 2
        expected = []
        for start, one in zip(packing.corpus.documents.tolist(), lengths, strict=False):
            expected += [(start + a, start + b) for a, b in segmented(one, room)]
        assert len(packing) == len(expected)
        passages = packing.passages(range(len(packing)), shift)
        assert passages.input_ids.shape[1] <= length
        read = {(half[0], half[-1] + 1) for row in halves(packing, passages) for half in row}
        assert read <= {*expected}
        assert all(0 < b - a <= room for a, b in expected)

    @pytest.mark.parametrize("ways", [2, 3])
    def test_relations_are_equally_frequent(self, ways: int) -> None:
        packing = Pairs(invented(*[[5, 4, 6, 3]] * 10, *[[9]] * 40), reader("bert"), 20, ways)
        relations = torch.cat(
            [r for s in range(60) if (r := packing.passages(range(len(packing)), s).relation) is not None]
        )
        counts = torch.bincount(relations, minlength=ways).double()
        assert len(relations) > 4000
        share = 1 / ways
        assert (counts - len(relations) * share).abs().max() < 4 * (len(relations) * share * (1 - share)) ** 0.5

    def test_every_segment_is_read_and_every_other_one_is_met(self) -> None:
        packing = Pairs(invented([5, 5, 5], [5, 5, 5], [5]), reader("bert"), 16, 3)
        met = {
            ((a[0], b[0]), r)
            for s in range(400)
            for passages in [packing.passages(range(len(packing)), s)]
            for (a, b), r in zip(halves(packing, passages), passages.relation.tolist(), strict=True)  # type: ignore[union-attr]
        }
        first, second, third = [0, 5, 10], [16, 21, 26], [32]
        every = {
            ((a, b), 2) for x in (first, second, third) for y in (first, second, third) if x != y for a in x for b in y
        }
        for one in (first, second):
            every |= {((one[0], one[1]), 0), ((one[1], one[2]), 0), ((one[0], one[2]), 1)}
            every |= {((one[1], one[0]), 1), ((one[2], one[0]), 1), ((one[2], one[1]), 1)}
        assert met == every

    def test_a_passage_depends_on_its_number_and_the_shift_alone(self) -> None:
        packing = Pairs(invented(*[[5, 4, 6, 3]] * 10), reader("bert"), 20, 3)
        whole = [*halves(packing, packing.passages(range(20), 7))]
        assert [*halves(packing, packing.passages([3, 11], 7))] == [whole[3], whole[11]]
        assert [*halves(packing, packing.passages(range(20), 8))] != whole

    @pytest.mark.parametrize("family", MASKED)
    def test_a_pair_is_as_the_tokenizer_writes_it(self, family: str) -> None:
        by = reader(family)
        texts = [f"The film {n} was good. All the movie {n}. It was a bad film {n}! Yes." for n in "abcdef"]
        found = corpus(texts, by, [WholeWordMasking()])
        packing = Pairs(found, by, 40, 3)
        passages = packing.passages(range(len(packing)), 0)
        assert passages.relation is not None
        for row, shown in enumerate(passages.input_ids.tolist()):
            ids = shown[: int(passages.attention_mask[row].sum())]
            assert shown[len(ids) :] == [by.pad_id] * (len(shown) - len(ids))
            special = [
                i for i, t in enumerate(ids) if t in by.tokenizer.all_special_ids and t != by.tokenizer.unk_token_id
            ]
            middle = special[len(by.prefix) : -len(by.suffix)]
            one, other = ids[len(by.prefix) : middle[0]], ids[middle[-1] + 1 : -len(by.suffix)]
            texts_of = [by.tokenizer.decode(half) for half in (one, other)]
            own = tokenizer(family)(*texts_of, return_token_type_ids=True)
            assert ids == own["input_ids"]
            units = passages.units["whole_word_masking"][row].tolist()
            assert all((units[i] == NO_UNIT) == (i in special or i >= len(ids)) for i in range(len(units)))
            if by.has_types:
                assert passages.token_type_ids is not None
                assert passages.token_type_ids[row].tolist() == own["token_type_ids"] + [0] * (len(shown) - len(ids))
            else:
                assert passages.token_type_ids is None
        assert passages.tokens == int(passages.attention_mask.sum())

    def test_real_documents(self) -> None:
        by = load_reader("minilm")
        texts = [e.fields["text_a"] for e in read("bbc_news", None)[0]["train"][:80]]
        packing = Pairs(corpus(texts, by, []), by, 128, 3)
        plain = [
            by.tokenizer.decode(by.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
            for text in texts
        ]
        passages = packing.passages(range(0, len(packing), 3), 1)
        assert passages.relation is not None
        kinds: Counter[int] = Counter()
        for row, number in zip(passages.input_ids.tolist(), passages.relation.tolist(), strict=True):
            first = row.index(by.tokenizer.sep_token_id)
            second = row.index(by.tokenizer.sep_token_id, first + 1)
            one, other = by.tokenizer.decode(row[1:first]), by.tokenizer.decode(row[first + 1 : second])
            assert first - 1 <= 62
            assert second - first - 1 <= 62
            both = [text for text in plain if one in text and other in text]
            if number < 2:
                text = both[0]
                after = text[text.index(one) + len(one) :].lstrip()
                assert after.startswith(other) == (number == 0) or len(row[1:first]) == 62
            else:
                assert not both
            kinds[number] += 1
        assert min(kinds[k] for k in range(3)) > 50

    @pytest.mark.parametrize(
        ("lengths", "ways", "missing"),
        [
            ([[5, 5, 5]], 2, "other document"),
            ([[5], [4], [7]], 2, "next"),
            ([[5], [4], [7]], 3, "next"),
            ([[2, 2], [1, 1]], 2, "next"),  # all of a document fits into a half
            ([[], []], 3, "next"),
        ],
    )
    def test_documents_without_a_relation(self, lengths: list[list[int]], ways: int, missing: str) -> None:
        with pytest.raises(
            LabError, match=f"needs pairs of the relation '{missing}', and these texts hold none: give more"
        ):
            Pairs(invented(*lengths), reader("bert"), 16, ways)


def segmented(lengths: list[int], room: int) -> list[tuple[int, int]]:
    """Whole sentences together as long as they fit; one that does not fit alone is cut short."""
    found: list[list[int]] = []
    at = 0
    for length in lengths:
        if found and at + length - found[-1][0] <= room:
            found[-1][1] = at + length
        else:
            found.append([at, at + length])
        at += length
    return [(a, min(b, a + room)) for a, b in found]


def test_every_packing_is_tested() -> None:
    assert {*Packing.__subclasses__()} == {FullSequences, Pairs}


# ---------------------------------------------------------------- next-sentence prediction


@pytest.mark.parametrize("ways", [2, 3])
def test_next_sentence_prediction_is_learnt(ways: int) -> None:
    backbone = load_backbone("tiny-masked").fresh()
    objective = NextSentence(ways=ways)  # type: ignore[arg-type]
    objective.prepare(backbone.reader)
    texts = [e.fields["text_a"] for e in read("bbc_news", None)[0]["train"][:8]]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        objective.build(backbone)
    passages = Pairs(corpus(texts, backbone.reader, []), backbone.reader, 48, ways).passages(range(16), 0)
    optimizer = torch.optim.AdamW([*backbone.parameters(), *objective.parameters()], lr=3e-3)
    losses = []
    for _ in range(40):
        learnt = objective.learn(backbone, backbone.hidden(passages), passages)
        losses.append(float(learnt.loss.detach()))
        optimizer.zero_grad()
        learnt.loss.backward()
        optimizer.step()
    assert objective.classifier.out_features == ways
    assert losses[0] == pytest.approx(np.log(ways), abs=0.05), "knows nothing yet"
    assert losses[-1] < 0.1
    assert learnt.right_M.tolist() == [True] * 16
