"""A new linear classifier on a hidden state: promptless fine-tuning (Devlin et al. 2019)."""

from typing import Literal

import torch
from torch import Tensor, nn

from prompt_lab.answers.base import Answer
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded
from prompt_lab.errors import LabError
from prompt_lab.tasks import Task
from prompt_lab.templates import Template

Pool = Literal["auto", "first", "mean", "last", "mask"]
_AUTO: dict[str, Pool] = {"masked": "first", "causal": "last", "seq2seq": "mean"}


class Head(Answer):
    """Dropout and a linear layer, trained from scratch (Devlin et al. 2019, section 3.2).

    Args:
        pool: which hidden state is read: of the first token ([CLS]), the mean of all tokens, the last token, or the mask.
            ``auto`` takes the first token of a masked model, the last of a causal one, and the mean of a seq2seq encoder.
        dropout: before the linear layer.
        learning_rate: of the linear layer; the tuning's by default.
    """

    needs_mask = False
    needs_head = False

    def __init__(self, pool: Pool = "auto", dropout: float = 0.1, learning_rate: float | None = None) -> None:
        super().__init__(learning_rate)
        self.pool = pool
        self.dropout = nn.Dropout(dropout)

    def build(self, task: Task, reader: Reader, template: Template) -> None:
        """Make the linear layer [C, D], drawn from N(0, 0.02) as BERT draws its weights."""
        super().build(task, reader, template)
        self._read = _AUTO[reader.kind] if self.pool == "auto" else self.pool
        if self.pool == "mask" and not template.has_mask:
            raise LabError(
                f"Head reads at the mask, but the template {str(template)!r} has none. Add {{mask}}, or set answer.pool."
            )
        if self.pool == "mask" and reader.kind == "seq2seq":
            raise LabError(
                "Head cannot read at the mask of a seq2seq model: its answer stands in the decoder. Use pool: mean."
            )
        # the mask stands in the text, if the template has one, but no word is scored there
        self.plan = reader.plan([(0,)]) if template.has_mask else None
        self.linear = nn.Linear(reader.hidden_size, len(task.labels))
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, backbone: Backbone, batch: Encoded) -> Tensor:
        """Label scores [B, C]."""
        return self.linear(self.dropout(self._pooled(backbone.hidden(batch), batch)))

    def _pooled(self, hidden_BTD: Tensor, batch: Encoded) -> Tensor:
        mask_BT = batch.attention_mask
        if self._read == "first":
            return hidden_BTD[:, 0]
        if self._read == "mean":
            weight_BT1 = mask_BT[..., None].to(hidden_BTD.dtype)
            return (hidden_BTD * weight_BT1).sum(1) / weight_BT1.sum(1)
        at_B = mask_BT.sum(1) - 1 if self._read == "last" else batch.slots[:, 0, 0]
        return hidden_BTD[torch.arange(len(at_B), device=at_B.device), at_B]
