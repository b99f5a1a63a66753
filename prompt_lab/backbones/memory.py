"""What frozen layers make of a text, computed once: hidden states below the first trained layer."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from prompt_lab.backbones.front import Front
from prompt_lab.backbones.layers import layers_of
from prompt_lab.backbones.precision import multiplied_in
from prompt_lab.backbones.standing import standing_in
from prompt_lab.batch import Inputs
from prompt_lab.errors import LabError

if TYPE_CHECKING:
    from prompt_lab.backbones.backbone import Backbone

LIMIT = 2**28
"""Bytes of hidden states that a backbone remembers; what comes later is computed every time."""


class Memory:
    """Remembers, row by row, what the layers of a backbone make that depend on nothing that is trained.

    Which ones these are is seen in a pass with gradients: their output needs none. A pass whose rows are all known begins behind them,
    and gives the same numbers but for rounding. What is remembered depends on the row's tokens and segments, the precision, and the
    weights: it is forgotten when a frozen parameter of the body has been written to, or another one is trained. (What is written to
    ``weight.data`` leaves no trace, and is not seen.) Where a layer may draw numbers (dropout), nothing is remembered; nor for
    encoder-decoders, nor for models that call a layer more than once (ALBERT).

    Args:
        backbone: whose layers they are.
        limit: bytes that are kept.

    Attributes:
        depth: how many layers may be skipped; negative where that is not known.
        size: bytes that are kept now.
        layers: that may be skipped; none where there are two stacks, or no list of layers.
        hits: passes that began late.
        front: what a causal body has made of the text that a batch began with.
    """

    def __init__(self, backbone: "Backbone", limit: int = LIMIT) -> None:
        self.depth = 0
        self.hits = 0
        self.front = Front()
        self._backbone = backbone
        self.layers = _layers(backbone)
        self._limit = limit
        self._known: dict[Any, Tensor] = {}
        self.size = 0
        self._trained: tuple[bool, ...] | None = None
        self._is_idle = False
        self._written = 0
        self._fields = 1

    @contextmanager
    def at_work(self, batch: Inputs) -> Iterator[bool]:
        """Begin the pass inside as late as possible, or remember what comes of it; false where neither is of use."""
        keys = _keys(batch) if self._is_of_use() else None
        if keys is None:
            yield False
        elif self.depth and all(key in self._known for key in keys):
            self.hits += 1
            with self._skipping(torch.cat([self._known[key] for key in keys]), batch.attention_mask):
                yield True
        else:
            with self._watching() as outputs:
                yield True
            self._remember(keys, outputs, batch.attention_mask)

    def look_again(self) -> None:
        """Where no layer could be skipped: see in the next pass whether one can now."""
        self._is_idle = False

    def _is_of_use(self) -> bool:
        """Whether layers may be skipped, or it is not known yet which; forgets what is no longer true.

        To look at every parameter takes as long as some layers. Where there was nothing to skip, it is done again only once the
        backbone has been set to train or not.
        """
        backbone = self._backbone
        if self._is_idle or not self.layers or backbone.training or backbone.recomputes or backbone.is_sharded:
            return False
        trained, written = [], 0
        for parameter in backbone.parameters():
            trained.append(parameter.requires_grad)
            written += 0 if parameter.requires_grad or parameter.is_inference() else parameter._version
        if (tuple(trained), written) != (self._trained, self._written):
            self._trained, self._written = tuple(trained), written
            self._known.clear()
            self.size, self.depth = 0, -1
        self._is_idle = self.depth == 0
        return self.depth > 0 or (self.depth < 0 and torch.is_grad_enabled())

    @contextmanager
    def _watching(self) -> Iterator[list[tuple[nn.Module, Any]]]:
        """The layers in the order of their calls, with what they give."""
        outputs: list[tuple[nn.Module, Any]] = []

        def note(layer: nn.Module, args: Any, output: Any) -> None:
            number = len(outputs) + 1
            is_wanted = number == self.depth if self.depth > 0 else not _hidden(output).requires_grad
            outputs.append((layer, output if is_wanted else None))
            if is_wanted and number > 1:
                outputs[-2] = (outputs[-2][0], None)  # the last one is enough

        hooks = [layer.register_forward_hook(note) for layer in self.layers]
        try:
            yield outputs
        finally:
            for hook in hooks:
                hook.remove()

    def _remember(self, keys: Sequence[Any], outputs: Sequence[tuple[nn.Module, Any]], mask_BT: Tensor) -> None:
        if [layer for layer, _ in outputs] != self.layers:
            self.depth = 0
            return
        if self.depth < 0:
            self.depth = 1 + max((i for i, (_, output) in enumerate(outputs) if output is not None), default=-1)
            if not self.depth:
                return
        output = outputs[self.depth - 1][1]
        if output is None:
            return
        self._fields = len(output) if isinstance(output, tuple) else 0
        is_there_BT = mask_BT.bool()
        with torch.inference_mode(False):
            rows = [
                hidden_TD[there_T].detach().clone()
                for hidden_TD, there_T in zip(_hidden(output), is_there_BT, strict=True)
            ]
        for key, row_TD in zip(keys, rows, strict=True):
            size = row_TD.numel() * row_TD.element_size()
            if key not in self._known and self.size + size <= self._limit:
                self._known[key] = row_TD
                self.size += size

    @contextmanager
    def _skipping(self, known_ND: Tensor, mask_BT: Tensor) -> Iterator[None]:
        hidden_BTD = known_ND.new_zeros(*mask_BT.shape, known_ND.shape[-1])
        hidden_BTD[mask_BT.bool()] = known_ND

        def as_given(hidden: Tensor) -> Any:
            return (hidden, *[None] * (self._fields - 1)) if self._fields else hidden

        def through(*args: Any, **given: Any) -> Any:
            return as_given(args[0] if args else given["hidden_states"])

        with ExitStack() as stack:
            for layer in self.layers[: self.depth - 1]:
                stack.enter_context(standing_in(layer, "forward", through))
            last = self.layers[self.depth - 1]
            stack.enter_context(standing_in(last, "forward", lambda *_, **__: as_given(hidden_BTD)))
            yield


def _layers(backbone: "Backbone") -> list[nn.Module]:
    """The layers that may be skipped; none where there are two stacks, or no list of layers."""
    stacks = backbone.stacks()
    try:
        return list(layers_of(stacks[0])) if len(stacks) == 1 else []
    except LabError:
        return []


def _hidden(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def _keys(batch: Inputs) -> list[Any] | None:
    """All that the frozen layers' output depends on beside the weights, row by row; None where a row begins with padding."""
    precision = multiplied_in(batch.input_ids.device.type)
    mask_BT, ids_BT = batch.attention_mask.cpu(), batch.input_ids.cpu()
    if not bool(mask_BT[:, 0].all()):
        return None
    types_BT = None if batch.token_type_ids is None else batch.token_type_ids.cpu()
    lengths = mask_BT.sum(1).tolist()

    def written(numbers_BT: Tensor | None, row: int, length: int) -> bytes:
        return b"" if numbers_BT is None else numbers_BT[row, :length].numpy().tobytes()

    return [(written(ids_BT, i, n), written(types_BT, i, n), precision) for i, n in enumerate(lengths)]
