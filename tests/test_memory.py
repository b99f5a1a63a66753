"""What frozen layers make of a text is computed once, and never used where anything that it depends on has changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prompt_lab.answers.head import Head
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.layers import layers_of
from prompt_lab.backbones.memory import Memory
from prompt_lab.batch import Encoded
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.progress import Bars
from prompt_lab.running import execute
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.deep_prompt import DeepPrompt
from prompt_lab.tuning.frozen import Frozen
from prompt_lab.tuning.last_layers import LastLayers
from prompt_lab.tuning.soft_prompt import SoftPrompt

import runs
from test_backbones import CAUSAL, MASKED, batch, close, made

KINDS = ("tiny-masked", "tiny-causal")
MAKES: dict[str, Callable[[], Paradigm]] = {
    "head": lambda: FineTuning(tuning=Frozen(learning_rate=0.1), answer=Head(dropout=0.0)),
    "last_layer": lambda: PatternTuning(tuning=LastLayers(1, dropout=False)),
    "last_layer_under_a_head": lambda: FineTuning(tuning=LastLayers(1, dropout=False)),
    "deep_prompt_in_the_last_layer": lambda: PatternTuning(tuning=DeepPrompt(length=2, layers="2")),
}


def layers(backbone: Backbone) -> nn.ModuleList:
    return layers_of(backbone.stacks()[0])


class Counted:
    """How often the first layer of a backbone is computed."""

    def __init__(self, backbone: Backbone) -> None:
        self.number = 0
        query = next(m for m in layers(backbone)[0].modules() if isinstance(m, nn.LayerNorm))
        query.register_forward_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.number += 1


@pytest.fixture(params=KINDS)
def read(request: pytest.FixtureRequest) -> tuple[Paradigm, Callable[..., Encoded]]:
    """A paradigm whose last layer is trained, and how it reads some of the examples."""
    subject = Subject(MAKES["last_layer"], request.param)
    module, examples = subject.built(), subject.examples()
    return module, lambda *which: subject.batch(module, [examples[i] for i in which or range(len(examples))])


def gap(one: Tensor, other: Tensor) -> float:
    return float((one - other).detach().abs().max())


# ------------------------------------------------------------------------------------------------- the same, computed once


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_with_a_memory_is_the_run_without(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for limit in (2**20, 0):
        monkeypatch.setattr(Backbone, "memory", property(lambda self, limit=limit: remembering(self, limit)))
        one = runs.of(MAKES[name](), Subject(MAKES[name], kind).data(), tmp_path / str(limit), max_steps=6)
        one.run.backbone = kind
        execute(one, Bars())
        found.append(
            (one, torch.tensor([r["log_probabilities"] for r in runs.lines(one.folder / "predictions.jsonl")]))
        )
    (first, says), (second, should_say) = found
    assert gap(says, should_say) < 1e-5
    assert first.paradigm.backbone._memory.hits >= 4, "two batches in the first pass, four later ones"
    assert second.paradigm.backbone._memory.hits == 0
    states = [one.paradigm.moved_state() for one in (first, second)]
    assert all(gap(states[0][n], states[1][n]) < 1e-4 for n in states[0])


def remembering(backbone: Backbone, limit: int) -> Memory:
    if backbone._memory is None:
        backbone._memory = Memory(backbone, limit)
    return backbone._memory


def test_layers_below_are_not_computed_again(read: tuple[Paradigm, Callable[..., Encoded]]) -> None:
    module, batch_of = read
    plain = module(batch_of())
    counted = Counted(module.backbone)
    again = module(batch_of())
    assert counted.number == 0
    assert gap(plain, again) < 1e-6
    loss = module.loss(again, batch_of())
    loss.backward()
    assert all(p.grad is not None for p in layers(module.backbone)[-1].parameters() if p.requires_grad)


def test_rows_are_known_in_any_company(read: tuple[Paradigm, Callable[..., Encoded]]) -> None:
    """Other batches of the same rows have other widths."""
    module, batch_of = read
    alone = torch.cat([module(batch_of(i)) for i in range(6)])
    counted = Counted(module.backbone)
    with torch.no_grad():
        assert gap(module(batch_of(5, 3, 1)), alone[[5, 3, 1]]) < 1e-5
        assert gap(module(batch_of()), alone) < 1e-5
    assert counted.number == 0


@pytest.mark.parametrize("name", [*MASKED, *CAUSAL])
def test_every_architecture_says_the_same(name: str) -> None:
    """With only the last layer trained, and with nothing but a head."""
    for trained in (-1, None):
        backbone = made(name).fresh()
        backbone.requires_grad_(False)
        if trained is not None:
            layers(backbone)[trained].requires_grad_(True)
        first = backbone.slot_logits(batch(name))
        assert (backbone.memory.size > 0) == (name != "albert"), "its layers share their weights, and are called again"
        again = backbone.slot_logits(batch(name))
        assert backbone.memory.hits == (name != "albert")
        close(again, first)


# ------------------------------------------------------------------------------------------------- what misses


def test_a_changed_input_misses(read: tuple[Paradigm, Callable[..., Encoded]]) -> None:
    module, batch_of = read
    module(batch_of())
    changed = batch_of()
    changed.input_ids[0, 1] = (changed.input_ids[0, 1] + 7) % 50 + 10
    counted = Counted(module.backbone)
    says = module(changed)
    assert counted.number > 0
    module.backbone._memory = None
    assert gap(says, module(changed)) < 1e-6


def change_weight(module: Paradigm) -> None:
    with torch.no_grad():
        next(layers(module.backbone)[0].parameters()).mul_(1.5)


def unfreeze(module: Paradigm) -> None:
    layers(module.backbone)[0].requires_grad_(True)


def load(module: Paradigm) -> None:
    state = {name: value * 1.1 for name, value in module.backbone.state_dict().items() if value.is_floating_point()}
    module.backbone.load_state_dict(state, strict=False)


@pytest.mark.parametrize("change", [change_weight, unfreeze, load])
def test_a_changed_backbone_misses(
    change: Callable[[Paradigm], None], read: tuple[Paradigm, Callable[..., Encoded]]
) -> None:
    module, batch_of = read
    module(batch_of())
    change(module)
    counted = Counted(module.backbone)
    says = module(batch_of())
    assert counted.number > 0
    module.backbone._memory = None
    assert gap(says, module(batch_of())) < 1e-6


def test_another_precision_misses(read: tuple[Paradigm, Callable[..., Encoded]]) -> None:
    module, batch_of = read
    module(batch_of())
    counted = Counted(module.backbone)
    with torch.autocast("cpu", torch.bfloat16):
        module(batch_of())
    assert counted.number > 0


def test_other_segments_miss() -> None:
    subject = Subject(MAKES["last_layer"])
    module = subject.built()
    batch = subject.batch(module, subject.examples())
    assert batch.token_type_ids is not None
    module(batch)
    counted = Counted(module.backbone)
    batch.token_type_ids[:, 1:3] = 1
    module(batch)
    assert counted.number > 0


def test_dropout_is_drawn_anew(read: tuple[Paradigm, Callable[..., Encoded]]) -> None:
    module, batch_of = read
    module.backbone.train()
    counted = Counted(module.backbone)
    assert gap(module(batch_of()), module(batch_of())) > 0
    assert counted.number > 0
    assert module.backbone.memory.hits == 0


@pytest.mark.parametrize(
    ("make", "backbone"),
    [
        (lambda: PatternTuning(tuning=SoftPrompt(length=2)), "tiny-masked"),
        (lambda: PatternTuning(), "tiny-masked"),
        (MAKES["last_layer"], "tiny-seq2seq"),
    ],
)
def test_where_nothing_can_be_skipped_nothing_is_kept(make: Callable[[], Paradigm], backbone: str) -> None:
    subject = Subject(make, backbone)
    module = subject.built()
    batch = subject.batch(module, subject.examples())
    plain = module(batch)
    assert gap(module(batch), plain) == 0
    assert module.backbone.memory.hits == 0
    assert module.backbone.memory.size == 0


# ------------------------------------------------------------------------------------------------- bounds


def test_no_more_is_kept_than_allowed(read: tuple[Paradigm, Callable[..., Encoded]]) -> None:
    module, batch_of = read
    module.backbone._memory = memory = Memory(module.backbone, 20_000)
    for i in range(6):
        module(batch_of(i))
    assert 0 < memory.size <= 20_000
    module(batch_of(0))
    assert memory.hits == 1, "what was first is still there"


def test_a_copy_remembers_nothing(read: tuple[Paradigm, Callable[..., Encoded]]) -> None:
    module, batch_of = read
    module(batch_of())
    assert module.backbone.memory.size
    assert module.backbone.fresh()._memory is None
    assert module.backbone.twin()._memory is None
