"""Frozen matrices in eight bits, by bitsandbytes (Dettmers et al. 2022, "LLM.int8()")."""

import logging
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from prompt_lab.errors import LabError

THRESHOLD = 6.0
"""Features of a greater magnitude are multiplied in sixteen bits (section 3.2 there)."""

# it tells of every layer, in every pass, that it computes in float16
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def to_eight_bits(bodies: Iterable[nn.Module]) -> None:
    """Make linear layers whose matrix is not trained, and belongs to them alone, layers of the library.

    Each row of a matrix is stored as integers of eight bits and one scale; gradients pass through it to what lies below. Biases, and
    what is not linear (embeddings, layer norms), stay as they are, and so does a matrix whose norm DoRA computes.

    Args:
        bodies: the parts of a model that are looked through.

    Raises:
        LabError: bitsandbytes is not installed.
    """
    from transformers.pytorch_utils import Conv1D

    stored = _layer()
    parts = {id(part): part for body in bodies for part in body.modules()}.values()
    owners = Counter(id(p) for part in parts for p in part.parameters(recurse=False))
    read = {id(part.base_layer) for part in parts if len(getattr(part, "lora_magnitude_vector", None) or ())}
    layer: Any
    for layer in parts:
        if type(layer) not in (nn.Linear, Conv1D) or layer.weight.requires_grad:
            continue
        if owners[id(layer.weight)] == 1 and id(layer) not in read:
            _convert(layer, stored, layer.weight.T if isinstance(layer, Conv1D) else layer.weight)


def _convert(layer: Any, stored: Any, weight_OI: Tensor) -> None:
    """The layer itself becomes one of theirs, since adapters are hooked to it."""
    from bitsandbytes.nn.modules import Int8Params

    like = stored(
        *reversed(weight_OI.shape), layer.bias is not None, has_fp16_weights=False, threshold=THRESHOLD, device="meta"
    )
    matrix = weight_OI.detach().to(torch.float16, copy=True, memory_format=torch.contiguous_format)
    parameter: Any = Int8Params(matrix, requires_grad=False, has_fp16_weights=False)
    layer.weight = parameter.to(weight_OI.device)
    layer.__class__ = stored
    vars(layer).update({name: value for name, value in vars(like).items() if name not in vars(layer)})


@cache
def _layer() -> Any:
    try:
        from bitsandbytes.nn.modules import Linear8bitLt
    except ImportError as error:
        raise LabError(
            "frozen_weights: int8 needs bitsandbytes: pip install 'prompt-lab[int8]', or take bfloat16, half of float32's size"
        ) from error

    class Stored(Linear8bitLt):
        """A linear layer with a matrix of eight bits."""

        def forward(self, x: Tensor) -> Tensor:
            """As a linear layer's; what it gives can be written to, as AdaLoRA does, and is no view of their function's output."""
            return super().forward(x).clone()

    return Stored
