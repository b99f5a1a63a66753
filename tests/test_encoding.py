"""From an example to token ids: as the tokenizer itself would write them, and only fields are ever shortened."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prompt_lab.backbones.kinds import CausalReader, MaskedReader
from prompt_lab.backbones.reader import Plan, Reader, Row
from prompt_lab.batch import Encoded, Example
from prompt_lab.data import encoded as in_memory
from prompt_lab.data.encoded import EncodedExample, collate, encoded
from prompt_lab.data.encoding import Encoder
from prompt_lab.errors import LabError
from prompt_lab.templates import Template

from samples import CAUSAL, FAMILIES, MASKED, SEQ2SEQ, config, reader, tokenizer

PAIR = ("text_a", "text_b")
SPECIAL = "[MASK] <mask> <extra_id_0> <extra_id_7> </s><s> [SEP][CLS] <|endoftext|> <pad> [PAD] <unk>"


def encoder(family: str, pattern: str, max_length: int = 100, answers: int = 1) -> Encoder:
    """With a label word of so many tokens where the pattern has a mask."""
    read = reader(family)
    fields = [f for f in PAIR if f in pattern]
    plan = read.plan([tuple(range(20, 20 + answers))]) if "{mask}" in pattern else None
    return Encoder(Template(pattern, fields), plan, read, max_length)


def row(family: str, pattern: str, *texts: str, max_length: int = 100, answers: int = 1) -> Row:
    example = Example(dict(zip(PAIR, texts, strict=False)), 0)
    return encoder(family, pattern, max_length, answers).encode([example])[0].rows[0]


def ids(family: str, *texts: str, **how: Any) -> list[int]:
    return tokenizer(family)(*texts, **how)["input_ids"]


def mask(family: str) -> str:
    return reader(family).mask_text


class TestAsTheTokenizerWritesIt:
    @pytest.mark.parametrize("family", [*MASKED, *SEQ2SEQ])
    @pytest.mark.parametrize(
        "pattern",
        ["{text_a} It was {mask}.", "{mask} film: {text_a}", '{text_a} ("{mask}") It was', "{text_a}很{mask}。"],
    )
    def test_a_pattern_is_tokenised_as_one_text(self, family: str, pattern: str) -> None:
        text = "So good, the film! 好"
        whole = pattern.replace("{mask}", mask(family)).replace("{text_a}", text)
        assert row(family, pattern, text).input_ids == ids(family, whole)

    @pytest.mark.parametrize("family", CAUSAL)
    @pytest.mark.parametrize(
        ("pattern", "read"),
        [
            ("{text_a} It was {mask}", "A film It was"),
            ("{text_a} It was {mask}.", "A film It was"),
            ("{text_a} It was ({mask}).", "A film It was ("),
            ("{text_a}\nIt was:\n{mask}", "A film\nIt was:\n"),
            ("{text_a}  {mask} !)", "A film "),
            ("{text_a}很{mask}。", "A film很"),
        ],
    )
    def test_a_causal_model_reads_up_to_the_answer(self, family: str, pattern: str, read: str) -> None:
        found = row(family, pattern, "A film")
        assert found.input_ids == ids(family, read)
        assert found.slots == [len(found.input_ids) - 1]

    def test_only_the_patterns_own_space_goes_with_the_answer(self) -> None:
        assert row("gpt2", "{text_a}{mask}", "A film ").input_ids == ids("gpt2", "A film ")
        assert row("gpt2", "{text_a} {mask}", "A film ").input_ids == ids("gpt2", "A film ")

    def test_a_byte_pair_mask_leaves_no_space_of_its_own(self) -> None:
        """Pretraining put the mask in the place of "Ġgreat", so no token for the space stood in front of it."""
        import transformers

        from samples import ROBERTA, byte_pairs

        plain = transformers.RobertaTokenizer(**byte_pairs(ROBERTA))  # its mask does not take the space in
        read = MaskedReader(plain, config("roberta"), "plain")
        made = Encoder(Template("{text_a} It was {mask}.", ("text_a",)), read.plan([(20,)]), read, 100)
        tokens = plain.convert_ids_to_tokens(made.encode([Example({"text_a": "A film"})])[0].rows[0].input_ids)
        assert tokens == ["<s>", "A", "Ġfilm", "ĠIt", "Ġwas", "<mask>", ".", "</s>"]

    @pytest.mark.parametrize("family", [f for f in FAMILIES if f != "gpt2"])
    @pytest.mark.parametrize("texts", [("The film", "It was good."), ("a", "b"), ("", "good"), ("good", ""), ("", "")])
    def test_a_promptless_pair_is_the_tokenizers_own_pair(self, family: str, texts: tuple[str, str]) -> None:
        found = row(family, "{text_a}{sep}{text_b}", *texts)
        own = tokenizer(family)([texts[0]], [texts[1]], return_token_type_ids=True)
        assert found.input_ids == own["input_ids"][0]
        assert found.slots == []
        if reader(family).has_types:
            assert found.type_ids == own["token_type_ids"][0]

    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_promptless_text_is_the_tokenizers_own(self, family: str) -> None:
        assert row(family, "{text_a}", "The film was good.").input_ids == ids(family, "The film was good.")

    def test_a_tokenizer_without_separator_puts_a_line_break(self) -> None:
        assert row("gpt2", "{text_a}{sep}{text_b}", "The film", "was").input_ids == ids("gpt2", "The film\nwas")

    def test_separators_and_segments(self) -> None:
        bert = row("bert", "{text_a} It was{sep}{mask}, the {text_b}", "film", "good", answers=2)
        names = tokenizer("bert").convert_ids_to_tokens(bert.input_ids)
        assert names == ["[CLS]", "film", "it", "was", "[SEP]", "[MASK]", "[MASK]", ",", "the", "good", "[SEP]"]
        assert bert.type_ids == [0] * 5 + [1] * 6
        assert bert.slots == [5, 6]
        three = row("bert", "{text_a}{sep}{mask}{sep}{text_b}", "film", "good")
        assert three.type_ids == [0, 0, 0, 1, 1, 1, 1]
        roberta = row("roberta", "{text_a}{sep}{mask}, {text_b}", "film", "good")
        names = tokenizer("roberta").convert_ids_to_tokens(roberta.input_ids)
        assert names == ["<s>", "film", "</s>", "</s>", "<mask>", ",", "Ġgood", "</s>"]

    @pytest.mark.parametrize("family", FAMILIES)
    def test_an_empty_field_leaves_the_pattern_alone(self, family: str) -> None:
        found = row(family, "{text_a} It was {mask}.", "")
        whole = " It was" if family in CAUSAL else f" It was {mask(family)}."
        assert found.input_ids == ids(family, whole)
        assert len(found.slots) == 1

    def test_a_causal_model_without_text_reads_its_first_token(self) -> None:
        found = row("gpt2", "{text_a}{mask}", "")
        assert found.input_ids == [tokenizer("gpt2").bos_token_id]
        assert found.slots == [0]
        assert row("gpt2", "{text_a}", "").input_ids == [tokenizer("gpt2").bos_token_id]

    def test_no_examples(self) -> None:
        assert encoder("bert", "{text_a}").encode([]) == []


class TestAnswerRows:
    def test_a_run_of_masks_for_each_length_of_word(self) -> None:
        read = reader("bert")
        plan = read.plan([(30,), (31, 32, 33), (34,)])
        masked = read.tokenizer.mask_token_id
        assert plan.rows == ((masked,), (masked,) * 3)
        assert plan.reads == (((0, 0, 30),), ((1, 0, 31), (1, 1, 32), (1, 2, 33)), ((0, 0, 34),))
        made = Encoder(Template("{text_a} It was {mask}.", ("text_a",)), plan, read, 100)
        rows = made.encode([Example({"text_a": "film"})])[0].rows
        names = [read.tokenizer.convert_ids_to_tokens(r.input_ids) for r in rows]
        assert names == [f"[CLS] film it was {m} . [SEP]".split() for m in ("[MASK]", "[MASK] [MASK] [MASK]")]
        assert [r.slots for r in rows] == [[4], [4, 5, 6]]

    def test_words_that_share_a_beginning_share_a_row(self) -> None:
        plan = reader("gpt2").plan([(1, 2), (1, 3), (1, 2, 4), (5,), (6, 7)])
        assert plan.rows == ((1, 2), (6,))
        assert plan.reads == (
            ((0, 0, 1), (0, 1, 2)),
            ((0, 0, 1), (0, 1, 3)),
            ((0, 0, 1), (0, 1, 2), (0, 2, 4)),
            ((0, 0, 5),),
            ((1, 0, 6), (1, 1, 7)),
        )

    def test_a_causal_row_goes_on_with_the_word(self) -> None:
        found = row("gpt2", "{text_a} It was {mask}.", "film", answers=3)
        text = ids("gpt2", "film It was")
        assert found.input_ids == [*text, 20, 21]
        assert found.slots == [len(text) - 1, len(text), len(text) + 1]

    def test_t5_answers_with_its_sentinel(self) -> None:
        found = row("t5", "{text_a} It was {mask}. a", "film", answers=3)
        sentinel = tokenizer("t5").convert_tokens_to_ids("<extra_id_0>")
        assert found.input_ids == ids("t5", "film It was <extra_id_0>. a")
        assert found.decoder_ids == [config("t5").decoder_start_token_id, sentinel, 20, 21]
        assert found.slots == [1, 2, 3]

    def test_bart_writes_the_text_again(self) -> None:
        found = row("bart", "{text_a} It was {mask}. a", "film", answers=3)
        assert found.input_ids == ids("bart", "film It was<mask>. a")
        assert found.decoder_ids == [2, *ids("bart", "film It was")[:-1], 20, 21]
        assert found.slots == [len(found.decoder_ids) - 3 + i for i in range(3)]

    @pytest.mark.parametrize("family", SEQ2SEQ)
    def test_a_seq2seq_model_without_a_mask_only_starts_its_decoder(self, family: str) -> None:
        found = row(family, "{text_a}", "film")
        assert found.decoder_ids == [config(family).decoder_start_token_id]
        assert found.slots == []


class TestSpecialTokensInAText:
    """What a reviewer writes is text, whatever it looks like."""

    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("pattern", ["{text_a} It was {mask}.", "{text_a}"])
    def test_they_stay_text(self, family: str, pattern: str) -> None:
        tame, wild = row(family, pattern, "film"), row(family, pattern, f"{SPECIAL} film {SPECIAL}", max_length=600)
        special = set(tokenizer(family).all_special_ids) - {tokenizer(family).unk_token_id}
        found = [[i for i in r.input_ids if i in special] for r in (tame, wild)]
        assert found[0] == found[1]
        if family in MASKED:
            assert [wild.input_ids[i] for i in wild.slots] == [reader(family).mask_id] * len(wild.slots)

    @pytest.mark.parametrize(
        ("family", "pattern", "text"),
        [
            ("bert", "[{text_a}] It was {mask}.", "MASK"),
            ("bert", "{text_a}] It was {mask}.", "[SEP"),
            ("roberta", "<{text_a}> It was {mask}.", "mask"),
            ("roberta", "<{text_a}s> It was {mask}.", "/"),
            ("t5", "<extra_id_{text_a}> It was {mask}.", "0"),
            ("gpt2", "<|{text_a}|> It was {mask}.", "endoftext"),
        ],
    )
    def test_nor_are_they_made_where_field_and_pattern_meet(self, family: str, pattern: str, text: str) -> None:
        special = set(tokenizer(family).all_special_ids) - {tokenizer(family).unk_token_id}
        found = [[i for i in row(family, pattern, t).input_ids if i in special] for t in ("film", text)]
        assert found[0] == found[1]

    def test_texts_that_meet_at_a_whole_special_token_are_left_as_they_are(self) -> None:
        assert reader("t5").joined("It was <extra_id_0>", ".") == "It was <extra_id_0>."
        assert reader("t5").joined("It was <extra_id_", "1>") == "It was <extra_id_ 1>"

    def test_two_fields_side_by_side(self) -> None:
        found = row("bert", "{text_a}{text_b} {mask}", "so [MA", "SK] it").input_ids
        assert found.count(reader("bert").mask_id) == 1

    def test_a_tokens_own_marks_that_are_no_special_token_are_left_as_they_are(self) -> None:
        assert row("roberta", "{text_a} {mask}.", "[MASK] <b>").input_ids == ids("roberta", "[MASK] <b> <mask>.")

    @pytest.mark.parametrize(("family", "written"), [("bert", "[MASK]"), ("roberta", "</s>"), ("t5", "<extra_id_3>")])
    def test_a_template_that_writes_them_out_is_refused(self, family: str, written: str) -> None:
        with pytest.raises(LabError, match=r"a special token of .* as plain text; write \{mask\} or \{sep\}") as error:
            reader(family).check(Template(f"{{text_a}} a {written}", ("text_a",)))
        assert repr(written) in str(error.value)

    def test_other_models_tokens_and_broken_ones_are_text(self) -> None:
        reader("bert").check(Template("{text_a} <mask> </s> {mask}", ("text_a",)))
        reader("bert").check(Template("[MA{text_a}SK] {mask}", ("text_a",)))


class TestWhatAReaderCannotRead:
    @pytest.mark.parametrize("family", CAUSAL)
    def test_a_mask_inside_the_text_of_a_causal_model(self, family: str) -> None:
        with pytest.raises(LabError, match=r"has its mask inside the text, but '\w+' is a causal model and reads left"):
            reader(family).check(Template("{text_a} It was {mask} film", ("text_a",)))
        reader(family).check(Template("{text_a} It was {mask}.", ("text_a",)))
        reader(family).check(Template("{text_a}", ("text_a",)))

    @pytest.mark.parametrize("family", [*MASKED, *SEQ2SEQ])
    def test_others_take_it(self, family: str) -> None:
        reader(family).check(Template("{mask} film: {text_a}", ("text_a",)))

    def test_a_masked_model_without_a_mask_token(self) -> None:
        read = MaskedReader(tokenizer("gpt2"), config("bert"), "odd")
        with pytest.raises(LabError, match="'odd' was loaded as a masked model but its tokenizer has no mask token"):
            _ = read.mask_text

    def test_a_seq2seq_model_without_a_gap(self) -> None:
        from prompt_lab.backbones.kinds import Seq2SeqReader

        with pytest.raises(LabError, match="neither sentinel tokens nor a mask token"):
            _ = Seq2SeqReader(tokenizer("gpt2"), config("bart"), "odd").mask_text

    def test_a_slow_tokenizer(self) -> None:
        class Slow:
            is_fast = False

        with pytest.raises(LabError, match=r"backbone 'odd' has no fast tokenizer \(Slow\)"):
            CausalReader(Slow(), config("gpt2"), "odd")


class TestTruncation:
    PATTERN = "the {text_a} It was {mask} a {text_b} No"

    @given(
        family=st.sampled_from(["bert", "roberta", "t5", "gpt2", "llama", "bart"]),
        sizes=st.tuples(st.integers(0, 30), st.integers(0, 30)),
        max_length=st.integers(18, 60),
        answers=st.integers(1, 3),
    )
    @settings(max_examples=150, deadline=None)
    def test_only_fields_are_shortened_the_longest_first(
        self, family: str, sizes: tuple[int, int], max_length: int, answers: int
    ) -> None:
        pattern = "the {text_a} It was {text_b} No {mask}" if family in CAUSAL else self.PATTERN
        texts = [" ".join(["good"] * sizes[0]), " ".join(["bad"] * sizes[1])]
        found = row(family, pattern, *texts, max_length=max_length, answers=answers)
        names = [n.lstrip("Ġ▁") for n in tokenizer(family).convert_ids_to_tokens(found.input_ids)]
        kept = [names.count("good"), names.count("bad")]
        bare = row(family, pattern, "", "", max_length=max_length, answers=answers)
        left = [n for n in names if n not in ("good", "bad", "")]
        assert left == [
            n for n in (t.lstrip("Ġ▁") for t in tokenizer(family).convert_ids_to_tokens(bare.input_ids)) if n
        ]
        assert max(len(found.input_ids), len(found.decoder_ids)) <= max_length
        assert len(found.slots) == answers
        for mine, other, size in (*[(kept[0], kept[1], sizes[0])], (kept[1], kept[0], sizes[1])):
            assert mine <= size
            if mine < size:  # it was cut, so it was the longest then
                assert other <= mine + 1
                if family not in SEQ2SEQ:  # and no more was cut than needed
                    assert len(found.input_ids) == max_length
        if family in MASKED:
            assert [found.input_ids[i] for i in found.slots] == [reader(family).mask_id] * answers
        elif family in SEQ2SEQ:
            assert found.input_ids.count(reader(family).mask_id) == 1

    def test_fields_lose_their_end(self) -> None:
        found = row("bert", "{text_a} It was {mask}.", "the film was good bad", max_length=8)
        names = tokenizer("bert").convert_ids_to_tokens(found.input_ids)
        assert names == ["[CLS]", "the", "film", "it", "was", "[MASK]", ".", "[SEP]"]
        assert found.slots == [5]

    def test_the_longest_row_decides_so_that_all_rows_hold_the_same_text(self) -> None:
        read = reader("bert")
        made = Encoder(Template("{text_a} It was {mask}.", ("text_a",)), read.plan([(30,), (31, 32, 33)]), read, 10)
        rows = made.encode([Example({"text_a": "the film was good bad"})])[0].rows
        assert [len(r.input_ids) for r in rows] == [8, 10]
        assert [r.input_ids[:4] for r in rows] == [ids("bert", "the film it")[:4]] * 2

    def test_the_models_own_limit_counts_too(self) -> None:
        long = " ".join(["good"] * 300)
        assert len(row("roberta", "{text_a} It was {mask}.", long, max_length=1000).input_ids) == 128

    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("text", ["good film", "", "good " * 50])
    def test_a_template_that_leaves_no_room_is_refused(self, family: str, text: str) -> None:
        pattern = "{text_a} All in all the film was good bad {mask}."
        with pytest.raises(
            LabError, match=r"leaves no room for the text: its own words take \d+ of \d+ tokens"
        ) as error:
            row(family, pattern, text, max_length=7)
        assert pattern in str(error.value)
        assert "raise --data.max_length" in str(error.value)

    def test_a_pattern_that_just_fits_leaves_one_token_of_the_text(self) -> None:
        assert len(row("bert", "{text_a} It was {mask}", "good bad film", max_length=6).input_ids) == 6
        with pytest.raises(LabError, match="its own words take 2 of 2 tokens"):
            row("bert", "{text_a} It was {mask}", "good bad film", max_length=5)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_promptless_texts_too(self, family: str) -> None:
        found = row(family, "{text_a}{sep}{text_b}", "good " * 30, "bad", max_length=15)
        assert 14 <= len(found.input_ids) <= 15
        assert ids(family, "bad", add_special_tokens=False)[0] in found.input_ids


class TestLabels:
    def test_are_kept_or_left_out(self) -> None:
        examples = [Example({"text_a": t}, label) for t, label in (("good", 1), ("bad", 0), ("film", None))]
        made = encoder("bert", "{text_a} {mask}")
        assert [(e.index, e.label) for e in made.encode(examples)] == [(0, 1), (1, 0), (2, -100)]
        assert [e.label for e in made.encode(examples, labels=False)] == [-100] * 3

    def test_length_is_that_of_the_longest_row(self) -> None:
        assert EncodedExample((Row([1, 2], [0, 0], []), Row([1, 2, 3], [0, 0, 0], [])), 0, 0).length == 3

    def test_key_tells_encodings_apart(self) -> None:
        made = [
            encoder("bert", "{text_a} {mask}"), encoder("bert", "{text_a} {mask}."), encoder("roberta", "{text_a} {mask}"),
            encoder("bert", "{text_a} {mask}", 50), encoder("bert", "{text_a} {mask}", answers=2), encoder("bert", "{text_a}"),
        ]  # fmt: skip
        assert len({e.key for e in made}) == len(made)
        assert encoder("bert", "{text_a} {mask}").key == made[0].key


def batch(family: str, pattern: str, *texts: str, answers: int = 1) -> Encoded:
    made = encoder(family, pattern, answers=answers)
    return collate(made.encode([Example({"text_a": t}, i) for i, t in enumerate(texts)]), made.reader)


class TestCollate:
    def test_padding_slots_and_labels(self) -> None:
        found = batch("bert", "{text_a} It was {mask}.", "good", "the good film", answers=2)
        pad = tokenizer("bert").pad_token_id
        assert found.input_ids.shape == found.attention_mask.shape == (2, 10)
        assert found.input_ids[0, 8:].tolist() == [pad, pad]
        assert found.attention_mask.tolist() == [[1] * 8 + [0] * 2, [1] * 10]
        assert found.slots.tolist() == [[[4, 5]], [[6, 7]]]
        assert found.label.tolist() == [0, 1]
        assert found.index.tolist() == [0, 1]
        assert found.tokens == 18
        assert found.token_type_ids is not None
        assert found.decoder_input_ids is None
        assert len(found) == 2
        dtypes = {t.dtype for t in (found.input_ids, found.attention_mask, found.slots, found.label, found.index)}
        assert dtypes == {torch.int64}

    def test_rows_of_an_example_stand_together_and_short_ones_have_slots_of_minus_one(self) -> None:
        read = reader("bert")
        made = Encoder(Template("{text_a} {mask}", ("text_a",)), read.plan([(30,), (31, 32)]), read, 100)
        found = collate(made.encode([Example({"text_a": "good"}), Example({"text_a": "bad film"})]), read)
        assert found.slots.tolist() == [[[2, -1], [2, 3]], [[3, -1], [3, 4]]]
        good, bad = (read.tokenizer.convert_tokens_to_ids(w) for w in ("good", "bad"))
        assert found.input_ids[:, 1].tolist() == [good, good, bad, bad]

    def test_a_template_without_a_mask_has_no_slots(self) -> None:
        assert batch("bert", "{text_a}", "good", "bad film").slots.shape == (2, 1, 0)

    def test_padding_is_the_tokenizers_own(self) -> None:
        found = batch("roberta", "{text_a}", "good", "the good film")
        assert found.input_ids[0].tolist() == [*ids("roberta", "good"), *[tokenizer("roberta").pad_token_id] * 2]
        assert tokenizer("gpt2").pad_token_id is None
        assert reader("gpt2").pad_id == tokenizer("gpt2").eos_token_id

    @pytest.mark.parametrize("family", SEQ2SEQ)
    def test_decoder_rows_are_padded_on_their_own(self, family: str) -> None:
        found = batch(family, "{text_a} It was {mask}. the film", "good", "the good film", answers=2)
        assert found.decoder_input_ids is not None
        rows = [row(family, "{text_a} It was {mask}. the film", t, answers=2) for t in ("good", "the good film")]
        width = max(len(r.decoder_ids) for r in rows)
        pad = reader(family).pad_id
        assert found.decoder_input_ids.tolist() == [r.decoder_ids + [pad] * (width - len(r.decoder_ids)) for r in rows]
        assert found.slots.tolist() == [[r.slots] for r in rows]
        assert found.tokens == sum(len(r.input_ids) + len(r.decoder_ids) for r in rows)

    def test_segments_are_given_only_to_models_that_have_them(self) -> None:
        """GPT-2 would add the embedding of the *word* 0 to every position."""
        from prompt_lab.backbones.load import load_reader

        assert "token_type_ids" in tokenizer("deberta").model_input_names
        assert [f for f in FAMILIES if batch(f, "{text_a} {mask}", "good").token_type_ids is not None] == ["bert"]
        default = Reader.__subclasses__()[0](tokenizer("bert"), config("gpt2"), "odd")
        assert not default.has_types
        assert load_reader("tiny-masked").has_types

    def test_goes_to_another_device_whole(self) -> None:
        found = batch("t5", "{text_a} {mask}", "good").to("meta")
        assert {t.device.type for t in (found.input_ids, found.slots, found.decoder_input_ids, found.label)} == {"meta"}
        assert found.tokens == batch("t5", "{text_a} {mask}", "good").tokens


class TestTrace:
    def test_marks_the_mask_and_what_is_cut(self) -> None:
        made = encoder("bert", "{text_a} It was {mask}.", 7)
        assert made.trace(Example({"text_a": "the film was"})) == [
            ("[CLS]", ""), ("the", ""), ("film", "cut"), ("was", "cut"), ("it", ""), ("was", ""), ("[MASK]", "mask"), (".", ""),
            ("[SEP]", ""),
        ]  # fmt: skip

    def test_of_a_causal_model_ends_at_the_answer(self) -> None:
        assert encoder("llama", "{text_a} It was {mask}.").trace(Example({"text_a": "the film"})) == [
            ("<s>", ""), ("▁the", ""), ("▁film", ""), ("▁It", ""), ("▁was", ""), ("____", "mask")
        ]  # fmt: skip

    def test_of_a_causal_model_shows_no_end_that_is_not_read(self) -> None:
        """A tokenizer that closes every text: the row does not, so the trace must not."""
        read = CausalReader(tokenizer("bert"), config("gpt2"), "closing")
        made = Encoder(Template("{text_a} {mask}", ("text_a",)), Plan(((),)), read, 10)
        shown = [name for name, _ in made.trace(Example({"text_a": "film"}))]
        assert shown == ["[CLS]", "film", "____"]

    @pytest.mark.parametrize("family", FAMILIES)
    def test_shows_what_is_read(self, family: str) -> None:
        made = encoder(family, "{text_a} It was {mask}.", 14)
        example = Example({"text_a": "the film was good bad good bad good bad"})
        shown = [name for name, mark in made.trace(example) if mark != "cut"]
        read = tokenizer(family).convert_ids_to_tokens(made.encode([example])[0].rows[0].input_ids)
        assert shown == [*read, "____"] if family in CAUSAL else shown == read

    def test_of_a_template_without_a_mask(self) -> None:
        marks = {mark for _, mark in encoder("bert", "{text_a}").trace(Example({"text_a": "the film"}))}
        assert marks == {""}


class TestKeptInMemory:
    TEXTS = (Example({"text_a": "a film"}, 0), Example({"text_a": "a good film"}, 1))

    @pytest.fixture(autouse=True)
    def nothing_kept(self) -> Iterator[None]:
        in_memory.forget()
        yield
        in_memory.forget()

    def test_what_is_the_same_is_tokenised_once(self) -> None:
        first = encoded(encoder("bert", "{text_a} It was {mask}."), self.TEXTS)
        assert encoded(encoder("bert", "{text_a} It was {mask}."), list(self.TEXTS)) is first

    @pytest.mark.parametrize(
        "changed",
        [
            {"pattern": "{text_a} It is {mask}."},
            {"pattern": "{text_a}"},
            {"max_length": 99},
            {"answers": 2},
            {"family": "roberta"},
        ],
    )
    def test_another_encoder_misses_it(self, changed: dict[str, Any]) -> None:
        usual = {"family": "bert", "pattern": "{text_a} It was {mask}."}
        first = encoded(encoder(**usual), self.TEXTS)
        other = encoder(**{**usual, **changed})
        assert encoded(other, self.TEXTS) is not first
        assert encoded(other, self.TEXTS) == other.encode(self.TEXTS)

    def test_other_examples_miss_it(self) -> None:
        """Another text, label, soft label or order, a text fewer, and labels that are not to be told."""
        one = encoder("bert", "{text_a} It was {mask}.")
        first, last = self.TEXTS
        lists = [
            self.TEXTS, [first, replace(last, fields={"text_a": "a bad film"})], [first, replace(last, label=0)],
            [first, replace(last, soft=(0.5, 0.5))], [last, first], [first],
        ]  # fmt: skip
        found = [encoded(one, some) for some in lists] + [encoded(one, self.TEXTS, labels=False)]
        assert len({id(some) for some in found}) == len(lists) + 1
        assert [e.label for e in found[-1]] == [-100, -100]

    def test_no_more_tokens_are_kept_than_there_is_room_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        one = encoder("bert", "{text_a}")
        first, last = (encoded(one, [text]) for text in self.TEXTS)
        monkeypatch.setattr(in_memory, "LIMIT", sum(e.length for e in (*first, *last)))
        again = [encoded(one, [text]) for text in self.TEXTS]
        assert again[0] is first
        assert again[1] is last
        encoded(one, [replace(self.TEXTS[0], label=1)])
        assert encoded(one, self.TEXTS[1:]) is last
        assert encoded(one, self.TEXTS[:1]) is not first, "what was used longest ago goes first"

    def test_a_list_that_is_too_long_is_kept_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(in_memory, "LIMIT", 1)
        one = encoder("bert", "{text_a}")
        first = encoded(one, self.TEXTS)
        assert encoded(one, self.TEXTS) is first, "every pass asks for it"
        encoded(one, self.TEXTS[:1])
        assert encoded(one, self.TEXTS) is not first
