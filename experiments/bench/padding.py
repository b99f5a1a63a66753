"""(f) Batches padded to their longest row, and grouped by length where they are evaluated, against a fixed length."""

from collections.abc import Sequence
from dataclasses import replace
from unittest import mock

import torch
import work
from run import Ways
from torch.nn import functional as F

from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded
from prompt_lab.data import few_shot
from prompt_lab.data.encoded import EncodedExample, collate
from prompt_lab.paradigms.pattern_tuning import PatternTuning

ABOUT = "a whole run with batches padded to their longest row and grouped by length, against all rows at 128 tokens"
AIM = None
LENGTH = 128


def fixed(examples: Sequence[EncodedExample], reader: Reader) -> Encoded:
    """As ``collate``, with every row at 128 tokens."""
    found = collate(examples, reader)

    def wide(rows: torch.Tensor | None, value: int) -> torch.Tensor | None:
        return None if rows is None else F.pad(rows, (0, LENGTH - rows.shape[1]), value=value)

    return replace(
        found, input_ids=wide(found.input_ids, reader.pad_id), attention_mask=wide(found.attention_mask, 0),
        token_type_ids=wide(found.token_type_ids, 0),
    )  # fmt: skip


def ways() -> Ways:
    """A run with each."""

    def at_fixed_length() -> None:
        with mock.patch.object(few_shot, "collate", fixed):
            work.ours(PatternTuning, max_length=LENGTH)

    return {
        "to the longest": lambda: work.ours(PatternTuning, max_length=LENGTH) and None,
        "fixed length": at_fixed_length,
    }
