"""Many tunings at once: the order in which they are put in, a rate for each, and nothing that moves without a gradient."""

from typing import Any

import pytest
from test_bit_fit import BIASLESS
from tuned import drawn, gap, moving, plainly, same, says, tuned, without_gradient

from prompt_lab.errors import LabError
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.ada_lora import AdaLora
from prompt_lab.tuning.adapter import Adapter
from prompt_lab.tuning.bit_fit import BitFit
from prompt_lab.tuning.deep_prompt import DeepPrompt
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.full import Full
from prompt_lab.tuning.ia3 import Ia3
from prompt_lab.tuning.layer_norm import LayerNorm
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.mixture import Mixture
from prompt_lab.tuning.soft_prompt import SoftPrompt

from test_backbones import architectures, made

FIVE = (Lora, Ia3, LayerNorm, BitFit, Adapter)
KINDS = ("tiny-masked", "tiny-causal", "tiny-seq2seq")


def five(name: str = "bert", *, backwards: bool = False) -> Mixture:
    """All five, or four where there are no biases, with rates 1, 2, ... in this order."""
    kinds = [k for k in FIVE if not (k is BitFit and name in (*BIASLESS, "tiny-seq2seq"))]
    parts: list[Tuning] = [kind(learning_rate=float(i)) for i, kind in enumerate(kinds, 1)]
    return Mixture(parts[::-1] if backwards else parts)


def what(name: str) -> str:
    """Whose a parameter is, by its name."""
    marks = {"lora_": "Lora", "ia3_l": "Ia3", "ln_tuning": "LayerNorm", "adapters": "Adapter", ".bias": "BitFit"}
    return next(v for mark, v in marks.items() if mark in name)


class TestOrder:
    def test_what_replaces_layers_is_put_in_first_and_prompts_last(self) -> None:
        given = [SoftPrompt(length=1), BitFit(), Adapter(), LayerNorm(), Lora()]
        order = [type(t).__name__ for t in Mixture(given).tunings]
        assert order == ["LayerNorm", "Lora", "BitFit", "Adapter", "SoftPrompt"]

    def test_is_kept_among_equals(self) -> None:
        assert [type(t) for t in Mixture([Ia3(), Lora()]).tunings] == [Ia3, Lora]
        assert [type(t) for t in Mixture([Lora(), Ia3()]).tunings] == [Lora, Ia3]

    def test_the_answer_goes_by_the_first_that_was_given(self) -> None:
        found = Mixture([Adapter(learning_rate=0.5, weight_decay=0.25), Lora(learning_rate=0.125, weight_decay=0.0)])
        assert (found.learning_rate, found.weight_decay) == (0.5, 0.25)

    @pytest.mark.parametrize("backwards", [True, False])
    def test_matters_not_for_what_is_said_at_first_and_moves(self, backwards: bool) -> None:
        found = {what(n) for n in moving(tuned(five(backwards=backwards), "bert"))}
        assert found == {k.__name__ for k in FIVE}


class TestAllTogether:
    def test_what_moved_before_peft_came_moves_still(self) -> None:
        """Whatever peft freezes of what is not its own."""
        for parts in ([Ia3(), Lora()], [Lora(), Ia3()], [LayerNorm(), Lora(dora=True)], [Full(), Lora()]):
            alone = sum(len(moving(tuned(t, "bert"))) for t in parts)
            assert len(moving(tuned(Mixture(list(parts)), "bert"))) == alone

    @architectures
    @pytest.mark.parametrize("backwards", [True, False])
    def test_on_every_architecture(self, name: str, backwards: bool) -> None:
        backbone = tuned(five(name, backwards=backwards), name)
        same(says(backbone, name), plainly(name))
        drawn(backbone, spread=0.1)
        assert gap(says(backbone, name), plainly(name)) > 0.01
        assert without_gradient(backbone, name) == []

    @pytest.mark.parametrize("backwards", [True, False])
    @pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
    def test_each_has_its_own_rate(self, name: str, backwards: bool) -> None:
        """Every parameter that moves is in one group, with the rate of whose it is."""
        tuning = five(name, backwards=backwards)
        backbone = tuned(tuning, name)
        rates = {id(p): g["lr"] for g in tuning.groups(backbone) for p in g["params"]}
        assert len(rates) == sum(len(g["params"]) for g in tuning.groups(backbone)) == len(moving(backbone))
        found = {(what(n), rates[id(p)]) for n, p in moving(backbone).items()}
        assert found == {(type(t).__name__, t.learning_rate) for t in tuning.tunings}

    def test_decay_is_of_matrices_alone(self) -> None:
        parts: list[Tuning] = [Lora(weight_decay=0.5), Adapter(weight_decay=0.25), LayerNorm(weight_decay=0.125)]
        tuning = Mixture(parts)
        backbone = tuned(tuning, "bert")
        names = {id(p): n for n, p in moving(backbone).items()}
        groups = [(what(names[id(p)]), p.ndim, g["weight_decay"]) for g in tuning.groups(backbone) for p in g["params"]]
        assert set(groups) == {("Lora", 2, 0.5), ("Adapter", 2, 0.25), ("Adapter", 1, 0.0), ("LayerNorm", 1, 0.0)}

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_run_moves_all_of_them(self, kind: str) -> None:
        def parts() -> list[Tuning]:
            rates: dict[str, Any] = {"learning_rate": 0.01}
            more: list[Tuning] = [] if kind == "tiny-seq2seq" else [BitFit(**rates)]
            return [*more, Adapter(**rates), DeepPrompt(2, **rates), Ia3(**rates), LayerNorm(**rates), Lora(**rates)]

        subject = Subject(lambda: PatternTuning(tuning=Mixture(parts()), warmup=0.0), kind)
        before = {n: p.detach().clone() for n, p in moving(subject.built(seed=13)).items()}
        finished = subject.run(max_steps=3)
        after = moving(finished.module)
        assert after.keys() == before.keys()
        assert [n for n, p in after.items() if bool((p == before[n]).all())] == []
        assert finished.record["cost"]["trained_parameters"] == sum(p.numel() for p in after.values())
        assert finished.record["strategy"] == "prompt+LM tuning"


class TestWhatTheyAdd:
    def test_nothing(self) -> None:
        tuning = Mixture([Lora(), Frozen()])
        assert tuning.penalty(made("bert")) == 0
        assert tuning.callbacks(made("bert")) == []
        assert tuning.facts(made("bert")) == {}

    def test_penalties_are_added(self) -> None:
        ada = AdaLora(rank=1, first_rank=2, orthogonality=0.3)
        tuning = Mixture([Adapter(), ada])
        backbone = tuned(tuning, "bert")
        found = float(tuning.penalty(backbone))
        assert found == float(ada.penalty(backbone)) > 0.01
        assert len(tuning.facts(backbone)["ranks"]) == len(ada.facts(backbone)["ranks"]) == 12

    def test_gates_of_several_stand_side_by_side(self) -> None:
        tuning = Mixture([Lora(targets=["query"], gated=True), Adapter("pfeiffer", gated=True)])
        backbone = tuned(tuning, "bert")
        found = tuning.facts(backbone)["gates"]
        assert {k: len(v) for k, v in found.items()} == {"lora": 2, "pfeiffer_adapters": 2}
        assert len(tuning.callbacks(backbone)) == 2

    def test_the_same_twice_is_refused(self) -> None:
        with pytest.raises(LabError, match="has 'lora' already; list that tuning once in a Mixture"):
            tuned(Mixture([Lora(rank=2), Lora(rank=4)]), "bert")
