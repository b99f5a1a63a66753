"""The model behind the backbone ``copycat``."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

SCALE = 10.0
SHARP = 40.0
"""How sure attention is of the place it copies from."""


class Copying(nn.Module):
    """Embeds the tokens and attends ``offset`` places further on, so that position i holds what stood at i + offset.

    It is an attention layer like any other, in front of which a prompt can stand.
    """

    is_causal = False

    def __init__(self, config: Any, offset: int) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        nn.init.orthogonal_(self.embeddings.weight)
        with torch.no_grad():
            self.embeddings.weight.copy_(nn.functional.normalize(self.embeddings.weight, dim=-1))
        self.offset = offset
        self.register_buffer("places", torch.eye(config.max_position_embeddings), persistent=False)

    places: Tensor

    def forward(self, input_ids: Tensor, **_: Any) -> BaseModelOutput:
        """[B, T] to [B, T, D]."""
        value = self.embeddings(input_ids)[:, None]
        place = self.places[: input_ids.shape[1]].expand(len(value), 1, -1, -1)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)
        copied, _ = attend(self, SHARP * place.roll(-self.offset, dims=2), place, value, None, scaling=1.0)
        return BaseModelOutput(last_hidden_state=copied[:, :, 0])


class CopyingModel(PreTrainedModel):
    """Its logit for a token is highest where that token stood ``offset`` places away."""

    base_model_prefix = "copying"
    _supports_sdpa = True

    def __init__(self, config: Any, offset: int) -> None:
        super().__init__(config)
        self.copying = Copying(config, offset)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(SCALE * self.copying.embeddings.weight)

    def get_input_embeddings(self) -> nn.Module:
        """The embeddings."""
        return self.copying.embeddings

    def get_output_embeddings(self) -> nn.Module:
        """The head."""
        return self.head

    def forward(self, input_ids: Tensor, **_: Any) -> MaskedLMOutput:
        """Logits [B, T, V]."""
        return MaskedLMOutput(logits=self.head(self.copying(input_ids).last_hidden_state))


def eager_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention as it is written down; [B, H, T, d] to [B, T, H, d], and the weights."""
    weight = (query @ key.transpose(2, 3) * scaling).softmax(-1)
    return (weight @ value).transpose(1, 2), weight
