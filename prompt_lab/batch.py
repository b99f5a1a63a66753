"""What flows through the lab: an example as a person reads it, and a batch as a model reads it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Example:
    """One text, or pair of texts, with its label.

    Attributes:
        fields: text by field name (``text_a``, ``text_b``).
        label: index into the task's labels; None when unlabelled.
        origin: where it was read, such as ``train.csv:17``; not part of its identity.
        soft: a probability for each label, in place of one label or beside it: what a teacher says (Hinton et al. 2015), or where
            a number lies between two poles (Gao et al. 2021, section 4.1).
    """

    fields: Mapping[str, str]
    label: int | None = None
    origin: str = ""
    soft: tuple[float, ...] | None = None

    @cached_property
    def key(self) -> str:
        """sha256 of the texts, in hex: the same on every machine, whatever the label or the place in a file."""
        return hashlib.sha256(json.dumps(dict(self.fields), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class Inputs(Protocol):
    """What a backbone's body reads: token ids, attention mask and, for some, segment ids, each [R, T]."""

    @property
    def input_ids(self) -> "torch.Tensor": ...  # noqa: D102
    @property
    def attention_mask(self) -> "torch.Tensor": ...  # noqa: D102
    @property
    def token_type_ids(self) -> "torch.Tensor | None": ...  # noqa: D102


@dataclass(frozen=True)
class Encoded:
    """A batch that a backbone reads. Each example is laid out as G rows, so the first dimension of the inputs is B * G.

    Attributes:
        input_ids: [B*G, T] token ids.
        attention_mask: [B*G, T], 1 at tokens and 0 at padding.
        slots: [B, G, N] positions at which answers are read, in the input or, for seq2seq models, in the decoder input;
            -1 where a row has fewer than N.
        label: [B] class index, -100 where unknown. Test batches are always unknown: the runner alone holds their labels.
        index: [B] the example's row in its split.
        token_type_ids: [B*G, T] segment ids, for backbones that use them.
        decoder_input_ids: [B*G, S], for seq2seq backbones.
        tokens: how many tokens the model reads, padding left out.
        soft: [B, C] a probability for each label, where examples have them (zeros for one that has not); as sealed as labels are.
        view: [B] which of its views an example is shown in, where an encoder has several and shows one; None where all are shown.
        share: of a training batch that is a part of a larger one, shared out over devices or read in parts: what the mean over its
            examples counts in the mean over all parts, 1 where these are of one size.
    """

    input_ids: "torch.Tensor"
    attention_mask: "torch.Tensor"
    slots: "torch.Tensor"
    label: "torch.Tensor"
    index: "torch.Tensor"
    token_type_ids: "torch.Tensor | None" = None
    decoder_input_ids: "torch.Tensor | None" = None
    tokens: int = 0
    soft: "torch.Tensor | None" = None
    view: "torch.Tensor | None" = None
    share: float = 1.0

    def to(self, device: "torch.device | str", non_blocking: bool = False) -> "Encoded":
        """The same batch on another device (Lightning calls this)."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(
            self, **{k: v.to(device, non_blocking=non_blocking) for k, v in held.items() if hasattr(v, "to")}
        )

    def take(self, which: "torch.Tensor") -> "Encoded":
        """Some of the examples, by a mask [B] or their numbers; ``tokens`` is not known of a part and left at 0."""
        return self._part(which, slice(None))

    def rows(self, start: int, stop: int) -> "Encoded":
        """All examples with some of their G rows, as if they had no others."""
        return self._part(slice(None), slice(start, stop))

    def _part(self, which: "torch.Tensor | slice", rows: slice) -> "Encoded":
        size, width, _ = self.slots.shape

        def inner(name: str) -> "torch.Tensor | None":
            held: torch.Tensor | None = getattr(self, name)
            return None if held is None else held.view(size, width, -1)[which, rows].flatten(0, 1)

        def outer(name: str) -> "torch.Tensor | None":
            held: torch.Tensor | None = getattr(self, name)
            return None if held is None else held[which]

        by_row = ("input_ids", "attention_mask", "token_type_ids", "decoder_input_ids")
        by_example = ("label", "index", "soft", "view")
        changed: dict[str, Any] = {name: inner(name) for name in by_row} | {name: outer(name) for name in by_example}
        return replace(self, slots=self.slots[which, rows], tokens=0, **changed)

    def __len__(self) -> int:
        return len(self.label)


def joined(batches: Sequence[Encoded], pad_id: int) -> Encoded:
    """Batches one behind the other as one, all of whose rows are padded to the longest; it has no soft labels and no views.

    Args:
        batches: of the same number G of rows an example.
        pad_id: fills up token ids.
    """
    import torch
    from torch.nn import functional as F

    def rows(name: str, value: int) -> Any:
        held = [getattr(b, name) for b in batches]
        if held[0] is None:
            return None
        width = max(h.shape[-1] for h in held)
        return torch.cat([F.pad(h, (0, width - h.shape[-1]), value=value) for h in held])

    return Encoded(
        input_ids=rows("input_ids", pad_id),
        attention_mask=rows("attention_mask", 0),
        slots=rows("slots", -1),
        label=torch.cat([b.label for b in batches]),
        index=torch.cat([b.index for b in batches]),
        token_type_ids=rows("token_type_ids", 0),
        decoder_input_ids=rows("decoder_input_ids", pad_id),
        tokens=sum(b.tokens for b in batches),
    )
