"""Virtual tokens in what is read: their ids, the spaces around them, segments, truncation, demonstrations, and how they are shown."""

import pytest
from test_encoding import row

from prompt_lab import cli
from prompt_lab.backbones.reader import Row
from prompt_lab.batch import Example
from prompt_lab.data.encoding import Encoder
from prompt_lab.demonstrations import Demonstrations
from prompt_lab.demonstrations.encoding import DemonstrationEncoder, Solved
from prompt_lab.errors import LabError
from prompt_lab.templates import Template
from prompt_lab.testing.subject import TOY

from samples import CAUSAL, FAMILIES, MASKED, SEQ2SEQ, reader, tokenizer

ONE = ("text_a",)


def names(family: str, pattern: str, *texts: str) -> str:
    """What is read, token by token."""
    return " ".join(reader(family).names(row(family, pattern, *texts).input_ids))


def virtual(family: str, found: Row) -> list[int]:
    """The numbers of the virtual tokens, in the order in which they stand."""
    first = reader(family).first_virtual
    return [i - first for i in found.input_ids if i >= first]


class TestEncoding:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_ids_go_on_where_the_vocabulary_ends(self, family: str) -> None:
        read = reader(family)
        assert read.first_virtual >= max(len(tokenizer(family)), read.config.vocab_size)
        found = row(family, "{soft:2}{text_a} {soft} It was {soft:2}{mask}", "film")
        assert virtual(family, found) == [0, 1, 2, 3, 4]
        assert [i for i in found.input_ids if i < read.first_virtual] == row(
            family, "{text_a} It was {mask}", "film"
        ).input_ids

    @pytest.mark.parametrize(
        ("family", "expected"),
        [
            ("bert", "[CLS] <soft 0> film <soft 1> it was <soft 2> [MASK] . [SEP]"),
            ("roberta", "<s> <soft 0> film <soft 1> ĠIt Ġwas <soft 2> <mask> . </s>"),
            ("gpt2", "<soft 0> film <soft 1> ĠIt Ġwas <soft 2>"),
            ("bart", "<s> <soft 0> film <soft 1> ĠIt Ġwas <soft 2> <mask> . </s>"),
            ("t5", "<soft 0> ▁film <soft 1> ▁It ▁was <soft 2> <extra_id_0> ▁ . </s>"),
        ],
    )
    def test_no_stray_space_and_words_behind_keep_theirs(self, family: str, expected: str) -> None:
        assert names(family, "{soft}{text_a} {soft} It was {soft} {mask}.", "film") == expected

    def test_a_space_in_the_text_itself_stays(self) -> None:
        assert names("gpt2", "{text_a}{soft}{mask}", "film ") == "film Ġ <soft 0>"
        assert names("gpt2", "{text_a} {soft}{mask}", "film ") == "film Ġ <soft 0>"

    @pytest.mark.parametrize("family", FAMILIES)
    def test_the_mask_stands_right_behind_the_prompt(self, family: str) -> None:
        found = row(family, "{text_a}{soft:5}{mask}", "film")
        at = found.slots[0]
        if family in MASKED:
            assert found.input_ids[at] == reader(family).mask_id
        if family in CAUSAL:
            assert at == len(found.input_ids) - 1
            at += 1  # a causal model is asked at the last virtual token
        if family in SEQ2SEQ:
            at = found.input_ids.index(reader(family).mask_id)
        first = reader(family).first_virtual
        assert found.input_ids[at - 5 : at] == list(range(first, first + 5))
        assert found.input_ids[: at - 5] == row(family, "{text_a}{mask}", "film").input_ids[: at - 5]

    def test_segments_on_both_sides_of_a_separator(self) -> None:
        found = row("bert", "{soft}{text_a}{soft}{sep}{soft} {text_b} {soft} {mask} a", "film", "movie")
        read = "[CLS] <soft 0> film <soft 1> [SEP] <soft 2> movie <soft 3> [MASK] a [SEP]"
        assert " ".join(reader("bert").names(found.input_ids)) == read
        assert found.type_ids == [0] * 5 + [1] * 6
        three = row("bert", "{text_a}{sep}{soft}{sep}{text_b}", "film", "good")
        assert three.type_ids == [0, 0, 0, 1, 1, 1, 1]

    @pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "t5", "bart"])
    def test_truncation_never_cuts_a_virtual_token(self, family: str) -> None:
        pattern = "{soft:3}{text_a} {soft:It was}{mask}"
        long = " ".join(["good"] * 30)
        found = row(family, pattern, long, max_length=14)
        assert virtual(family, found) == [0, 1, 2, 3, 4]
        assert max(len(found.input_ids), len(found.decoder_ids)) <= 14
        assert 0 < sum("good" in n for n in reader(family).names(found.input_ids)) < 14
        with pytest.raises(LabError, match="its own words take 20 of"):
            row(family, "{soft:20}{text_a}{mask}", long, max_length=20)

    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize(
        "pattern",
        [
            "{text_a} It was {mask}.",
            "the film: {text_a} was {mask}",
            "{text_a}{sep}It was all {mask}",
            "{text_a}. All in all, {mask}",
        ],
    )
    def test_soft_words_are_as_many_as_the_words_and_stand_where_they_stood(self, family: str, pattern: str) -> None:
        hard, soft = Template(pattern, ONE), Template(pattern, ONE).with_soft_words()
        read = [row(family, str(t), "A good film") for t in (hard, soft)]
        starts = [i for slot in reader(family).virtual_starts(soft) for i in slot]
        first = reader(family).first_virtual
        assert len(starts) >= 2
        assert virtual(family, read[1]) == list(range(len(starts)))
        assert [starts[i - first] if i >= first else i for i in read[1].input_ids] == read[0].input_ids
        assert (read[1].type_ids, read[1].slots) == (read[0].type_ids, read[0].slots) or family == "bart"

    @pytest.mark.parametrize("family", [f for f in FAMILIES if f not in CAUSAL])
    @pytest.mark.parametrize(
        "pattern", ["It was {mask}: {text_a}", "{text_a} ({mask} film) was", "{mask}, the {text_a}"]
    )
    def test_so_too_where_the_mask_stands_inside(self, family: str, pattern: str) -> None:
        soft = Template(pattern, ONE).with_soft_words()
        starts = [i for slot in reader(family).virtual_starts(soft) for i in slot]
        first = reader(family).first_virtual
        found = row(family, str(soft), "A good film").input_ids
        assert [starts[i - first] if i >= first else i for i in found] == row(family, pattern, "A good film").input_ids

    def test_barts_decoder_writes_no_virtual_token(self) -> None:
        found = row("bart", "{soft:2}{text_a} It {soft} {mask}.", "film", answers=2)
        assert reader("bart").names(found.decoder_ids) == ["</s>", "<s>", "film", "ĠIt", reader("bart").names([20])[0]]
        assert found.slots == [3, 4]

    def test_names(self) -> None:
        read = reader("bert")
        first = read.first_virtual
        assert read.names([first + 12, read.mask_id, first]) == ["<soft 12>", "[MASK]", "<soft 0>"]

    @pytest.mark.parametrize("family", CAUSAL)
    def test_a_causal_model_cannot_read_behind_its_mask(self, family: str) -> None:
        with pytest.raises(LabError, match="has its mask inside the text"):
            reader(family).check(Template("{text_a} {mask} {soft}", ONE))
        reader(family).check(Template("{soft}{text_a} {soft:5} {mask}.", ONE))

    def test_a_word_that_the_tokenizer_does_not_have(self) -> None:
        with pytest.raises(LabError, match="the word '☃' vanishes"):
            row("bert", "{text_a} {soft:☃} {mask}", "film")


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_demonstrations_hold_the_same_virtual_tokens(family: str) -> None:
    """Gao et al. (2021): a demonstration is the template filled in, so it holds the template's prompt."""
    pattern = "{text_a} {soft:2} It was {mask}"
    read = reader(family)
    asked = Encoder(Template(pattern, ONE), read.plan([(20,), (21,)]), read, 40)
    shown = [Example({"text_a": "bad"}, 0), Example({"text_a": "good"}, 1)]
    made = DemonstrationEncoder(
        asked, Solved(pattern, ONE, ("bad", "great")), shown, Demonstrations("random", sets=1), 13
    )
    (found,) = made.encode([Example({"text_a": "film"})])
    assert virtual(family, found.rows[0]) == [0, 1] * 3
    said = [n.lstrip("Ġ▁") for n in read.names(found.rows[0].input_ids)]
    assert [n for n in said if n in ("film", "bad", "good", "great")].count("bad") == 2, "its text and its word"


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "show",
        "--data.task",
        TOY,
        "--template",
        "{soft:2}{text_a} {soft:It was} {mask}.",
        "--backbone",
        "tiny-masked",
    ]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert "template  {soft:2}{text_a} {soft:It was} {mask}." in shown
    assert "[CLS] <soft 0> <soft 1> the film is " in shown
    assert " <soft 2> <soft 3> <[MASK]> . [SEP]" in shown
