"""Frozen matrices in eight bits, by bitsandbytes (Dettmers et al. 2022, "LLM.int8()")."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from prompt_lab.errors import LabError

THRESHOLD = 6.0
"""Features of a greater magnitude are multiplied in sixteen bits (section 3.2 there)."""


def to_eight_bits(bodies: Iterable[nn.Module]) -> None:
    """Make linear layers whose matrix is not trained, and belongs to them alone, layers of the library.

    Each row of a matrix is stored as integers of eight bits and one scale; gradients pass through it to what lies below. Biases, and
    what is not linear (embeddings, layer norms, convolutions), stay as they are.

    Args:
        bodies: the parts of a model that are looked through.

    Raises:
        LabError: bitsandbytes is not installed.
    """
    logging.getLogger("bitsandbytes").setLevel(
        logging.ERROR
    )  # it tells of every layer, in every pass, that it computes in float16
    try:
        from bitsandbytes.nn.modules import Int8Params, Linear8bitLt
    except ImportError as error:
        raise LabError(
            "frozen_weights: int8 needs bitsandbytes: pip install 'prompt-lab[int8]', or take bfloat16, half of float32's size"
        ) from error
    parts = {id(part): part for body in bodies for part in body.modules()}.values()
    owners = Counter(id(p) for part in parts for p in part.parameters(recurse=False))
    for layer in parts:
        if type(layer) is not nn.Linear or layer.weight.requires_grad or owners[id(layer.weight)] > 1:
            continue
        like: Any = Linear8bitLt(
            layer.in_features, layer.out_features, layer.bias is not None, has_fp16_weights=False, threshold=THRESHOLD,
            device="meta",
        )  # fmt: skip
        matrix = layer.weight.detach().to(torch.float16, copy=True)
        stored: Any = Int8Params(matrix, requires_grad=False, has_fp16_weights=False)
        layer.weight = stored.to(layer.weight.device)
        # the layer itself becomes one of theirs: adapters are hooked to it
        layer.__class__ = Linear8bitLt
        vars(layer).update({name: value for name, value in vars(like).items() if name not in vars(layer)})
