"""Label words: scored as the whole model would, worked out here by hand, word by word and token by token."""

import math
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from prompt_lab.answers.words import Words
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.copying import CopyingModel
from prompt_lab.backbones.kinds import CausalReader, MaskedReader
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.encoded import collate
from prompt_lab.data.encoding import Encoder
from prompt_lab.errors import LabError
from prompt_lab.tasks import Task
from prompt_lab.templates import Template

from samples import CAUSAL, FAMILIES, MASKED, ROBERTA, backbone, byte_pairs, config, reader, task, tokenizer

PATTERN = "{text_a} It was {mask}."
TEXTS = ["the film", "All in all a good movie", "No"]
# words of one, two and three tokens; some begin alike
SEVERAL = task("no", "yes", no=["bad", "bad film", "terrible"], yes=["great", "bad movie", "good film the"])
SINGLE = task("no", "maybe", "yes", no=["bad", "terrible"], maybe=["movie"], yes=["great", "good"])


def built(family: str, of: Task, pattern: str = PATTERN, **how: Any) -> tuple[Words, Encoder]:
    answer, template = Words(**how), Template(pattern, of.fields)
    answer.build(of, reader(family), template)
    return answer, Encoder(template, answer.plan, reader(family), 100)


def batch(made: Encoder, texts: list[str]) -> Encoded:
    return collate(made.encode([Example({"text_a": t}) for t in texts]), made.reader)


def scored(family: str, of: Task, texts: list[str] = TEXTS, pattern: str = PATTERN, **how: Any) -> Tensor:
    answer, made = built(family, of, pattern, **how)
    with torch.no_grad():
        return answer(backbone(family), batch(made, texts))


def ids(family: str, text: str, **how: Any) -> list[int]:
    return tokenizer(family)(text, **how)["input_ids"]


@torch.no_grad()
def log_probabilities(family: str, row: list[int], decoder: list[int] | None = None) -> Tensor:
    """Of the whole vocabulary at every place of one row without padding: [T, V]."""
    inputs = {"input_ids": torch.tensor([row])}
    if decoder:
        inputs["decoder_input_ids"] = torch.tensor([decoder])
    return backbone(family).model(**inputs).logits[0].log_softmax(-1)


def by_hand(family: str, text: str, word: str) -> tuple[float, int]:
    """Joint log-probability of a word after "<text> It was", from the whole model; and how many tokens the word has."""
    before = f"{text} It was"
    bare = {"add_special_tokens": False}
    word_ids = ids(family, f"was {word}", **bare)[len(ids(family, "was", **bare)) :]
    if family in MASKED:
        read = reader(family)
        row = ids(family, f"{before} {read.mask_text}.")
        at = row.index(read.mask_id)
        row[at : at + 1] = [read.mask_id] * len(word_ids)
        logp = log_probabilities(family, row)
    elif family in CAUSAL:
        at = len(ids(family, before)) - 1
        row = ids(family, f"{before} {word}")
        assert row[at + 1 :] == word_ids
        logp = log_probabilities(family, row)
    elif family == "t5":
        gap, at = tokenizer("t5").convert_tokens_to_ids("<extra_id_0>"), 1
        logp = log_probabilities("t5", ids("t5", f"{before} <extra_id_0>."), [0, gap, *word_ids])
    else:
        decoder = [2, *ids("bart", f"{before} {word}")[:-1]]
        at = len(decoder) - len(word_ids) - 1
        assert decoder[at + 1 :] == word_ids
        logp = log_probabilities("bart", ids("bart", f"{before} <mask>."), decoder)
    return sum(float(logp[at + j, token]) for j, token in enumerate(word_ids)), len(word_ids)


def all_by_hand(family: str, of: Task) -> list[list[list[tuple[float, int]]]]:
    """For every text, label and word."""
    return [[[by_hand(family, text, w) for w in of.label_words[label]] for label in of.labels] for text in TEXTS]


def close(found: Tensor, expected: list[list[float]]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), atol=2e-4, rtol=1e-4)


class TestJointProbability:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_of_every_word_is_the_whole_models(self, family: str) -> None:
        answer, made = built(family, SEVERAL)
        with torch.no_grad():
            found = answer.word_scores(backbone(family), batch(made, TEXTS))
        lengths = [n for label in all_by_hand(family, SEVERAL)[0] for _, n in label]
        assert lengths == [1, 2, 1, 1, 2, 3]
        assert not answer.only_rows
        close(found, [[p for label in row for p, _ in label] for row in all_by_hand(family, SEVERAL)])

    @pytest.mark.parametrize("family", FAMILIES)
    def test_mean_sum_and_max_over_the_words_of_a_label(self, family: str) -> None:
        hand = all_by_hand(family, SEVERAL)
        close(scored(family, SEVERAL), [[sum(p for p, _ in c) / len(c) for c in row] for row in hand])
        close(
            scored(family, SEVERAL, aggregate="sum"),
            [[math.log(sum(math.exp(p) for p, _ in c) / len(c)) for c in row] for row in hand],
        )
        close(scored(family, SEVERAL, aggregate="max"), [[max(p for p, _ in c) for c in row] for row in hand])

    @pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
    def test_length_normalised(self, family: str) -> None:
        hand = all_by_hand(family, SEVERAL)
        expected = [[sum(p / n for p, n in c) / len(c) for c in row] for row in hand]
        close(scored(family, SEVERAL, length_normalize=True), expected)

    @pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
    def test_weights_are_normalised_within_a_label(self, family: str) -> None:
        words = {"no": {"bad": 1.0, "bad film": 3.0}, "yes": {"great": 5.0}}
        of = task("no", "yes", no=["bad", "bad film"], yes=["great"])
        hand = [[[p for p, _ in c] for c in row] for row in all_by_hand(family, of)]
        close(scored(family, of, words=words), [[0.25 * a + 0.75 * b, c] for (a, b), (c,) in hand])
        close(
            scored(family, of, words=words, aggregate="sum"),
            [[math.log(0.25 * math.exp(a) + 0.75 * math.exp(b)), c] for (a, b), (c,) in hand],
        )
        close(scored(family, of, words=words, aggregate="max"), [[max(a, b), c] for (a, b), (c,) in hand])

    def test_chinese_words_of_several_characters(self) -> None:
        of = task("bad", "good", bad=["差", "失望"], good=["好", "满意"])
        answer, made = built("bert", of, "{text_a}感觉很{mask}。")
        assert answer.pieces() == {"差": ["差"], "失望": ["失", "望"], "好": ["好"], "满意": ["满", "意"]}
        with torch.no_grad():
            found = answer.word_scores(backbone("bert"), batch(made, ["这很好"]))
        expected = []
        for word in ("差", "失望", "好", "满意"):
            names = ["[CLS]", *"这很好感觉很", *["[MASK]"] * len(word), "。", "[SEP]"]
            logp = log_probabilities("bert", tokenizer("bert").convert_tokens_to_ids(names))
            pieces = tokenizer("bert").convert_tokens_to_ids(list(word))
            expected.append(sum(float(logp[7 + j, token]) for j, token in enumerate(pieces)))
        close(found, [expected])


class TestRowsAlone:
    """Where every word is one token, only the words' own rows of the vocabulary are computed."""

    @pytest.mark.parametrize("family", FAMILIES)
    @pytest.mark.parametrize("aggregate", ["mean", "sum", "max"])
    def test_give_the_labels_the_same_probabilities(self, family: str, aggregate: Any) -> None:
        answer, made = built(family, SINGLE, aggregate=aggregate)
        assert answer.only_rows
        with torch.no_grad():
            fast = answer(backbone(family), batch(made, TEXTS))
            answer.only_rows = False
            whole = answer(backbone(family), batch(made, TEXTS))
        assert (fast - whole).abs().max() > 0.1  # they differ by a constant of each example
        torch.testing.assert_close(fast.log_softmax(-1), whole.log_softmax(-1), atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("family", ["bert", "bart", "llama"])
    def test_never_compute_the_vocabulary(self, family: str) -> None:
        shapes = []
        head = backbone(family).model.get_output_embeddings()
        hook = head.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape)))
        try:
            scored(family, SINGLE)
        finally:
            hook.remove()
        assert shapes == [(3, 1, 5)]

    def test_one_word_of_two_tokens_makes_all_words_comparable(self) -> None:
        """A lone row has no normaliser, so the fast path must not be taken for some words only."""
        found = scored("bert", task("no", "yes", no=["bad"], yes=["bad film"]))
        assert (found < 0).all()


class TestSharedFirstPiece:
    """OpenPrompt's way, all pieces read at one mask, cannot tell "unkind" from "unhappy"; the joint probability can."""

    @pytest.fixture
    def copying(self) -> Backbone:
        """Every mask copies what stands two places before it: "un ##kind [MASK] [MASK]"."""
        names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##kind", "##happy", "so"]
        words = transformers.BertTokenizer(vocab={n: i for i, n in enumerate(names)})
        shape = transformers.BertConfig(vocab_size=len(names), hidden_size=64)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Backbone(CopyingModel(shape, -2), MaskedReader(words, shape, "copying")).eval()

    def test_the_joint_probability_tells_them_apart(self, copying: Backbone) -> None:
        of = task("kind", "happy", kind=["unkind"], happy=["unhappy"])
        answer, template = Words(), Template("{text_a} {mask}", ("text_a",))
        answer.build(of, copying.reader, template)
        assert answer.pieces() == {"unkind": ["un", "##kind"], "unhappy": ["un", "##happy"]}
        found = batch(Encoder(template, answer.plan, copying.reader, 20), ["so unkind", "so unhappy"])
        with torch.no_grad():
            assert answer(copying, found).argmax(-1).tolist() == [0, 1]
            logp_B2V = copying.slot_logits(found).log_softmax(-1)[:, 0]
        one_mask = torch.stack([logp_B2V[:, 0, [5, piece]].mean(-1) for piece in (6, 7)], dim=-1)
        margin = one_mask[:, 0] - one_mask[:, 1]
        assert margin.abs().max() < 1, "at one mask nothing but noise is left between the two"
        assert one_mask.argmax(-1).unique().numel() == 1


class TestPlace:
    """The tokens of a word depend on what stands before it."""

    @pytest.mark.parametrize(
        ("family", "before", "pieces"),
        [
            ("roberta", " ", ["Ġgreat"]), ("roberta", "", ["great"]), ("roberta", "(", ["great"]), ("roberta", '"', ["great"]),
            ("roberta", None, ["great"]), ("roberta", "\n", ["great"]), ("roberta", "很", ["great"]),
            ("bart", " ", ["Ġgreat"]), ("gpt2", " ", ["Ġgreat"]), ("gpt2", "", ["great"]), ("gpt2", "(", ["great"]),
            ("gpt2", "\n", ["great"]), ("bert", " ", ["great"]), ("bert", "(", ["great"]), ("bert", None, ["great"]),
            ("xlmr", " ", ["▁great"]), ("xlmr", "", ["▁great"]), ("xlmr", "(", ["great"]), ("xlmr", None, ["great"]),
            ("deberta", " ", ["▁great"]), ("deberta", "(", ["great"]), ("t5", " ", ["▁great"]), ("t5", "(", ["great"]),
            ("llama", " ", ["▁great"]), ("llama", "", ["▁great"]), ("llama", "(", ["g", "reat"]),
        ],
    )  # fmt: skip
    def test_leading_space(self, family: str, before: str | None, pieces: list[str]) -> None:
        assert tokenizer(family).convert_ids_to_tokens(reader(family).word_ids("great", before)) == pieces

    @pytest.mark.parametrize(
        ("family", "pieces"),
        [
            ("bert", ["满", "意"]), ("xlmr", ["▁", "满", "意"]), ("deberta", ["▁", "满", "意"]), ("t5", ["▁", "满", "意"]),
            ("llama", ["▁", "满", "意"]), ("gpt2", ["Ġ", *"æ»¡æĦı"]), ("roberta", ["Ġ", *"æ»¡æĦı"]),
        ],
    )  # fmt: skip
    def test_a_space_that_is_a_token_of_its_own_belongs_to_the_word(self, family: str, pieces: list[str]) -> None:
        assert tokenizer(family).convert_ids_to_tokens(reader(family).word_ids("满意", " ")) == pieces
        alone = reader(family).word_ids("满意", "很")
        assert tokenizer(family).convert_ids_to_tokens(alone) == [p for p in pieces if p not in ("▁", "Ġ")]

    @pytest.mark.parametrize("family", CAUSAL)
    @pytest.mark.parametrize("word", ["great", "awful film", "满意"])
    @pytest.mark.parametrize("between", [" It was ", " (", "\nIt was:\n", "很"])
    def test_context_and_word_together_are_the_whole_text(self, family: str, word: str, between: str) -> None:
        of = task("no", "yes", no=["bad"], yes=[word])
        answer, made = built(family, of, f"{{text_a}}{between}{{mask}}.")
        text = made.encode([Example({"text_a": "the film"})])[0].rows[0].input_ids
        context = text[: len(text) - len(answer.plan.rows[0])] if answer.plan else []
        assert [*context, *reader(family).word_ids(word, between[-1])] == ids(family, f"the film{between}{word}")

    def test_the_template_says_what_stands_before(self) -> None:
        for pattern, piece in (
            ("{text_a} It was {mask}.", "Ġgreat"),
            ("{text_a} ({mask})", "great"),
            ("{mask} film: {text_a}", "great"),
            ("{text_a}{sep}{mask}", "great"),
        ):
            answer, _ = built("roberta", task("a", "b", a=["bad"], b=["great"]), pattern)
            assert answer.pieces()["great"] == [piece]

    def test_a_vocabulary_that_joins_pattern_and_word(self) -> None:
        """Qwen and Llama 3 have tokens such as ".com" and "(get"."""
        pairs = byte_pairs(["<|endoftext|>"])
        joined = [("c", "o"), ("co", "m"), (".", "com"), ("(", "com"), (",", "com")]
        vocab = pairs["vocab"] | {a + b: len(pairs["vocab"]) + i for i, (a, b) in enumerate(joined)}
        made = transformers.Qwen2Tokenizer(vocab=vocab, merges=[*pairs["merges"], *joined])
        assert made.tokenize(".com,com") == [".com", ",com"]
        read = CausalReader(made, config("gpt2"), "joining")
        for before_mask in (None, ".", "(", ","):
            assert made.convert_ids_to_tokens(read.word_ids("com", before_mask)) == ["com"]

    def test_a_word_that_goes_on_the_patterns_own(self) -> None:
        assert tokenizer("bert").convert_ids_to_tokens(reader("bert").word_ids("b", "a")) == ["##b"]


def refusal(of: Task, family: str = "bert", pattern: str = PATTERN, **how: Any) -> str:
    with pytest.raises(LabError) as error:
        built(family, of, pattern, **how)
    return str(error.value)


class TestRefused:
    def test_a_template_without_a_mask(self) -> None:
        assert "Words reads its answer at the mask, but the template '{text_a}' has none" in refusal(
            SINGLE, pattern="{text_a}"
        )

    def test_a_label_without_words(self) -> None:
        says = "the label 'yes' of task 'sample' has no label words; give it some with --model.answer.words"
        assert refusal(task("no", "yes", no=["bad"])) == says
        assert refusal(task("no", "yes", no=["bad"], yes=[])) == says
        assert refusal(SINGLE, words={"no": ["bad"], "maybe": ["movie"], "yes": {}}) == says

    def test_words_for_a_label_that_does_not_exist(self) -> None:
        assert refusal(SINGLE, words={"yess": ["good"]}) == (
            "unknown label 'yess'. Did you mean 'yes'? It was given label words."
        )

    @pytest.mark.parametrize("weight", [0.0, -1.0, math.inf, math.nan])
    def test_a_weight_that_is_not_positive(self, weight: float) -> None:
        words = {"no": {"bad": 1.0, "terrible": weight}, "maybe": ["movie"], "yes": ["good"]}
        assert "the label words of 'no' have weights" in refusal(SINGLE, words=words)

    @pytest.mark.parametrize(
        ("word", "pieces"), [("☃", "['[UNK]']"), ("bad ☃", "['bad', '[UNK]']"), ("", "[]"), (" ", "[]")]
    )
    def test_a_word_that_vanishes(self, word: str, pieces: str) -> None:
        assert f"the word {word!r} vanishes in the tokenizer of 'bert': it becomes {pieces}." in refusal(
            task("no", "yes", no=["bad"], yes=[word])
        )

    def test_a_byte_level_vocabulary_loses_nothing(self) -> None:
        assert len(reader("gpt2").word_ids("☃", " ")) == 4

    def test_two_labels_with_the_same_words(self) -> None:
        assert refusal(task("no", "yes", no=["good", "bad"], yes=["bad", "good"])) == (
            "the label words ['good', 'bad'] and ['bad', 'good'] of two labels become the same tokens; choose others"
        )

    def test_two_labels_whose_words_differ_only_in_case(self) -> None:
        same = task("no", "yes", no=["Good"], yes=["good"])
        assert "become the same tokens" in refusal(same)
        built("roberta", task("no", "yes", no=["Good"], yes=["good"]))

    def test_labels_may_share_some_words(self) -> None:
        found = scored("bert", task("no", "yes", no=["bad", "film"], yes=["good", "film"]))
        assert found[:, 0].ne(found[:, 1]).all()


class TestSettings:
    def test_own_words_take_the_place_of_the_tasks(self) -> None:
        answer, _ = built("bert", SINGLE, words={"no": ["No"], "maybe": ["a"], "yes": ["Yes"]})
        assert list(answer.pieces()) == ["No", "a", "Yes"]

    def test_a_single_word_need_not_be_a_list(self) -> None:
        assert list(built("bert", task("no", "yes", no="bad", yes="good"))[0].pieces()) == ["bad", "good"]

    def test_nothing_is_saved_and_nothing_trained(self) -> None:
        answer, _ = built("bert", SEVERAL)
        assert not answer.state_dict()
        assert not list(answer.parameters())
        assert {b.device.type for b in answer.to("meta").buffers()} == {"meta"}

    def test_half_precision_does_not_round_the_scores(self) -> None:
        answer, _ = built("bert", SEVERAL)
        scores = torch.randn(4, 6) - 20
        with torch.autocast("cpu", torch.bfloat16):
            rounded = answer._by_label(scores)
        torch.testing.assert_close(rounded, answer._by_label(scores), atol=0, rtol=0)

    def test_words_of_a_mask_that_swallows_no_space(self) -> None:
        plain = transformers.RobertaTokenizer(**byte_pairs(ROBERTA))
        assert plain.convert_ids_to_tokens(MaskedReader(plain, config("roberta"), "plain").word_ids("great", " ")) == [
            "Ġgreat"
        ]

    def test_gradients_reach_every_word(self) -> None:
        for of in (SINGLE, SEVERAL):
            answer, made = built("bert", of)
            model = backbone("bert").fresh()
            torch.nn.functional.cross_entropy(answer(model, batch(made, TEXTS)), torch.tensor([0, 1, 1])).backward()
            gradient = model.model.get_output_embeddings().weight.grad
            tokens = {t for w in answer.pieces().values() for t in tokenizer("bert").convert_tokens_to_ids(w)}
            assert gradient[sorted(tokens)].abs().sum(-1).gt(0).all()
