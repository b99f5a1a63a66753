"""Plain text as tokens: separators, what is no special token, units, where sentences begin, and what is held out."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from prompt_lab.backbones.kinds import CausalReader
from prompt_lab.backbones.load import load_reader
from prompt_lab.backbones.reader import Reader
from prompt_lab.data.reading import read
from prompt_lab.errors import LabError
from prompt_lab.masking import NO_UNIT
from prompt_lab.pretraining import corpus as module
from prompt_lab.pretraining.corpus import Corpus, corpus, is_held_out
from prompt_lab.pretraining.objective import Objective
from prompt_lab.pretraining.objectives.causal_lm import CausalLm
from prompt_lab.pretraining.objectives.entity_masking import EntityMasking
from prompt_lab.pretraining.objectives.next_sentence import NextSentence
from prompt_lab.pretraining.objectives.token_masking import TokenMasking
from prompt_lab.pretraining.objectives.whole_word_masking import WholeWordMasking

from samples import FAMILIES, config, reader, tokenizer

TEXTS = ["It was great. The film was good!", "a bad movie", "No? Yes."]
ENDS = {
    "bert": "[SEP]", "deberta": "[SEP]", "roberta": "</s>", "xlmr": "</s>", "bart": "</s>", "t5": "</s>",
    "gpt2": "<|endoftext|>", "llama": "</s>",
}  # fmt: skip
EMOJI = "\U0001f600"


def made(texts: list[str], by: Reader, *objectives: Objective) -> Corpus:
    return corpus(texts, by, objectives)


def pieces(by: Reader, found: Corpus) -> list[str]:
    return by.tokenizer.convert_ids_to_tokens(found.ids.tolist())


def sentences(by: Reader, text: str) -> list[str]:
    """The tokens of each sentence, joined, with their marks of blanks as blanks; the separator left out."""
    found = made([text], by)
    tokens = pieces(by, found)[:-1]
    ends = [*found.sentences[1:-1].tolist(), len(tokens)]
    parts = [tokens[start:end] for start, end in zip(found.sentences.tolist(), ends, strict=False)]
    return ["".join(part).replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n") for part in parts]


class TestDocuments:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_one_separator_ends_each(self, family: str) -> None:
        by = reader(family)
        found = made(TEXTS, by)
        assert found.ids.dtype == np.int32
        assert found.documents[0] == 0
        assert found.documents[-1] == len(found.ids)
        for text, start, end in zip(TEXTS, found.documents[:-1], found.documents[1:], strict=True):
            tokens = pieces(by, found)[start:end]
            assert tokens == [*by.tokenizer.tokenize(text), ENDS[family]]
        assert pieces(by, found).count(ENDS[family]) == len(TEXTS)

    def test_more_documents_than_are_tokenised_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        by, masking = reader("bert"), WholeWordMasking()
        texts = [f"film {'good ' * n}unaffable" for n in range(7)]
        done: list[int] = []
        whole = corpus(texts, by, [masking], done.append)
        assert done == [1, 2, 3, 4, 5, 6, 7]
        monkeypatch.setattr(module, "AT_ONCE", 3)
        parts = made(texts, by, masking)
        for name in ("ids", "documents", "sentences"):
            assert np.array_equal(getattr(whole, name), getattr(parts, name))
        assert np.array_equal(whole.units[masking.name], parts.units[masking.name])

    def test_a_text_without_tokens(self) -> None:
        found = made(["film", "\u200b", "good"], reader("bert"), TokenMasking())
        assert pieces(reader("bert"), found) == ["film", "[SEP]", "[SEP]", "good", "[SEP]"]
        assert found.documents.tolist() == [0, 2, 3, 5]
        assert found.sentences.tolist() == [0, 2, 3, 5]
        assert found.units["token_masking"].tolist() == [0, -1, -1, 1, -1]

    def test_no_documents(self) -> None:
        with pytest.raises(LabError, match="there is no text to learn from"):
            made([], reader("bert"))

    def test_a_tokenizer_without_an_end(self) -> None:
        core = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
        core.pre_tokenizer = pre_tokenizers.Whitespace()
        by = CausalReader(type(tokenizer("llama")).__mro__[1](tokenizer_object=core), config("gpt2"), "endless")
        with pytest.raises(LabError, match="the tokenizer of 'endless' has no token that ends a text"):
            made(["a b"], by)


class TestSpecialTokens:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_text_that_looks_like_one_is_text(self, family: str) -> None:
        by = reader(family)
        text = f"It was [MASK] {' '.join(by.special_tokens)}{''.join(by.special_tokens)} [SEP]good"
        found = made([text, text], by)
        unknown = by.tokenizer.unk_token_id if family != "gpt2" else None  # GPT-2's is its end
        special = [i for i in by.tokenizer.all_special_ids if i != unknown]
        assert int(np.isin(found.ids, special).sum()) == 2, "the separators"

    def test_the_masks_of_a_text_are_read_as_words(self) -> None:
        by = reader("bert")
        assert pieces(by, made(["a [MASK] film [SEP]"], by))[:5] == ["a", "[", "m", "##a", "##s"]

    @pytest.mark.parametrize("objective", [TokenMasking(), WholeWordMasking(), EntityMasking()])
    def test_what_is_unknown_is_never_chosen(self, objective: Objective) -> None:
        by = reader("bert")
        found = made([f"the Great Film {EMOJI} was ꙮ Good{EMOJI}bad ⰀⰁ"], by, objective)
        unknown = np.array([t == "[UNK]" for t in pieces(by, found)])
        assert unknown.sum() == 4
        units = found.units[objective.name]
        assert (units[unknown] == NO_UNIT).all()
        assert (units[~unknown] != NO_UNIT).sum() >= 2

    @pytest.mark.parametrize("family", ["xlmr", "deberta"])
    def test_a_word_that_holds_something_unknown_is_never_chosen_in_part(self, family: str) -> None:
        by = reader(family)
        found = made([f"the film{EMOJI}good movie"], by, WholeWordMasking())
        units = found.units["whole_word_masking"]
        known = [t for t, unit in zip(pieces(by, found), units, strict=True) if unit != NO_UNIT]
        assert by.tokenizer.unk_token_id in found.ids
        assert known == ["▁the", "▁movie"]

    def test_separators_have_no_unit(self) -> None:
        by = load_reader("minilm")
        texts = [e.fields["text_a"] for e in read("bbc_news", None)[0]["train"][:50]]
        found = made(texts, by, TokenMasking(), WholeWordMasking(), EntityMasking())
        separators = found.ids == by.tokenizer.sep_token_id
        assert separators.sum() == 50
        assert np.array_equal(np.flatnonzero(separators), found.documents[1:] - 1)
        assert all((units[separators] == NO_UNIT).all() for units in found.units.values())
        assert np.array_equal(found.units["token_masking"] == NO_UNIT, separators)


class TestUnits:
    def test_by_hand(self) -> None:
        by = reader("bert")
        found = made(
            ["the unfilm was", "was Great Film Bad. bad"], by, TokenMasking(), WholeWordMasking(), EntityMasking()
        )
        assert pieces(by, found) == [
            "the", "u", "##n", "##f", "##i", "##l", "##m", "was", "[SEP]",
            "was", "great", "film", "bad", ".", "bad", "[SEP]",
        ]  # fmt: skip
        assert found.units == {
            "token_masking": pytest.approx([0, 1, 2, 3, 4, 5, 6, 7, -1, 8, 9, 10, 11, 12, 13, -1]),
            "whole_word_masking": pytest.approx([0, 1, 1, 1, 1, 1, 1, 2, -1, 3, 4, 5, 6, 7, 8, -1]),
            "entity_masking": pytest.approx([-1] * 10 + [0, 0, 0] + [-1] * 3),
        }

    def test_a_number_never_stands_in_two_documents(self) -> None:
        texts = [e.fields["text_a"] for e in read("bbc_news", None)[0]["train"][:60]]
        by = load_reader("minilm")
        found = made(texts, by, TokenMasking(), WholeWordMasking(), EntityMasking())
        for units in found.units.values():
            assert units.dtype == np.int32
            highest = NO_UNIT
            for start, end in zip(found.documents[:-1], found.documents[1:], strict=True):
                own = units[start:end]
                own = own[own != NO_UNIT]
                assert own.min() > highest
                highest = own.max()

    def test_objectives_that_hide_nothing_have_none(self) -> None:
        assert made(TEXTS, reader("bert"), NextSentence(), CausalLm()).units == {}
        assert {*made(TEXTS, reader("bert"), NextSentence(), TokenMasking()).units} == {"token_masking"}


class TestSentences:
    ENGLISH = 'It was good. "Yes!" All bad? (No.) the film\n\nAll: a film. '
    ENGLISH_PARTS = ("it was good.", '"yes!"', "all bad?", "(no.)", "the film", "all: a film.")

    @pytest.mark.parametrize("family", FAMILIES)
    def test_english(self, family: str) -> None:
        found = sentences(reader(family), self.ENGLISH)
        blanks = [p.replace(" ", "") if family == "bert" else p for p in self.ENGLISH_PARTS]
        assert [s.strip().replace("<0x0A>", "").lower() for s in found] == blanks

    def test_english_with_the_packaged_causal_tokenizer(self) -> None:
        assert [s.strip().lower() for s in sentences(load_reader("tiny-causal"), self.ENGLISH)] == [*self.ENGLISH_PARTS]

    @pytest.mark.parametrize("family", ["bert", "xlmr", "deberta", "llama"])
    @pytest.mark.parametrize("blank", ["", " ", "\n", "\n\n"])
    def test_chinese(self, family: str, blank: str) -> None:
        parts = ["很好。", "满意。。", "这，差。", "感觉"]
        found = sentences(reader(family), blank.join(parts))
        assert [s.replace("<0x0A>", "").strip() for s in found] == parts

    @pytest.mark.parametrize("family", ["deberta", "roberta"])
    def test_the_blank_before_a_sentence_belongs_to_it(self, family: str) -> None:
        found = sentences(reader(family), "all good. 好 bad. xyz was")
        assert [s[:1] for s in found] == [" " if family == "deberta" else "a", " ", " "]

    @pytest.mark.parametrize(
        ("text", "starts"),
        [
            ("he paid 3.50 for it.now", 1),
            ("good”. bad", 2),
            ("“good.” bad", 2),
            ("good ... bad", 2),
            ("good.", 1),
            ("\n\ngood\n \nbad\n", 2),
            ("good. \n bad", 2),
            ("好。", 1),
            ("好！？好", 2),
            ("「好。」好", 2),
            ("（好。）好", 2),
        ],
    )
    def test_how_many(self, text: str, starts: int) -> None:
        found = made(["film", text], reader("bert"))
        assert found.sentences.tolist()[:2] == [0, 2]
        assert found.sentences[-1] == len(found.ids)
        assert len(found.sentences) == 2 + starts
        assert (np.diff(found.sentences) > 0).all()

    def test_blanks_alone_are_no_sentence(self) -> None:
        assert [s.strip() for s in sentences(reader("roberta"), "good\n \n  bad. \n\n was")] == ["good", "bad.", "was"]

    def test_every_document_begins_a_sentence(self) -> None:
        texts = [e.fields["text_a"] for e in read("bbc_news", None)[0]["train"][:60]]
        found = made(texts, load_reader("minilm"))
        assert set(found.documents.tolist()) < set(found.sentences.tolist())
        assert (np.diff(found.sentences) > 0).all()


class TestHeldOut:
    def test_the_share_of_many(self) -> None:
        texts = [f"text {n}" for n in range(20_000)]
        for share in (0.02, 0.3):
            found = sum(is_held_out(t, share) for t in texts)
            assert abs(found - share * 20_000) < 4 * (20_000 * share * (1 - share)) ** 0.5

    def test_it_is_known_of_a_text_alone(self) -> None:
        """Fixed for good: a run that goes on, or another one, must not read what was held out before."""
        assert [n for n in range(60) if is_held_out(f"text {n}", 0.1)] == [23, 26, 53, 54, 56]
        assert is_held_out("很好", 0.999)
        assert not is_held_out("很好", 0.001)

    def test_more_are_held_out_beside_those_that_were(self) -> None:
        texts = [f"text {n}" for n in range(500)]
        few, many = ({t for t in texts if is_held_out(t, share)} for share in (0.1, 0.2))
        assert few < many
