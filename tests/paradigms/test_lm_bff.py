"""LM-BFF: the answers beside several sets combined, what it refuses, what it counts, and that it learns by what it is shown."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prompt_lab.answers.head import Head
from prompt_lab.answers.words import Words
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.encoded import collate
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.demonstrations import Demonstrations
from prompt_lab.errors import LabError
from prompt_lab.paradigms.lm_bff import LmBff
from prompt_lab.tasks import load_task
from prompt_lab.testing.subject import TOY
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.lora import Lora

import runs
from samples import reader, task

TINY = ("tiny-masked", "tiny-causal", "tiny-seq2seq")
SEVERAL = {"negative": ["terrible film", "poor"], "positive": {"rich": 1.0, "a great film": 2.0, "good film": 2.0}}
TEXTS = ["the film is dull", "the music is bright and so on", "story"]


def shown(select: Any = "random", **how: Any) -> Demonstrations:
    return Demonstrations(select, **how)


def built(backbone: str = "tiny-masked", **how: Any) -> LmBff:
    loaded = load_backbone(backbone)
    return LmBff(**how).prepare(load_task(TOY), loaded.reader).build(loaded.fresh()).eval()


def data(k: Any = 4, **how: Any) -> FewShotData:
    return FewShotData(TOY, k=k, max_length=64, **how)


def batch(module: LmBff, of: FewShotData | None = None) -> Encoded:
    examples = [Example({"text_a": t}) for t in TEXTS]
    return collate(module.encoder(of or data()).encode(examples), module.reader)


@torch.no_grad()
def each_set(module: LmBff) -> Tensor:
    """Log-probabilities [S, B, C], each row set encoded and read on its own, one text at a time."""
    encoded = module.encoder(data()).encode([Example({"text_a": t}) for t in TEXTS])
    width = len(module.answer.plan.rows)
    sets = len(encoded[0].rows) // width

    def alone(one: Any, number: int) -> Tensor:
        from dataclasses import replace

        rows = tuple(one.rows[number * width : (number + 1) * width])
        return module.answer(module.backbone, collate([replace(one, rows=rows)], module.reader)).log_softmax(-1)

    return torch.stack([torch.cat([alone(one, number) for one in encoded]) for number in range(sets)])


class TestCombining:
    @pytest.mark.parametrize("backbone", TINY)
    @pytest.mark.parametrize("words", [None, SEVERAL], ids=["single", "several"])
    def test_the_mean_over_sets_of_log_probabilities(self, backbone: str, words: Any) -> None:
        module = built(backbone, answer=Words(words), demonstrations=shown(sets=5))
        logp_SBC = each_set(module)
        assert logp_SBC.shape == (5, 3, 2)
        assert (logp_SBC.std(0) > 1e-3).any(), "demonstrations make a difference"
        with torch.no_grad():
            found = module(batch(module)).log_softmax(-1)
        assert torch.allclose(found, logp_SBC.mean(0).log_softmax(-1), atol=1e-4)

    def test_the_mean_of_probabilities(self) -> None:
        module = built(demonstrations=shown(sets=3), combine="probabilities")
        with torch.no_grad():
            found = module(batch(module)).softmax(-1)
        assert torch.allclose(found, each_set(module).exp().mean(0), atol=1e-5)

    def test_by_hand(self) -> None:
        """Two sets that say 0.9 and 0.5 for the second label: the geometric mean is 3 to 1, the arithmetic 7 to 3."""

        class Says(Words):
            def forward(self, backbone: Any, batch: Encoded) -> Tensor:
                first = batch.input_ids.view(1, -1)[0, 0] == 1
                return torch.tensor([[0.1, 0.9]] if first else [[0.5, 0.5]]).log()

        two = Encoded(torch.tensor([[1, 5], [2, 5]]), torch.ones(2, 2), torch.zeros(1, 2, 1, dtype=torch.long),
                      torch.tensor([0]), torch.tensor([0]))  # fmt: skip
        for how, expected in (("log_probabilities", 3 / 4), ("probabilities", 7 / 10)):
            module = built(answer=Says(), combine=how)
            assert module(two).softmax(-1)[0, 1].item() == pytest.approx(expected, abs=1e-5)


class TestTraining:
    def test_a_batch_of_training_shows_one_set_drawn_anew_in_each_pass(self, tmp_path: Path) -> None:
        seen: list[tuple[int, list[int]]] = []

        class Watched(LmBff):
            def training_step(self, batch: Encoded, batch_idx: int) -> Tensor:
                assert batch.slots.shape[1] == 1
                seen.extend(zip(batch.index.tolist(), batch.input_ids.tolist(), strict=True))
                return super().training_step(batch, batch_idx)

            def validation_step(self, batch: Encoded, batch_idx: int) -> None:
                assert batch.slots.shape[1] == 3
                super().validation_step(batch, batch_idx)

        module = Watched(demonstrations=shown(sets=3))
        runs.execute(runs.of(module, data(), tmp_path, max_steps=6), runs.Bars())
        rows = [{tuple(ids) for index, ids in seen if index == number} for number in range(8)]
        assert len(seen) == 6 * 8
        assert all(len(r) > 1 for r in rows), "every example is seen beside others"

    @pytest.mark.parametrize("backbone", TINY)
    def test_words_of_several_tokens_and_another_tuning(self, backbone: str, tmp_path: Path) -> None:
        module = LmBff(1 if backbone != "tiny-causal" else 2, Words(SEVERAL), Lora(), shown(sets=2))
        of = runs.of(module, data(k=2), tmp_path, run={})
        of.run.backbone = backbone
        record = runs.execute(of, runs.Bars())
        assert record["strategy"] == "fixed-prompt LM tuning"
        assert record["scores"]["test/acc"] >= 0

    def test_the_heaviest_word_says_the_label(self) -> None:
        """The first of equals; where all weigh the same the first of all."""
        module = built(answer=Words(SEVERAL))
        assert module.solved.words == ("terrible film", "a great film")
        text = module.reader.tokenizer.decode(batch(module).input_ids[0])
        assert "it was terrible film." in text.replace(" .", ".")
        assert "it was a great film." in text.replace(" .", ".")


class TestFrozen:
    def test_nothing_is_trained_and_what_is_shown_is_counted(self, tmp_path: Path) -> None:
        module = LmBff(tuning=Frozen(), demonstrations=shown(sets=2, seed=5))
        before = [p.clone() for p in built().parameters()]
        record = runs.execute(runs.of(module, data(), tmp_path), runs.Bars())
        assert record["strategy"] == "tuning-free prompting"
        assert record["cost"]["trained_parameters"] == record["cost"]["steps"] == 0
        assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
        assert record["budget"]["demonstrations"] == 8
        told = {"select": "random", "sets": 2, "max_length": 64, "seed": 5}
        assert record["method"] == {"demonstrations": told, "combine": "log_probabilities"}

    def test_similar_ones_say_by_what(self) -> None:
        told = built(demonstrations=Demonstrations()).facts()["demonstrations"]
        assert told == {
            "select": "similar", "share": 0.5, "sets": 16, "max_length": 64, "embedder": "minilm", "seed": None
        }  # fmt: skip

    def test_the_splits_seed_draws_unless_another_is_given(self) -> None:
        def read(of: FewShotData, seed: int | None) -> list[list[int]]:
            return batch(built(demonstrations=shown(sets=4, seed=seed)), of).input_ids.tolist()

        one = data(seed=13)
        assert read(one, None) == read(one, 13) != read(one, 21)


class TestRefused:
    def test_an_answer_without_words(self, tmp_path: Path) -> None:
        with pytest.raises(LabError, match=r"the answer Head has no words for labels\. Use the answer Words"):
            LmBff(answer=Head()).prepare(load_task(TOY), load_backbone("tiny-masked").reader)

    def test_nothing_to_show_before_any_model_is_loaded(self, tmp_path: Path) -> None:
        with pytest.raises(LabError, match=r"there is none to show\. Use --data\.k 1 or more"):
            runs.of(LmBff(), data(k=0), tmp_path).check()

    def test_rows_that_are_too_long_before_any_model_is_loaded(self, tmp_path: Path) -> None:
        long = LmBff(demonstrations=shown(max_length=97))
        with pytest.raises(
            LabError, match=r"may need 258 tokens, but 'tiny-masked' reads 256\. Lower --model\.demon.* to 96 or"
        ):
            runs.of(long, data(), tmp_path).check()

    def test_a_pattern_longer_than_a_demonstration_before_any_model_is_loaded(self, tmp_path: Path) -> None:
        with pytest.raises(LabError, match=r"demonstrations\.max_length is 4, too few tokens"):
            runs.of(LmBff(demonstrations=shown(max_length=4)), data(), tmp_path).check()

    def test_wrong_settings_are_told_as_such(self, tmp_path: Path) -> None:
        def made(**of: Any) -> Any:
            return runs.experiment(tmp_path, {"model": {"class_path": "LmBff", "init_args": {"demonstrations": of}}})

        assert made(select="random", sets=3).paradigm.demonstrations == shown(sets=3)
        assert made().paradigm.demonstrations == Demonstrations()
        for wrong, says in (
            ({"share": 2.0}, "demonstrations.share"),
            ({"select": "near"}, "near"),
            ({"set": 3}, "set"),
        ):
            with pytest.raises(LabError, match=says):
                made(**wrong)


def test_word_of() -> None:
    answer = Words({"no": ["bad", "terrible"], "yes": {"good": 1.0, "great": 3.0, "film": 3.0}})
    from prompt_lab.templates import Template

    answer.build(task("no", "yes"), reader("bert"), Template("{text_a} {mask}", ("text_a",)))
    assert [answer.word_of(0), answer.word_of(1)] == ["bad", "great"]
    assert Head().word_of(0) is None
