"""Trained hidden states in the place of virtual tokens, put in before every layer: deep prompts for any architecture."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prompt_lab.backbones.layers import layers_of
from prompt_lab.folding import Folded
from prompt_lab.tuning.mechanisms.layered import Layered
from prompt_lab.tuning.virtual import VirtualTokens, put_in


class HiddenStates(Layered):
    """Replaces what layers read at the virtual tokens of a text (VPT-deep: Jia et al. 2022, equations 4 and 5).

    Args:
        vectors: [P, N * D], the hidden states of N layers after one another.
        virtual: the virtual tokens, which say where they stand.
        layers: the layers, each once for each of its calls in a pass.
        chosen: which of them have prompts.
    """

    def __init__(
        self, vectors: Folded, virtual: VirtualTokens, layers: Sequence[nn.Module], chosen: Sequence[int]
    ) -> None:
        super().__init__(vectors, [vectors.weight.shape[1] // len(chosen)] * len(chosen))
        self._places = [virtual]  # in a list, or it would be a part of this module
        number = {i: n for n, i in enumerate(chosen)}
        for module in dict.fromkeys(layers):
            turns = [number.get(i) for i, layer in enumerate(layers) if layer is module]
            module.register_forward_pre_hook(_Replace(self, turns), with_kwargs=True)

    def replaced(self, layer: nn.Module, turns: Sequence[int | None], hidden_BTD: Tensor) -> Tensor:
        """Hidden states with those of this layer's prompt at the virtual tokens."""
        n = self.turn(layer, turns)
        if n is None:
            return hidden_BTD
        return put_in(self._now[n], self._places[0].places(), hidden_BTD)


class _Replace:
    """The hook of a layer."""

    def __init__(self, prompt: HiddenStates, turns: Sequence[int | None]) -> None:
        self._prompt, self._turns = prompt, turns

    def __call__(self, layer: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, Any]:
        if args:
            return (self._prompt.replaced(layer, self._turns, args[0]), *args[1:]), given
        return args, {**given, "hidden_states": self._prompt.replaced(layer, self._turns, given["hidden_states"])}


def layer_calls(body: nn.Module, run: Callable[[], Any]) -> list[tuple[nn.Module, Tensor]]:
    """The layers of a body in the order of their calls while ``run`` runs, each with what it reads, [1, T, D].

    Raises:
        LabError: it has no list of layers.
    """
    called: list[tuple[nn.Module, Tensor]] = []

    def note(layer: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        called.append((layer, args[0] if args else given["hidden_states"]))

    hooks = [m.register_forward_pre_hook(note, with_kwargs=True) for m in layers_of(body)]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return called
