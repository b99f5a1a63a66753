"""AdaLoRA: W + P diag(lambda) Q, a penalty that keeps P and Q orthogonal, and ranks that are taken away as peft takes them."""

import warnings
from types import SimpleNamespace
from typing import Any

import peft
import pytest
import torch
from test_soft_prompt_runs import metrics
from tuned import drawn, gap, moving, numbers, plainly, same, says, tuned, without_gradient

from prompt_lab.errors import LabError
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.ada_lora import AdaLora
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.mixture import Mixture

from test_backbones import architectures, batch, made

LAYERS = 12
"""Linear layers of a tiny masked backbone, and of the encoder of a tiny seq2seq one: six in each of two."""
BUDGET = [48, 48, 40, 34, 29, 27, 25, 24, 24, 24, *[24] * 10]
"""Ranks after each of 20 steps, from 4 a layer to 2: 2 steps of warm-up, then 24 + 24 (1 - (step - 2) / 8)^3 until step 10."""


def ranks(module: Any) -> int:
    """How many are not zero."""
    return sum(module.tuning.facts(module.backbone)["ranks"].values())


class Ranked(PatternTuning):
    """Remembers its ranks after every step."""

    def on_train_batch_end(self, *_: Any) -> None:
        self.__dict__.setdefault("ranks", []).append(ranks(self))


class RankedHead(FineTuning):
    """Remembers its ranks after every step."""

    on_train_batch_end = Ranked.on_train_batch_end


class TestAtFirst:
    @architectures
    def test_nothing_changes(self, name: str) -> None:
        backbone = tuned(AdaLora(rank=2, first_rank=3), name)
        same(says(backbone, name), plainly(name))
        drawn(backbone)
        assert gap(says(backbone, name), plainly(name)) > 0.01
        assert without_gradient(backbone, name) == []

    def test_by_hand(self) -> None:
        """Equation 3, with alpha / first_rank before it."""
        place = "bert.encoder.layer.0.intermediate.dense"
        backbone = drawn(tuned(AdaLora(rank=2, first_rank=4, alpha=6, targets=[place]), "bert"))
        layer: Any = backbone.model.get_submodule(place)
        p, q, values = (getattr(layer, f"lora_{n}")["ada_lora"] for n in "BAE")
        assert (p.shape, q.shape, values.shape) == ((37, 4), (4, 32), (4, 1))
        assert numbers(backbone) == 37 * 4 + 4 * 32 + 4
        x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
        plain = made("bert").model.get_submodule(place)
        expected = plain(x) + 6 / 4 * x @ (p @ values.flatten().diag() @ q).T
        torch.testing.assert_close(layer(x), expected, atol=1e-4, rtol=1e-4)


class TestPenalty:
    def test_by_hand(self) -> None:
        """P = 0, so |P^T P - 1| = sqrt 2; the rows of Q are twice unit vectors, so |4 - 1| = 3 sqrt 2; their mean is 2 sqrt 2."""
        tuning = AdaLora(rank=1, first_rank=2, targets=["0.attention.self.query"], orthogonality=0.1)
        backbone = tuned(tuning, "bert")
        values = {n.split(".")[-2]: p for n, p in moving(backbone).items()}
        values["lora_B"].data.zero_()
        values["lora_A"].data.zero_()
        values["lora_A"].data[0, 3] = values["lora_A"].data[1, 7] = 2.0
        assert tuning.penalty(backbone).item() == pytest.approx(0.1 * 2 * 2**0.5)
        values["lora_B"].data[4, 0] = values["lora_B"].data[5, 1] = 1.0
        assert tuning.penalty(backbone).item() == pytest.approx(0.1 * 1.5 * 2**0.5), "P is orthogonal now"
        values["lora_A"].data /= 2
        assert tuning.penalty(backbone).item() == 0

    def test_is_pefts_own(self) -> None:
        """What peft adds to the loss of a model that it has wrapped as a whole."""
        tuning = AdaLora(rank=1, first_rank=2, orthogonality=0.3)
        backbone = drawn(tuned(tuning, "bert"))
        model, other = theirs(backbone, "bert", orth_reg_weight=0.3)
        reads, labels = batch("bert"), torch.ones(2, 7, dtype=torch.long)
        given = {"input_ids": reads.input_ids, "attention_mask": reads.attention_mask, "labels": labels}
        with torch.no_grad():
            difference = model.base_model(**given).loss - other.model(**given).loss
        assert tuning.penalty(backbone).item() == pytest.approx(float(difference), rel=1e-4)

    def test_is_added_to_the_loss_of_a_training_step(self) -> None:
        subject = Subject(lambda: PatternTuning(tuning=AdaLora(orthogonality=0.7)))
        module = subject.built()
        reads = subject.batch(module, subject.examples())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there is no trainer to log to
            added = module.training_step(reads, 0) - module.loss(module(reads), reads)
        assert float(added) == pytest.approx(module.tuning.penalty(module.backbone).item(), rel=1e-4)
        assert float(added) > 0.1


def theirs(backbone: Any, name: str, **how: Any) -> tuple[Any, Any]:
    """A model that peft has wrapped as a whole, with the same matrices, and the backbone around it."""
    own: Any = backbone.model.peft_config["ada_lora"]
    other = made(name).fresh()
    config = peft.AdaLoraConfig(
        target_r=own.target_r, init_r=own.init_r, lora_alpha=own.lora_alpha, target_modules=own.target_modules,
        fan_in_fan_out=own.fan_in_fan_out, **{"total_step": 20, **how},
    )  # fmt: skip
    model = peft.get_peft_model(other.model, config).eval()
    values = dict(other.model.named_parameters())
    for place, value in backbone.model.named_parameters():
        values[place.replace(".ada_lora", ".default")].data.copy_(value)
    return model, other


class TestAllocation:
    @pytest.mark.parametrize("name", ["bert", "gpt2"])
    @pytest.mark.parametrize("every", [1, 3])
    def test_steps_are_those_that_peft_takes(self, name: str, every: int) -> None:
        tuning = AdaLora(rank=2, first_rank=4, every=every)
        backbone = tuned(tuning, name)
        model, other = theirs(backbone, name, tinit=2, tfinal=10, deltaT=every)
        (allocation,) = tuning.callbacks(backbone)
        trainer: Any = SimpleNamespace(estimated_stepping_batches=20, global_step=0)
        allocation.on_train_start(trainer, None)
        optimizers = [torch.optim.AdamW(moving(b).values(), lr=0.05) for b in (backbone, other)]
        for step in range(1, 21):
            for each, optimizer in zip((backbone, other), optimizers, strict=True):
                optimizer.zero_grad()
                each.slot_logits(batch(name))[:, :, 0, 5].sum().backward()
                optimizer.step()
            trainer.global_step = step
            allocation.on_train_batch_end(trainer)
            model.base_model.update_and_allocate(step)
            own, expected = ({n: p for n, p in moving(b).items() if ".lora_E." in n} for b in (backbone, other))
            for place, value in own.items():
                torch.testing.assert_close(value, expected[place.replace(".ada_lora", ".default")])
        assert sum(tuning.facts(backbone)["ranks"].values()) == 2 * len(own)

    def test_waits_until_gradients_are_gathered(self) -> None:
        """Two batches for one step: after the first, nothing is weighed or taken away."""
        found: dict[bool, list[Any]] = {True: [], False: []}
        for is_told in found:
            tuning = AdaLora(rank=1, first_rank=4, warmup=0.0)
            backbone = drawn(tuned(tuning, "bert"))
            (allocation,) = tuning.callbacks(backbone)
            trainer: Any = SimpleNamespace(estimated_stepping_batches=8, global_step=0)
            allocation.on_train_start(trainer, None)
            for half, word in enumerate([5, 9, 17, 23, 5, 41, 33, 9]):
                backbone.slot_logits(batch("bert"))[:, :, 0, word].sum().backward()
                trainer.global_step = (half + 1) // 2
                if is_told or half % 2:
                    allocation.on_train_batch_end(trainer)
                found[is_told].append(sum(tuning.facts(backbone)["ranks"].values()))
            found[is_told].append([p.tolist() for n, p in moving(backbone).items() if ".lora_E." in n])
        left = [48, *[12 + 36 * 27 // 64] * 2, *[12 + 36 // 8] * 2, *[12 + 36 // 64] * 2, 12]
        assert found[True][:-1] == left, "the share that is left of 36 is (3/4)^3, (2/4)^3, (1/4)^3 and none"
        assert found[True] == found[False]

    def test_ranks_that_stay_need_no_callback(self) -> None:
        assert AdaLora(rank=3, first_rank=3).callbacks(made("bert")) == []


class TestRuns:
    def test_ranks_fall_to_what_was_asked_for(self) -> None:
        finished = Subject(lambda: Ranked(tuning=AdaLora(rank=2, first_rank=4))).run_anew(
            max_steps=20, check_val_every_n_epoch=20
        )
        module: Any = finished.module
        assert module.ranks == BUDGET
        said = finished.record["method"]["ranks"]
        assert sum(said.values()) == 2 * LAYERS == ranks(module)
        assert len(said) == LAYERS
        assert "bert.encoder.layer.0.attention.self.query" in said
        assert len(set(said.values())) > 1, "they went where they matter"
        kept = {n: p for n, p in moving(module.backbone.model).items() if ".lora_E." in n}
        assert said == {n.partition(".lora_E")[0]: int(p.count_nonzero()) for n, p in kept.items()}
        assert min(metrics(finished.metrics, "train/loss")) > 0

    def test_a_decoder_that_is_not_read_is_left_out(self) -> None:
        finished = Subject(lambda: RankedHead(tuning=AdaLora(rank=2, first_rank=4)), "tiny-seq2seq").run_anew(
            max_steps=20, check_val_every_n_epoch=20
        )
        module: Any = finished.module
        assert module.ranks == BUDGET
        said = finished.record["method"]["ranks"]
        assert sum(said.values()) == 2 * LAYERS
        assert len(said) == LAYERS
        assert not any("decoder" in n for n in said)

    def test_too_few_steps_keep_all(self) -> None:
        """Of two steps one is the cooldown, and after the other nothing could have been weighed."""
        finished = Subject(lambda: Ranked(tuning=AdaLora(rank=2, first_rank=4))).run_anew(max_steps=2)
        module: Any = finished.module
        assert module.ranks == [4 * LAYERS] * 2
        assert set(finished.record["method"]["ranks"].values()) == {4}


class TestRefused:
    @pytest.mark.parametrize(("rank", "first_rank"), [(0, 4), (5, 4), (-1, 4)])
    def test_ranks(self, rank: int, first_rank: int) -> None:
        with pytest.raises(LabError, match=f"at most first_rank; they were {rank} and {first_rank}"):
            AdaLora(rank=rank, first_rank=first_rank)

    @pytest.mark.parametrize(("warmup", "cooldown"), [(-0.1, 0.5), (0.1, -0.5), (0.5, 0.5), (0.9, 0.2)])
    def test_fractions(self, warmup: float, cooldown: float) -> None:
        with pytest.raises(LabError, match=f"leave some between them; they were {warmup} and {cooldown}"):
            AdaLora(warmup=warmup, cooldown=cooldown)

    @pytest.mark.parametrize(("every", "alpha"), [(0, 16.0), (1, 0.0), (1, -2.0)])
    def test_every_and_alpha(self, every: int, alpha: float) -> None:
        with pytest.raises(LabError, match=f"they were every={every} and alpha={alpha}"):
            AdaLora(every=every, alpha=alpha)

    def test_twice(self) -> None:
        with pytest.raises(LabError, match="has 'ada_lora' already"):
            tuned(Mixture([AdaLora(), AdaLora()]), "bert")

    @pytest.mark.parametrize("lora_first", [True, False])
    def test_beside_lora_works_or_is_refused(self, lora_first: bool) -> None:
        parts = [Lora(rank=2), AdaLora(rank=2, first_rank=3)]
        try:
            backbone = tuned(Mixture(parts if lora_first else parts[::-1]), "bert")
        except LabError:
            return
        assert without_gradient(drawn(backbone), "bert") == []
