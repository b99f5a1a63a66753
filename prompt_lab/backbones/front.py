"""What all rows of a batch begin with is read once: the keys and values of shared text in front, such as demonstrations."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from prompt_lab.backbones.precision import multiplied_in
from prompt_lab.backbones.standing import standing_in
from prompt_lab.batch import Inputs

LEAST = 16
"""Fewer tokens in common are not worth a pass of their own."""

LIMIT = 2**28
"""Bytes of keys, values and hidden states that are kept from one batch to the next; larger ones are computed every time."""


def shared(batch: Inputs) -> int:
    """How many tokens all rows of a batch begin with. Every row has at least one place left behind them."""
    ids_BT, mask_BT = batch.input_ids, batch.attention_mask
    same_T = (ids_BT == ids_BT[:1]).all(0) & mask_BT.bool().all(0)
    return int(same_T[:-1].long().cumprod(0).sum()) if len(ids_BT) > 1 else 0


@dataclass(frozen=True)
class _Kept:
    """What a body made of text in front.

    Attributes:
        ids: [P] its tokens, on the CPU.
        state: all else that it depends on.
        cache: keys and values, of one row.
        hidden: [1, P, D].
    """

    ids: Tensor
    state: tuple[Any, ...]
    cache: Any
    hidden: Tensor


class Front:
    """Lets a causal body read the first tokens of a batch in one row, and of every row only what comes behind them.

    A token's hidden states depend on what is in front of it alone, so the output is the same but for rounding. The last text in front
    is kept for the next batch. It is known by its tokens, the precision and the body's weights: where these lie, and how often each
    has been written to. (What is written to ``weight.data`` leaves no trace, and is not seen.)

    Args:
        limit: bytes that are kept.

    Attributes:
        hits: passes that read no text in front.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.hits = 0
        self._limit = limit
        self._kept: _Kept | None = None

    @contextmanager
    def read_once(self, body: nn.Module, length: int) -> Iterator[None]:
        """Read text in front once in the pass inside, or not at all if it is known.

        Args:
            body: reads ``input_ids`` [B, T] and ``attention_mask`` [B, T], and can keep keys and values.
            length: how many tokens all rows share, fewer than T.
        """
        whole: Callable[..., Any] = body.forward

        def forward(input_ids: Tensor, attention_mask: Tensor, **given: Any) -> Any:
            given = {**given, "use_cache": True}
            kept = self._known(body, input_ids[0, :length])
            if kept is None:
                front = whole(input_ids=input_ids[:1, :length], attention_mask=attention_mask[:1, :length], **given)
                kept = _Kept(input_ids[0, :length].cpu(), _state(body), front.past_key_values, front.last_hidden_state)
                self._keep(body, kept)
            cache = copy.deepcopy(kept.cache)
            cache.batch_repeat_interleave(len(input_ids))
            behind = whole(
                input_ids=input_ids[:, len(kept.ids) :],
                attention_mask=attention_mask,
                **{**given, "past_key_values": cache},
            )
            in_front_BPD = kept.hidden.expand(len(input_ids), -1, -1)
            behind.last_hidden_state = torch.cat([in_front_BPD, behind.last_hidden_state], 1)
            behind.past_key_values = None
            return behind

        with standing_in(body, "forward", forward):
            yield

    def _known(self, body: nn.Module, ids_P: Tensor) -> _Kept | None:
        """What is kept of the text in front, or of its beginning if little is missing: texts may begin alike by chance."""
        kept = self._kept
        if kept is None or body.training or not 0 <= len(ids_P) - len(kept.ids) < LEAST:
            return None
        if kept.state != _state(body) or not torch.equal(kept.ids, ids_P[: len(kept.ids)].cpu()):
            return None
        self.hits += 1
        return kept

    def _keep(self, body: nn.Module, kept: _Kept) -> None:
        of_layers = [getattr(layer, name, None) for layer in kept.cache.layers for name in ("keys", "values")]
        held = [kept.hidden, *(part for part in of_layers if part is not None)]
        size = sum(part.numel() * part.element_size() for part in held)
        is_fixed = not body.training and not any(p.is_inference() for p in body.parameters())
        self._kept = kept if is_fixed and size <= self._limit else None


def _state(body: nn.Module) -> tuple[Any, ...]:
    """What keys and values depend on beside the tokens."""
    parameters = [*body.parameters(), *body.buffers()]
    precision = multiplied_in(parameters[0].device.type)
    return precision, *((p.data_ptr(), None if p.is_inference() else p._version) for p in parameters)
