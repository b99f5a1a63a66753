"""What all rows of a batch begin with is read once: the keys and values of shared text in front, such as demonstrations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from prompt_lab.backbones.standing import standing_in
from prompt_lab.batch import Inputs

LEAST = 16
"""Fewer tokens in common are not worth a pass of their own."""


def shared(batch: Inputs) -> int:
    """How many tokens all rows of a batch begin with. Every row has at least one place left behind them."""
    ids_BT, mask_BT = batch.input_ids, batch.attention_mask
    same_T = (ids_BT == ids_BT[:1]).all(0) & mask_BT.bool().all(0)
    return int(same_T[:-1].long().cumprod(0).sum()) if len(ids_BT) > 1 else 0


@contextmanager
def read_once(body: nn.Module, length: int) -> Iterator[None]:
    """Let a causal body read the first tokens of a batch in one row, and of every row only what comes behind them.

    A token's hidden states depend on what is in front of it alone, so the output is the same but for rounding. Nothing is kept from
    one pass to the next.

    Args:
        body: reads ``input_ids`` [B, T] and ``attention_mask`` [B, T], and can keep keys and values.
        length: how many tokens all rows share, fewer than T.
    """
    whole: Callable[..., Any] = body.forward

    def forward(input_ids: Tensor, attention_mask: Tensor, **given: Any) -> Any:
        given = {**given, "use_cache": True}
        front = whole(input_ids=input_ids[:1, :length], attention_mask=attention_mask[:1, :length], **given)
        cache = front.past_key_values
        cache.batch_repeat_interleave(len(input_ids))
        behind = whole(
            input_ids=input_ids[:, length:], attention_mask=attention_mask, **{**given, "past_key_values": cache}
        )
        in_front_BPD = front.last_hidden_state.expand(len(input_ids), -1, -1)
        behind.last_hidden_state = torch.cat([in_front_BPD, behind.last_hidden_state], 1)
        behind.past_key_values = None
        return behind

    with standing_in(body, "forward", forward):
        yield
