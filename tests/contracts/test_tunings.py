"""Every tuning that is discovered, on every kind of backbone, with a classification head and under a cloze."""

from collections.abc import Callable
from functools import cache

import pytest
import torch

from prompt_lab import discovery
from prompt_lab.backbones.load import load_backbone
from prompt_lab.errors import LabError
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.testing import tunings
from prompt_lab.testing.checks import checks, trains
from prompt_lab.testing.subject import Subject
from prompt_lab.testing.tunings import CLAUSES, KINDS
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.adapter import Adapter
from prompt_lab.tuning.lora import Lora
from prompt_lab.tuning.mixture import Mixture
from prompt_lab.tuning.soft_prompt import SoftPrompt

NEEDS_SETTINGS: dict[str, Callable[[], Tuning]] = {
    "mixture": lambda: Mixture([Adapter(), Lora()]),
    "soft_prompt": lambda: SoftPrompt(length=3),
}
TUNINGS = tuple(discovery.entries("tuning"))
REFUSED = {("bit_fit", "tiny-seq2seq"): "T5 have none at all"}
"""T5 has no biases."""


@cache
def subject(name: str, kind: str, under: str) -> Subject:
    make = NEEDS_SETTINGS.get(name) or discovery.find("tuning", name)
    return tunings.subject(make, kind, under)


PAIRS = [(name, kind) for name in TUNINGS for kind in KINDS if (name, kind) not in REFUSED]
CASES = [(*pair, under, clause) for pair in PAIRS for under, clauses in CLAUSES.items() for clause in clauses]


def test_no_tuning_is_lost() -> None:
    assert len(TUNINGS) >= 13
    assert set(NEEDS_SETTINGS) < set(TUNINGS)
    assert {clause for clauses in CLAUSES.values() for clause in clauses} < set(checks())


@pytest.mark.parametrize(("name", "kind", "under", "clause"), CASES)
def test_contract(name: str, kind: str, under: str, clause: str) -> None:
    found = subject(name, kind, under)
    if trains(found.built()):
        checks()[clause](found)
    else:
        assert (name, under) == ("frozen", "cloze"), "only a frozen model that is asked has nothing to train"


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_nothing_changes_before_the_first_step_but_by_a_prompt(name: str, kind: str) -> None:
    found = subject(name, kind, "cloze")
    module, examples = found.built(), found.examples()
    plain = Subject(lambda: PatternTuning(), kind)
    difference = (found.scores(module, examples) - plain.scores(plain.built(), examples)).abs().max()
    assert (difference > 1e-6) == module.tuning.moves_prompt


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_gradient_reaches_all_that_moves(name: str, kind: str) -> None:
    found = subject(name, kind, "cloze")
    module = found.built()
    for parameter in module.parameters():  # away from where it begins: half of LoRA's matrices have no gradient there
        if parameter.requires_grad:
            parameter.data += 0.02 * torch.randn_like(parameter)
    loss = module.loss(module(found.batch(module, found.examples())), found.batch(module, found.examples()))
    (loss + module.tuning.penalty(module.backbone)).backward() if trains(module) else None
    for path, parameter in module.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, path


@pytest.mark.parametrize(("pair", "reason"), REFUSED.items())
def test_what_a_backbone_does_not_have_is_refused(pair: tuple[str, str], reason: str) -> None:
    with pytest.raises(LabError, match=reason):
        discovery.find("tuning", pair[0])().apply(load_backbone(pair[1]).fresh())
