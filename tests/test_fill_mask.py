"""Filling a gap: the numbers are those of the plain Hugging Face model, words are whole, and what cannot be read is refused."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prompt_lab import cli
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.kinds import CausalReader
from prompt_lab.backbones.load import load_backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded
from prompt_lab.commands import fill_mask
from prompt_lab.errors import LabError
from prompt_lab.filling import LONGEST, Filled, fill, find_gap

from samples import CAUSAL, MASKED, SEQ2SEQ, backbone, config, reader, tokenizer

PARIS = "Paris is the capital of [MASK]."
TINY = {"tiny-causal": "causal", "tiny-seq2seq": "seq2seq"}


def named(name: str) -> Backbone:
    return load_backbone(name) if "-" in name else backbone(name)


def ids(read: Reader, text: str, **how: Any) -> list[int]:
    return read.tokenizer(text, **how)["input_ids"]


def token_ids(read: Reader, filled: Filled) -> list[int]:
    return read.tokenizer.convert_tokens_to_ids(list(filled.tokens))


@torch.no_grad()
def plain(model: Any, *rows: list[int]) -> Tensor:
    """Probabilities [T, V] from the Hugging Face model itself, without this package: of its input, or of its decoder's."""
    names = ("input_ids", "decoder_input_ids")
    return model(**{n: torch.tensor([r]) for n, r in zip(names, rows, strict=False)}).logits[0].softmax(-1)


# ------------------------------------------------------------------------------------------------- masked


def test_minilm_knows_france() -> None:
    words = fill(load_backbone("minilm-mlm"), PARIS)
    assert len(words) == 10
    assert "france" in [w.word for w in words[:5]]


def test_a_copycat_fills_what_stands_before() -> None:
    first, *_ = fill(load_backbone("copycat"), PARIS)
    assert (first.word, first.tokens) == ("of", ("of",))
    assert first.probability > 0.9


@pytest.mark.parametrize("name", ["minilm-mlm", *MASKED])
@pytest.mark.parametrize("text", ["It was [MASK].", "[MASK] film (it was good)", 'A film: "[MASK]", was it'])
def test_a_masked_model_gives_its_softmax_at_the_mask(name: str, text: str) -> None:
    made = named(name)
    read = made.reader
    row = ids(read, text.replace("[MASK]", read.tokenizer.mask_token))
    p_V = plain(made.model, row)[row.index(read.tokenizer.mask_token_id)]
    words = fill(made, text, top=20)
    listed = [token for w in words for token in token_ids(read, w)]
    assert len(words) == len(listed) == len({w.word for w in words}) == 20
    torch.testing.assert_close(torch.tensor([w.probability for w in words]), p_V[listed])
    assert not set(listed) & set(read.tokenizer.all_special_ids)
    shown = {w.word for w in words}
    for better in (p_V[: len(read.tokenizer)] > words[-1].probability + 1e-6).nonzero().flatten().tolist():
        said = read.tokenizer.decode([better]).strip()
        alike = {said, f"##{said}"} & shown
        assert alike or better in read.tokenizer.all_special_ids or not said.strip("\ufffd")


def test_pieces_are_marked_and_special_tokens_left_out() -> None:
    words = {w.word: w for w in fill(backbone("bert"), "It was [MASK].", top=len(reader("bert").tokenizer))}
    assert words["##a"].tokens == ("##a",)
    assert words["a"].tokens == ("a",)
    assert not {"[MASK]", "[SEP]", "[PAD]", "[UNK]", "[CLS]", ""} & set(words)
    assert sum(w.probability for w in words.values()) < 1, "special tokens keep their share"


@pytest.mark.parametrize(("family", "space"), [("roberta", "Ġ"), ("deberta", "▁")])
def test_a_token_without_its_space_is_a_piece_where_the_text_has_one(family: str, space: str) -> None:
    top = len(reader(family).tokenizer)
    words = {w.word: w.tokens for w in fill(backbone(family), "It was [MASK].", top)}
    assert words["great"] == (f"{space}great",)
    assert words["##great"] == ("great",)
    assert words["."] in {(".",), (f"{space}.",)}
    assert "##." not in words
    loose = {w.word: w.tokens for w in fill(backbone(family), 'It was "[MASK]"', top)}
    assert loose["great"] in {("great",), (f"{space}great",)}
    assert "##great" not in loose


# ------------------------------------------------------------------------------------------------- left to right


def context(made: Backbone, text: str) -> list[list[int]]:
    """What the plain model reads up to the gap: of the decoder, last, after the encoder's input where there is one."""
    read = made.reader
    before = text.split("[MASK]")[0].removesuffix(" ")
    if read.kind == "causal":
        return [ids(read, before)]
    whole = ids(read, before + read.mask_text + text.split("[MASK]")[1])
    start = made.model.config.decoder_start_token_id
    if read.tokenizer.mask_token is None:
        return [whole, [start, read.tokenizer.convert_tokens_to_ids("<extra_id_0>")]]
    return [whole, [start, *whole[: whole.index(read.tokenizer.mask_token_id)]]]


@pytest.mark.parametrize("name", [*TINY, *CAUSAL, *SEQ2SEQ])
@pytest.mark.parametrize("text", ["The film: it was [MASK].", 'It was "[MASK]"'])
def test_a_word_scores_the_product_of_its_tokens(name: str, text: str) -> None:
    made = named(name)
    *inputs, lead = context(made, text)
    words = fill(made, text, top=150)
    assert any(len(w.tokens) > 1 for w in words)
    for word in words:
        tokens = token_ids(made.reader, word)
        p_TV = plain(made.model, *inputs, lead + tokens)[len(lead) - 1 :]
        chain = [float(p_V[t]) for p_V, t in zip(p_TV, tokens, strict=False)]
        assert word.probability == pytest.approx(torch.tensor(chain).prod().item(), rel=1e-4)
        assert tokens[1:] == p_TV[:-1].argmax(-1)[1:].tolist() or not tokens[1:], "each is the most probable one"
        said, going = (
            made.reader.tokenizer.decode([*lead[-1:], *tokens, *more], skip_special_tokens=True)
            for more in ([], [int(p_TV[-1].argmax())])
        )
        assert len(word.word.split()) == 1, "no word begins inside"
        ended = not going.removeprefix(said)[:1].isalnum() or not said[-1].isalnum()
        assert ended or len(tokens) == LONGEST, (word, going)
    assert [w.probability for w in words] == sorted((w.probability for w in words), reverse=True)
    assert len({w.word for w in words}) == len(words)


@pytest.mark.parametrize("name", [*TINY, *CAUSAL, *SEQ2SEQ])
def test_the_top_of_a_short_list_is_that_of_a_long_one(name: str) -> None:
    long = fill(named(name), "The film was [MASK].", top=60)
    assert [w.word for w in fill(named(name), "The film was [MASK].", top=5)] == [w.word for w in long[:5]]


@pytest.mark.parametrize(("name", "space"), [("gpt2", "Ġ"), ("llama", "▁"), ("t5", "▁"), ("bart", "Ġ")])
def test_the_texts_own_space_decides_how_a_word_begins(name: str, space: str) -> None:
    assert all(w.tokens[0].startswith(space) for w in fill(named(name), "It was [MASK].", top=20))
    assert not any(w.tokens[0].startswith(space) for w in fill(named(name), "It was ([MASK]).", top=20))
    either = [w.tokens[0].startswith(space) for w in fill(named(name), "It was:\n[MASK].", top=100)]
    assert any(either)
    assert not all(either)


class Scripted(Backbone):
    """A causal backbone whose next token depends on the last alone, with probabilities written by hand."""

    def __init__(self, script: dict[str, dict[str, float]], read: Reader = reader("gpt2")) -> None:  # noqa: B008
        super().__init__(nn.Linear(1, 1), read)
        self.passes = 0
        number = self.reader.tokenizer.convert_tokens_to_ids
        self.table = torch.full((len(self.reader.tokenizer) + 2,) * 2, 1e-12)  # some models have more rows than tokens
        for last, following in script.items():
            for token, probability in following.items():
                self.table[number(last), number(token)] = probability

    def slot_logits(self, batch: Encoded, tokens: Tensor | None = None) -> Tensor:
        self.passes += 1
        last_RN = batch.input_ids.gather(1, batch.slots.flatten(0, 1))
        return self.table[last_RN].log().view(*batch.slots.shape, -1)


def test_words_end_where_they_should() -> None:
    """By hand: each first token goes on in another way."""
    first = {
        "Ġgreat": 0.25, "Ġgood": 0.2, "Ġbad": 0.12, "Ġ": 0.1, "Ġthe": 0.05, "Ġ(": 0.04, "Ġa": 0.02,
        "<|endoftext|>": 0.1, "Ċ": 0.06, "Yes": 0.06,
    }  # fmt: skip
    script = {
        "Ġwas": first,
        "Ġgreat": {"e": 0.5, "Ġfilm": 0.3, "!": 0.2},  # greater: a piece, another piece, a full stop
        "e": {"r": 0.8, ".": 0.2},
        "r": {".": 0.9, "s": 0.1},
        "Ġgood": {"Ġfilm": 0.6, "s": 0.4},  # the next word
        "Ġbad": {"<|endoftext|>": 0.7, "e": 0.3},  # the end
        "Ġ": {"film": 0.6, "movie": 0.4},  # the space alone
        "film": {"Ċ": 1.0},
        "Ġthe": {"n": 1.0},
        "n": {"n": 1.0},  # without an end
        "Ġ(": {"film": 1.0},  # punctuation is no part of the word after it
        "Ġa": {"-": 1.0},
    }
    made = Scripted(script)
    expected = {
        "good": 0.2,
        "bad": 0.12,
        "greater": 0.25 * 0.5 * 0.8,
        "film": 0.06,
        "thennnn": 0.05,
        "(": 0.04,
        "a": 0.02,
    }
    words = fill(made, "It was [MASK].", top=7)
    assert {w.word: w.probability for w in words} == pytest.approx(expected, rel=1e-4)
    assert [w.word for w in words][:3] == ["good", "bad", "greater"]
    assert {w.word: w.tokens for w in words}["greater"] == ("Ġgreat", "e", "r")
    assert made.passes == 1 + LONGEST - 1, "the words go on side by side"


def test_later_first_tokens_are_tried_while_they_may_be_better() -> None:
    """The first token leads to a word that is less probable than the second token; nothing after that can be better."""
    first = {"Ġgreat": 0.4, "Ġgood": 0.3, "Ġbad": 0.2, "Ġa": 0.1}
    made = Scripted(
        {"Ġwas": first, "Ġgreat": {"e": 0.4, ".": 0.3, "!": 0.3}, "e": {".": 1}, "Ġgood": {".": 1}, "Ġbad": {".": 1}}
    )
    assert [w.word for w in fill(made, "It was [MASK]", 1)] == ["good"]
    assert made.passes == 1 + 2 + 1, "the first tokens; great, e; good; never bad"


def test_a_left_to_right_model_may_read_word_pieces() -> None:
    """Many Chinese ones do: their tokens say nothing of spaces, and only pieces go on a word."""
    read = CausalReader(tokenizer("bert"), config("gpt2"), "pieces")
    first = {"##s": 0.3, "great": 0.3, "好": 0.2, "good": 0.2}
    following = {
        "great": {"##e": 1.0},
        "##e": {"##r": 1.0},
        "##r": {"good": 1.0},
        "good": {".": 1.0},
        "好": {"很": 1.0},
    }
    made = Scripted({"was": first, "很": first} | following, read)
    expected = {"greater": 0.3, "好": 0.2, "good": 0.2}
    assert {w.word: w.probability for w in fill(made, "It was [MASK].", top=3)} == pytest.approx(expected)
    assert "好" in {w.word for w in fill(made, "感觉很[MASK]。", top=4)}


def test_what_is_no_word_is_left_out() -> None:
    """Special tokens and rows of the vocabulary that no token has: they are not gone on with, and they end a word."""
    made = Scripted({"Ġwas": {"<|endoftext|>": 0.3, "Yes": 0.1}, "<|endoftext|>": {"s": 1}})
    padding = len(made.reader.tokenizer)
    names = made.reader.tokenizer.convert_tokens_to_ids
    made.table[names("Ġwas"), padding] = 0.6
    made.table[padding, names("s")] = made.table[names("Yes"), padding + 1] = 1.0
    (only,) = fill(made, "It was[MASK]", top=1)
    assert (only.word, only.probability) == ("Yes", pytest.approx(0.1))
    assert made.passes == 3, "the first tokens, what is padding, Yes"


def test_a_character_is_read_whole() -> None:
    """Byte-level BPE may write one in three tokens; one that is never finished cannot be shown."""
    whole, half = ids(reader("gpt2"), "好"), ids(reader("gpt2"), "很")[0]
    names = reader("gpt2").tokenizer.convert_ids_to_tokens
    e5, a5, bd, e5_too = names([*whole, half])
    assert len(whole) == 3
    assert e5 == e5_too
    made = Scripted(
        {"Ġwas": {e5: 0.6, "e": 0.4}, e5: {a5: 1}, a5: {bd: 1}, bd: {"Ġa": 1}, "e": {"Ī": 1}, "Ī": {"Ī": 1}}
    )
    words = fill(made, "It was[MASK].", top=2)
    assert words[0] == Filled("好", pytest.approx(0.6), (e5, a5, bd))
    assert "\ufffd" not in words[1].word


def test_words_written_alike_are_listed_once() -> None:
    made = Scripted(
        {"Ġwas": {"Ġfilm": 0.2, "Ġ": 0.8}, "Ġ": {"film": 0.9, "s": 0.1}, "film": {".": 1}, "Ġfilm": {".": 1}}
    )
    first, second = fill(made, "It was [MASK]", top=2)
    assert (first.word, first.tokens) == ("film", ("Ġ", "film"))
    assert first.probability == pytest.approx(0.72)
    assert second.word != "film"


# ------------------------------------------------------------------------------------------------- the text


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "t5", "bart"])
def test_the_gap_is_written_in_any_way(family: str) -> None:
    expected = fill(backbone(family), "It was [MASK].", top=3)
    for gap in ("<mask>", "{mask}", "<extra_id_0>", reader(family).mask_text or "[MASK]"):
        assert fill(backbone(family), f"It was {gap}.", top=3) == expected


def test_the_rest_of_the_text_is_plain() -> None:
    """Braces are no slots, and what looks like a special token is words."""
    made = backbone("bert")
    row = ids(made.reader, "{text_a} {{x}} } [ SEP] [MASK] {text_b}")
    p_V = plain(made.model, row)[row.index(made.reader.mask_id)]
    text = "{text_a} {{x}} } [SEP] [MASK] {text_b}"
    words = fill(made, text)
    assert [w.probability for w in words] == pytest.approx(
        [float(p_V[token_ids(made.reader, w)[0]]) for w in words], rel=1e-4
    )
    assert find_gap(made.reader, text).filled("x") == "{text_a} {{x}} } [SEP] x {text_b}"


def test_a_piece_is_put_on_its_word() -> None:
    assert find_gap(reader("bert"), "read [MASK].").filled("##ing") == "reading."
    assert find_gap(reader("bert"), "read[MASK].").filled("##ing") == "reading."
    assert find_gap(reader("bert"), "read [MASK].").filled("it") == "read it."


@pytest.mark.parametrize("name", ["tiny-causal", "gpt2", "llama"])
def test_closing_punctuation_is_left_off_for_a_causal_model(name: str) -> None:
    assert fill(named(name), "It was [MASK] !).") == fill(named(name), "It was [MASK]")


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "llama", "t5", "bart"])
def test_a_gap_alone_can_be_filled(name: str) -> None:
    assert len(fill(named(name), "[MASK]", top=3)) == 3


@pytest.mark.parametrize(
    ("family", "text", "top", "message"),
    [
        ("bert", "", 1, "the text is empty"),
        ("bert", " \n", 1, "the text is empty"),
        ("bert", "It was good.", 1, "'It was good.' has no gap; write exactly one as [MASK]"),
        ("bert", "[mask]", 1, "has no gap"),
        ("bert", "It [MASK] {mask}.", 1, "has 2 gaps ([MASK], {mask}); write exactly one as [MASK]"),
        ("gpt2", "<mask><extra_id_0>", 1, "has 2 gaps (<mask>, <extra_id_0>)"),
        ("bert", PARIS, 0, "top is 0; expected a number of words from 1 to 179"),
        ("bert", PARIS, 180, "top is 180; expected a number of words from 1 to 179"),
        ("gpt2", "It [MASK] good.", 1, "reads left to right: write a text that ends in its gap"),
        (
            "roberta",
            "film " * 200 + "[MASK]",
            1,
            "the text takes 203 tokens, with special tokens and 1 for the gap, but",
        ),
        ("roberta", "film " * 200 + "[MASK]", 1, "'roberta' reads 128 at most; shorten it by 75"),
        ("bart", "film " * 1100 + "[MASK]", 1, "reads 1024 at most"),
    ],
)
def test_what_cannot_be_read_is_refused(family: str, text: str, top: int, message: str) -> None:
    with pytest.raises(LabError, match=re.escape(message)):
        find_gap(reader(family), text, top)
    with pytest.raises(LabError, match=re.escape(message)):
        fill(backbone(family), text, top)


@pytest.mark.parametrize(("name", "most"), [("roberta", 128 - 3), ("tiny-causal", 256 - LONGEST + 1)])
def test_the_longest_text_is_read_whole(name: str, most: int) -> None:
    """Special tokens and the tokens of the word must fit, too; one token more is refused, not cut off."""
    words = [" film"] * most
    made = named(name)
    assert len(ids(made.reader, "".join(words), add_special_tokens=False)) == most
    fill(made, "".join(words) + "[MASK]", top=1)
    with pytest.raises(LabError, match=f"reads {made.reader.max_length} at most; shorten it by 1$"):
        fill(made, "".join(words) + " film[MASK]", top=1)


def test_a_backbone_without_its_head_is_refused() -> None:
    with pytest.raises(LabError, match="comes without a language-model head"):
        fill(Backbone(backbone("bert").model, reader("bert"), ("cls.predictions.bias",)), PARIS)


# ------------------------------------------------------------------------------------------------- the command


def test_the_command_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r'^prompt-lab fill-mask "(.*?)" ', readme, re.MULTILINE)
    assert cli.main(["fill-mask", text, "--top", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    words = fill(load_backbone("minilm-mlm"), text, top=3)
    assert lines[0] == "minilm-mlm (masked)"
    assert [line.split() for line in lines[1:4]] == [
        [str(rank), w.word, f"{w.probability:.2%}"] for rank, w in enumerate(words, 1)
    ]
    assert lines[4:] == ["", f"Paris is the capital of {words[0].word}."]


def test_the_command_shows_the_tokens_of_a_split_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Scripted({"Ġwas": {"Ġgreat": 1.0}, "Ġgreat": {"e": 1.0}, "e": {"r": 1.0}, "r": {".": 1.0}})
    monkeypatch.setattr(fill_mask, "load_reader", lambda _: made.reader)
    monkeypatch.setattr(fill_mask, "load_backbone", lambda _: made)
    assert cli.main(["fill-mask", "[b]It was [MASK].", "--backbone", "by hand", "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["by hand (causal)", "1  greater  100.00%  (Ġgreat e r)", "", "[b]It was greater."]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["It was good.", "--backbone", "tiny-masked"], "has no gap"),
        ([PARIS, "--top", "0", "--backbone", "tiny-masked"], "top is 0"),
        ([PARIS, "--backbone", "minilm-mml"], "Did you mean 'minilm-mlm'"),
        (["It [MASK] good", "--backbone", "tiny-causal"], "reads left to right"),
    ],
)
def test_the_command_refuses_before_it_loads_a_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.setattr(fill_mask, "load_backbone", lambda name: pytest.fail(f"{name} was loaded"))
    assert cli.main(["fill-mask", *words]) == 2
    said, error = capsys.readouterr()
    assert message in error
    assert not said
