"""What peft put into a backbone, in peft's own files: ``<folder>/<adapter>/adapter_config.json`` and ``adapter_model.safetensors``."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from prompt_lab.paradigms import Paradigm
from prompt_lab.reporting.files import write_json, write_tensors

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
"""In front of every name, since peft loads into a model that it wraps."""


def adapters(module: Paradigm) -> dict[str, dict[str, nn.Parameter]]:
    """The parameters of every adapter that peft put into a paradigm's backbone, by adapter, then by their names in peft's files.

    The names are those that a plain model gives them, also where one adapter stands on layers of another's.
    """
    model: Any = module.backbone.model
    configs = getattr(model, "peft_config", None)
    if not configs:
        return {}
    from peft import get_peft_model_state_dict

    own = model.state_dict(keep_vars=True)
    found = {}
    for adapter in configs:
        state = get_peft_model_state_dict(model, own, adapter, save_embedding_layers=False)
        found[adapter] = {_PREFIX + plain_name(name): value for name, value in state.items()}
    return found


def plain_name(name: str) -> str:
    """What a model calls a parameter before peft has put layers of its own around its layers."""
    return ".".join(part for part in name.split(".") if part != "base_layer")


def names(module: Paradigm, adapter: Mapping[str, nn.Parameter]) -> dict[str, str]:
    """From an adapter's names in peft's files to the paradigm's own, of those parameters alone that move."""
    own = {id(p): name for name, p in module.named_parameters()}
    return {name: own[id(p)] for name, p in adapter.items() if p.requires_grad}


def write(folder: Path, module: Paradigm, made_for: Mapping[str, str]) -> None:
    """Store every adapter in a folder of its name, as ``peft.PeftModel.from_pretrained`` reads it.

    That is all of an adapter, also the part of it that no answer reads and that does not move, such as matrices of the decoder below
    a head on the encoder: peft complains where it is missing.

    Args:
        folder: of the adapters.
        module: whose backbone has them.
        made_for: metadata of the files.

    Raises:
        LabError: the folder cannot be written to, or the disk is full.
    """
    reader = module.backbone.reader
    for adapter, parameters in adapters(module).items():
        config: Any = copy.copy(module.backbone.model.peft_config[adapter])
        config.inference_mode = True
        config.base_model_name_or_path = reader.name
        config.revision = None if reader.revision.startswith("sha256:") else reader.revision
        told = {name: sorted(v) if isinstance(v, set) else v for name, v in config.to_dict().items()}
        tensors: dict[str, Tensor] = {n: p.detach().cpu().contiguous().clone() for n, p in parameters.items()}
        write_tensors(folder / adapter / WEIGHTS, tensors, {"format": "pt", **made_for})
        write_json(folder / adapter / CONFIG, told)
