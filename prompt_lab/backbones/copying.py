"""The model behind the backbone ``copycat``."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

SCALE = 10.0


class Shift(nn.Module):
    """Embeds the tokens and moves them ``offset`` places, so that position i holds what stood at i + offset."""

    def __init__(self, size: int, width: int, offset: int) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(size, width)
        nn.init.orthogonal_(self.embeddings.weight)
        with torch.no_grad():
            self.embeddings.weight.copy_(nn.functional.normalize(self.embeddings.weight, dim=-1))
        self.offset = offset

    def forward(self, input_ids: Tensor, **_: Any) -> BaseModelOutput:
        """[B, T] to [B, T, D]."""
        return BaseModelOutput(last_hidden_state=torch.roll(self.embeddings(input_ids), -self.offset, dims=1))


class CopyingModel(PreTrainedModel):
    """Its logit for a token is highest where that token stood ``offset`` places away."""

    base_model_prefix = "shift"

    def __init__(self, config: Any, offset: int) -> None:
        super().__init__(config)
        self.shift = Shift(config.vocab_size, config.hidden_size, offset)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(SCALE * self.shift.embeddings.weight)

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings."""
        return self.shift.embeddings

    def get_output_embeddings(self) -> nn.Module:
        """The head."""
        return self.head

    def forward(self, input_ids: Tensor, **_: Any) -> MaskedLMOutput:
        """Logits [B, T, V]."""
        return MaskedLMOutput(logits=self.head(self.shift(input_ids).last_hidden_state))
