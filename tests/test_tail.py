"""Behind its last attention a masked model reads the answer slots alone, and says the same."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.layers import layers_of
from prompt_lab.backbones.tail import FAMILIES
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.testing.subject import Subject
from prompt_lab.tuning.adapter import Adapter
from prompt_lab.tuning.bit_fit import BitFit
from prompt_lab.tuning.lora import Lora

from test_backbones import MASKED, V, batch, close, made


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many positions of a row the last layer's feed-forward network has read, pass by pass; nothing is hooked to it."""
    seen: list[int] = []
    for kind in {type(layers_of(made(name).stacks()[0])[-1].intermediate) for name in FAMILIES}:

        def count(self: Any, hidden: torch.Tensor, forward: Any = kind.forward) -> torch.Tensor:  # type: ignore[union-attr]
            seen.append(hidden.shape[1])
            return forward(self, hidden)

        monkeypatch.setattr(kind, "forward", count)
    return seen


def last(widths: list[int]) -> list[int]:
    """Those of the second of two layers."""
    return widths[1::2]


def own(name: str) -> Backbone:
    return made(name).fresh()


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_fewer_positions_give_the_same_numbers_and_gradients(name: str, widths: list[int]) -> None:
    backbone = own(name)
    found = []
    for _ in range(2):  # in the first pass with gradients it is seen which layers are frozen
        backbone.zero_grad()
        logits = backbone.slot_logits(batch(name))
        logits[0].logsumexp(-1).sum().backward()
        found.append((logits.detach(), {n: p.grad for n, p in backbone.named_parameters() if p.grad is not None}))
    assert last(widths) == [7, 2]
    (before, gradients), (after, others) = found
    close(after, before)
    assert others.keys() == gradients.keys()
    for parameter, gradient in gradients.items():
        assert gradient is not None
        torch.testing.assert_close(others[parameter], gradient, atol=1e-5, rtol=1e-4, msg=parameter)


def test_some_rows_of_the_vocabulary(widths: list[int]) -> None:
    backbone, tokens = own("bert"), torch.tensor([5, 9])
    with torch.no_grad():
        close(backbone.slot_logits(batch("bert"), tokens), backbone.slot_logits(batch("bert"))[..., tokens])
        assert backbone.slot_logits(batch("bert")).shape == (2, 1, 2, V)
    assert last(widths) == [2, 2, 2]


def test_hidden_states_are_those_of_all_positions(widths: list[int]) -> None:
    backbone = own("bert")
    with torch.no_grad():
        assert backbone.hidden(batch("bert")).shape[1] == 7
    assert last(widths) == [7]


def test_what_reads_a_layer_reads_all_of_it(widths: list[int]) -> None:
    """A hook may take the mean over a text, as gates do."""
    backbone = own("bert")
    layer = layers_of(backbone.stacks()[0])[-1]
    for part in (layer, layer.output, layer.output.dense, layer.attention.output):  # type: ignore[union-attr]
        seen: list[int] = []
        hook = part.register_forward_hook(lambda module, args, output, seen=seen: seen.append(output.shape[1]))  # type: ignore[union-attr, operator]
        with torch.no_grad():
            backbone.slot_logits(batch("bert"))
        hook.remove()
        assert seen == [7]
    assert last(widths) == [7] * 4


def test_a_model_that_was_asked_for_all_hidden_states(widths: list[int]) -> None:
    """Whoever asks for them leaves hooks of transformers behind."""
    backbone, rows = own("bert"), batch("bert")
    with torch.no_grad():
        expected = backbone.slot_logits(rows)
        seen = backbone.model(input_ids=rows.input_ids, attention_mask=rows.attention_mask, output_hidden_states=True)
        assert [h.shape[1] for h in seen.hidden_states] == [7, 7, 7]
        torch.testing.assert_close(backbone.slot_logits(rows), expected, atol=0, rtol=0)
    assert last(widths) == [2, 7, 2]


@pytest.mark.parametrize("name", sorted(set(MASKED) - FAMILIES))
def test_other_layers_are_left_alone(name: str) -> None:
    assert own(name)._tail() is None


def test_layers_that_are_computed_again_are_left_alone(widths: list[int]) -> None:
    backbone = own("bert")
    backbone.recompute()
    backbone.train()
    for _ in range(2):
        backbone.slot_logits(batch("bert"))[0].sum().backward()
    assert set(last(widths)) == {7}


MAKES: dict[str, tuple[Callable[[], Paradigm], bool]] = {
    "all": (PatternTuning, True),
    "bitfit": (lambda: PatternTuning(tuning=BitFit(dropout=False)), True),
    "lora": (lambda: PatternTuning(tuning=Lora(dropout=False)), True),
    "adapter": (lambda: PatternTuning(tuning=Adapter(dropout=False)), False),
}


@pytest.mark.parametrize("name", MAKES)
def test_which_tunings_have_fewer_positions(name: str) -> None:
    make, is_cut = MAKES[name]
    subject = Subject(make, "tiny-masked")
    module = subject.built()
    assert isinstance(module.backbone._tail(), nn.Module) == is_cut
