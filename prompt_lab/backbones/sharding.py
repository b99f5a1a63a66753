"""Frozen weights shared out: of several devices, each keeps a part of every layer's, and gathers a layer's while it computes that."""

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from prompt_lab.backbones.layers import layers_of

if TYPE_CHECKING:
    from prompt_lab.backbones.backbone import Backbone


def shard(backbone: "Backbone", device: torch.device) -> None:
    """Let every device keep a part of what is frozen in the layers (ZeRO stage 3: Rajbhandari et al. 2020; Zhao et al. 2023).

    The numbers stay the same. What is trained stays whole on every device, and so do word embeddings and heads. From now on all
    devices must compute each layer equally often, or they wait for each other for ever: what is computed only where it is not known
    yet (``memory``, text in front) is computed always.

    Args:
        backbone: the same one in every process.
        device: this process's.

    Raises:
        LabError: a body has no list of layers.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for stack in backbone.stacks():
        for layer in layers_of(stack):
            trained = {p for p in layer.parameters() if p.requires_grad}
            if not all(p.requires_grad for p in layer.parameters()):
                fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=trained)
    backbone.is_sharded = True


def leave_to_their_layers(module: nn.Module) -> None:
    """Let data parallelism leave alone what is kept in parts: it would copy it from the first process to all others."""
    from torch.distributed.tensor import DTensor

    names = [name for name, p in module.named_parameters() if isinstance(p, DTensor)]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, names)
