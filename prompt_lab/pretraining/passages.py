"""What flows through pretraining: a document as tokens, and a batch of passages."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Document:
    """A tokenised text of N tokens.

    Attributes:
        text: the text.
        ids: [N] token ids.
        offsets: [N, 2] the characters of each token, from and up to, without blanks before a word.
        words: [N] the number of the tokenizer's word that each token belongs to.
    """

    text: str
    ids: np.ndarray
    offsets: np.ndarray
    words: np.ndarray


@dataclass(frozen=True)
class Passages:
    """A batch of B passages of T tokens.

    Attributes:
        input_ids: [B, T] token ids, with what the objectives have hidden in them.
        attention_mask: [B, T], 1 at tokens and 0 at padding.
        original_ids: [B, T] token ids before anything was hidden.
        token_type_ids: [B, T] segment ids, for backbones that use them.
        units: by objective, [B, T]: tokens that are hidden together share a number; -1 for those that never are.
        chosen: by objective, [B, T]: the tokens it asks for.
        relation: [B] how the two halves of a passage are related; see ``NextSentence``.
        tokens: how many tokens are read, padding left out.
    """

    input_ids: Tensor
    attention_mask: Tensor
    original_ids: Tensor
    token_type_ids: Tensor | None = None
    units: Mapping[str, Tensor] = field(default_factory=dict)
    chosen: Mapping[str, Tensor] = field(default_factory=dict)
    relation: Tensor | None = None
    tokens: int = 0

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Passages":
        """The same batch on another device (Lightning calls this)."""

        def moved(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {key: moved(one) for key, one in value.items()}
            return value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value

        return replace(self, **{f.name: moved(getattr(self, f.name)) for f in fields(self)})

    def __len__(self) -> int:
        return len(self.input_ids)
