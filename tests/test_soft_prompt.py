"""Soft prompts before training: they answer as what they begin as, and what cannot be a prompt is refused."""

from typing import Any

import peft
import pytest
import torch
import transformers as hf
from torch import Tensor

from prompt_lab.answers.head import Head
from prompt_lab.answers.words import Words
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.kinds import MaskedReader
from prompt_lab.backbones.load import load_backbone, load_reader
from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.embedding_tuning import EmbeddingTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.paradigms.prompt_tuning import PromptTuning
from prompt_lab.paradigms.zero_shot import ZeroShot
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY, Subject
from prompt_lab.tuning.soft_prompt import SoftPrompt
from prompt_lab.tuning.virtual import frequent_words, virtual_tokens

TINY = ("tiny-masked", "tiny-causal", "tiny-seq2seq")


def prompted(template: int | str = "mask", answer: Any = None, **how: Any) -> PromptTuning:
    return PromptTuning(template, answer, tuning=SoftPrompt(**how))


def vectors(template: int | str = "mask", backbone: str = "tiny-masked", seed: int = 0, **how: Any) -> Tensor:
    """[P, D] what a prompt begins as."""
    answer = how.pop("answer", None)
    module = Subject(lambda: prompted(template, answer, **how), backbone).built(seed)
    return virtual_tokens(module.backbone).vectors().detach()


def words(*given: str, backbone: str = "tiny-masked") -> Tensor:
    """[len(given), D] the embeddings of tokens."""
    loaded = load_backbone(backbone)
    ids = loaded.reader.tokenizer.convert_tokens_to_ids(list(given))
    assert loaded.reader.tokenizer.unk_token_id not in ids
    return loaded.embeddings().weight[ids].detach()


def said_by(vectors_PD: Tensor, backbone: str = "tiny-masked") -> list[str]:
    """The tokens whose very embeddings these are."""
    loaded = load_backbone(backbone)
    same_PV = (vectors_PD[:, None] == loaded.embeddings().weight[None]).all(-1)
    return loaded.reader.names(same_PV.int().argmax(1).tolist()) if same_PV.any(1).all() else []


class TestUntrained:
    @pytest.mark.parametrize("backbone", TINY)
    @pytest.mark.parametrize("template", [0, 2])
    def test_soft_words_answer_as_the_words_do(self, backbone: str, template: int) -> None:
        soft, hard = (Subject(lambda kind=kind: kind(template), backbone) for kind in (EmbeddingTuning, ZeroShot))
        found, expected = (s.scores(s.built(), s.examples()) for s in (soft, hard))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
        module = soft.built()
        virtual_tokens(module.backbone).vectors.weight.data.neg_()
        assert (soft.scores(module, soft.examples()) - expected).abs().max() > 0.01

    def test_a_prompt_in_front_is_that_of_peft(self) -> None:
        """``PromptTuning`` of peft with the same vectors, at the last token of each text."""
        subject = Subject(lambda: prompted(0, length=4, init="normal"), "tiny-causal")
        module = subject.built()
        config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
        other = peft.get_peft_model(load_backbone("tiny-causal").fresh().model, config).eval()
        other.prompt_encoder["default"].embedding.weight.data = virtual_tokens(module.backbone).vectors().detach()
        for example in subject.examples(3):
            batch = subject.batch(module, [example])  # alone, since the two pad on different sides
            with torch.inference_mode():
                found = module.backbone.slot_logits(batch)[0, 0, 0]
                expected = other(batch.input_ids[:, 4:], attention_mask=batch.attention_mask[:, 4:]).logits[0, -1]
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


class TestInit:
    @pytest.mark.parametrize("backbone", TINY)
    def test_vocabulary_is_words_drawn_by_the_seed(self, backbone: str) -> None:
        first, again, other = (said_by(vectors(length=20, backbone=backbone, seed=s), backbone) for s in (1, 1, 2))
        assert len(set(first)) == 20, "no word twice"
        assert first == again != other
        assert all(w.lstrip("Ġ").isalpha() for w in first)
        assert all(w.startswith("Ġ") == (backbone != "tiny-masked") for w in first), "no pieces of words"

    def test_the_most_frequent_words_stand_first_in_a_vocabulary(self) -> None:
        reader = load_reader("tiny-masked")
        found = frequent_words(reader, at_most=3)
        assert found == sorted(frequent_words(reader))[:3]
        assert len(found) == 3

    @pytest.mark.parametrize("init", ["normal", "uniform"])
    def test_numbers_with_the_spread_of_the_embeddings(self, init: Any) -> None:
        found = vectors(length=2000, init=init, seed=3)
        loaded = load_backbone("tiny-masked")
        spread = float(loaded.embeddings().weight[frequent_words(loaded.reader)].detach().std())
        assert float(found.std()) == pytest.approx(spread, rel=0.02)
        assert abs(float(found.mean())) < 0.02 * spread
        farthest = float(found.abs().max()) / spread
        assert farthest == pytest.approx(3**0.5, rel=0.01) if init == "uniform" else farthest > 3.5

    def test_text_over_and_over(self) -> None:
        assert torch.equal(vectors(length=5, init="text", text="it was"), words("it", "was", "it", "was", "it"))
        assert torch.equal(vectors(length=1, init="text", text="it was"), words("it"))

    def test_label_words_first(self) -> None:
        found = vectors(length=5, init="label_words")
        assert torch.equal(found[:2], words("terrible", "great"))
        rest = said_by(found[2:])
        assert len(set(rest)) == 3
        assert torch.equal(vectors(length=1, init="label_words"), words("terrible"))

    def test_a_label_word_of_several_tokens_is_their_mean(self) -> None:
        answer = Words({"negative": ["it was"], "positive": ["great"]})
        found = vectors(length=2, init="label_words", answer=answer)
        torch.testing.assert_close(found, torch.stack([words("it", "was").mean(0), words("great")[0]]))

    def test_unused_tokens_in_their_order(self) -> None:
        """Tokenizers list their vocabulary in another order in every process."""
        vocab = load_reader("tiny-masked").tokenizer.get_vocab()
        unused = [f"[unused{i}]" for i in range(40)]
        tokenizer = hf.BertTokenizer(vocab=vocab | {t: len(vocab) + i for i, t in enumerate(unused)})
        config = hf.BertConfig(
            vocab_size=len(vocab) + 40, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=37
        )
        backbone = Backbone(hf.BertForMaskedLM(config), MaskedReader(tokenizer, config, "unused"))
        module = prompted(length=42, init="unused").prepare(load_task(TOY), backbone.reader).build(backbone)
        found = virtual_tokens(module.backbone).vectors().detach()
        assert torch.equal(found, backbone.embeddings().weight[[len(vocab) + i % 40 for i in range(42)]])

    def test_words_of_the_template_are_words_whatever_init_says(self) -> None:
        found = vectors("{soft:It was}{text_a} {soft:2} {soft:great} {mask}", length=1, init="normal")
        assert torch.equal(found[[1, 2, 5]], words("it", "was", "great"))
        assert said_by(found[[0, 3, 4]]) == []


class TestRefused:
    @pytest.mark.parametrize(
        ("how", "says"),
        [
            ({"length": -1}, "length is the number of virtual tokens.*it was -1 with place: front"),
            ({"length": 3, "place": "words"}, "0 where they take the place of words; it was 3 with place: words"),
            ({"length": 3, "init": "text"}, "init: text needs a text to begin as.*text was None"),
            ({"length": 3, "text": "It was"}, "no other init takes one; text was 'It was'"),
        ],
    )
    def test_settings(self, how: dict[str, Any], says: str) -> None:
        with pytest.raises(LabError, match=says):
            SoftPrompt(**how)

    @pytest.mark.parametrize(
        ("module", "says"),
        [
            (prompted(0), r"template '\{text_a\} It was \{mask\}.' has none. Set length, or write \{soft\}"),
            (
                prompted("mask", place="words"),
                "has none of its own .punctuation stays as it is.. Choose another pattern",
            ),
            (
                PatternTuning("{soft}{text_a} {mask}"),
                "has virtual tokens, and Full trains none. Use the tuning SoftPrompt",
            ),
            (ZeroShot("{soft}{text_a} {mask}"), "has virtual tokens, and Frozen trains none"),
            (prompted(length=2, init="unused"), r"init: unused needs the \[unused\] tokens.*'tiny-masked' has none"),
            (prompted("none", Head(), length=2, init="label_words"), "the answer Head has none"),
            (prompted(length=2, init="text", text="☃"), "the word '☃' vanishes"),
        ],
    )
    def test_before_anything_is_loaded(self, module: Paradigm, says: str) -> None:
        with pytest.raises(LabError, match=says):
            module.prepare(load_task(TOY), load_reader("tiny-masked"))

    def test_a_second_prompt_on_one_backbone(self) -> None:
        module = Subject(lambda: prompted(length=2)).built()
        with pytest.raises(LabError, match="has virtual tokens already"):
            module.tuning.add(module.backbone)

    def test_a_prompt_without_a_template(self) -> None:
        with pytest.raises(LabError, match="belongs to a template with virtual tokens"):
            SoftPrompt(length=2).apply(load_backbone("tiny-masked").fresh())
