"""Backbones of many architectures with a tuning applied, for tests: what moves, what comes out, what would come out by hand."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from test_deep_mechanisms import fresh, logits, read
from torch import Tensor, nn

from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.batch import Encoded
from prompt_lab.templates import Template
from prompt_lab.tuning import Tuning

from test_backbones import made

BEFORE = "before "
"""Stands before the name of a module whose input, not its output, is changed by hand."""


def tuned(tuning: Tuning, name: str, answer: Answer | None = None) -> Backbone:
    """A random model of that architecture, with a tuning as it is at first."""
    backbone = fresh(name)
    tuning.prepare(tuning.prompted(Template("{text_a}", ["text_a"])), answer or Words(), backbone.reader)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tuning.apply(backbone)
    return backbone


def moving(backbone: nn.Module) -> dict[str, nn.Parameter]:
    """What moves, by name."""
    return {n: p for n, p in backbone.named_parameters() if p.requires_grad}


def numbers(backbone: nn.Module) -> int:
    """How many numbers move."""
    return sum(p.numel() for p in moving(backbone).values())


def drawn(backbone: Backbone, spread: float = 0.3, seed: int = 1) -> Backbone:
    """With all that moves away from where it began, so that it means something."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in moving(backbone).values():
        parameter.data += spread * torch.randn(parameter.shape, generator=generator)
    return backbone


def says(backbone: Backbone, name: str, of: Encoded | None = None) -> Tensor:
    """Logits at the slots that mean something, [N, V]."""
    return torch.stack(logits(backbone, read(name, "key_values", of)))


def plainly(name: str) -> Tensor:
    """The model's own."""
    return says(made(name), name)


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


def gap(found: Tensor, other: Tensor) -> float:
    return float((found - other).abs().max())


def without_gradient(backbone: Backbone, name: str) -> list[str]:
    """What moves although no gradient reaches it, and what gets a gradient although it does not move."""
    backbone.zero_grad()
    backbone.slot_logits(read(name, "key_values"))[:, :, 0].square().sum().backward()
    return [n for n, p in backbone.named_parameters() if (p.grad is not None) != p.requires_grad]


def by_hand(name: str, changes: Mapping[str, Callable[[Tensor], Tensor]]) -> Tensor:
    """What the plain model says when what some modules read or give is changed, in the order given."""
    backbone = made(name).fresh()
    for place, change in changes.items():
        module = backbone.model.get_submodule(place.removeprefix(BEFORE))
        if place.startswith(BEFORE):
            module.register_forward_pre_hook(lambda m, args, change=change: (change(args[0]), *args[1:]))
        else:
            module.register_forward_hook(lambda m, args, output, change=change: change(output))
    return says(backbone, name)


def noted(backbone: Backbone, places: Mapping[str, str], name: str, of: Encoded | None = None) -> dict[str, Any]:
    """What modules of the model read in one pass, by what each is called here."""
    found: dict[str, Any] = {}

    def note(called: str) -> Any:
        return lambda m, args, given: found.update({called: args[0] if args else given["hidden_states"]})

    hooks = [
        backbone.model.get_submodule(place).register_forward_pre_hook(note(called), with_kwargs=True)
        for called, place in places.items()
    ]
    says(backbone, name, of)
    for hook in hooks:
        hook.remove()
    return found
