"""Max-first decoding: the tokens of a label word are filled in one after the other, the surest one first."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from prompt_lab.batch import Encoded

FEWEST = 64
"""A further pass reads as many rows at once as the first one did, which is known to fit, or this many."""


class Reads(NamedTuple):
    """Where each token of each word is read, padded to the longest word, each [W, J].

    Attributes:
        row: of the example's G rows, the one with as many masks as the word has tokens.
        slot: of the row's N masks.
        token: of the vocabulary.
        real: 1 where the word has a token j.
    """

    row: Tensor
    slot: Tensor
    token: Tensor
    real: Tensor


def max_first(logp_BWJ: Tensor, batch: Encoded, reads: Reads, logits: Callable[[Encoded], Tensor]) -> Tensor:
    """Log-probability of every word [B, W] under a masked model, by Schick & Schütze (2021, NAACL, section 3.1).

    Of the tokens of a word that still stand masked, the one that is the most probable in its place is filled in, and the model reads
    again. The word scores the sum of the log-probabilities that its tokens had when they were filled in. All examples and words go
    on together: the longest word's number of tokens, less one, is the number of times they are read after the first.

    Args:
        logp_BWJ: log-probability of token j of a word in its place while all places are masked: the first pass, which all words of
            one length share.
        batch: what was read for it, [B, G] rows.
        reads: where the tokens of the words stand.
        logits: gives the logits at the slots of a batch, [B, G, N, V].
    """
    examples, rows, _ = batch.slots.shape
    row_BW = torch.arange(examples, device=reads.row.device)[:, None] * rows + reads.row[:, 0]
    place_BWJ = batch.slots[:, reads.row, reads.slot]
    ids_BWT = batch.input_ids[row_BW]
    single, length_W = _rows_alone(batch), reads.real.sum(1)
    masked_BWJ = reads.real.bool().expand_as(logp_BWJ)
    score_BW = torch.zeros_like(logp_BWJ[..., 0])
    for filled in range(reads.row.shape[1]):
        going_W = length_W > filled
        if filled:
            some = replace(single.take(row_BW[:, going_W].flatten()), input_ids=ids_BWT[:, going_W].flatten(0, 1))
            slot_RJ, token_RJ = (x[going_W].repeat(examples, 1) for x in (reads.slot, reads.token))
            logp_RJ = _read(some, slot_RJ, token_RJ, logits, max(examples * rows, FEWEST))
            logp_BWJ = logp_BWJ.index_copy(1, going_W.nonzero()[:, 0], logp_RJ.unflatten(0, (examples, -1)))
        best_BW, at_BW = logp_BWJ.masked_fill(~masked_BWJ, float("-inf")).max(-1)
        score_BW = score_BW + best_BW.masked_fill(~going_W, 0.0)
        # a word that is done is written to as well, but not read again
        at_BW1 = at_BW[..., None]
        masked_BWJ = masked_BWJ.scatter(2, at_BW1, False)
        token_BW1 = reads.token.expand_as(place_BWJ).gather(2, at_BW1)
        ids_BWT = ids_BWT.scatter(2, place_BWJ.gather(2, at_BW1), token_BW1)
    return score_BW


def _rows_alone(batch: Encoded) -> Encoded:
    """The same rows, each as an example of its own."""
    rows = batch.slots.shape[1]

    def spread(held: Tensor | None) -> Tensor | None:
        return None if held is None else held.repeat_interleave(rows, 0)

    return replace(
        batch,
        slots=batch.slots.flatten(0, 1)[:, None],
        label=batch.label.repeat_interleave(rows),
        index=batch.index.repeat_interleave(rows),
        soft=spread(batch.soft),
        view=spread(batch.view),
    )


def _read(
    batch: Encoded, slot_RJ: Tensor, token_RJ: Tensor, logits: Callable[[Encoded], Tensor], at_once: int
) -> Tensor:
    """Log-probabilities [R, J] of tokens at slots of rows that are examples of their own, some rows at a time."""
    found = []
    for part_R in torch.arange(len(slot_RJ), device=slot_RJ.device).split(at_once):
        logp_RNV = logits(batch.take(part_R))[:, 0].float().log_softmax(-1)
        row_R1 = torch.arange(len(part_R), device=part_R.device)[:, None]
        found.append(logp_RNV[row_R1, slot_RJ[part_R], token_RJ[part_R]])
    return torch.cat(found)
