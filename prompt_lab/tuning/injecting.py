"""Puts the layers of peft into a backbone."""

import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.sites import ROLES, is_linear, plain, with_role
from prompt_lab.errors import LabError


def inject(backbone: Backbone, config: Any, name: str) -> None:
    """Put a method's layers in the place of its targets.

    Args:
        backbone: whose parameters of other kinds are frozen by this.
        config: peft's own.
        name: of the adapter, one for each method, by which peft knows it.

    Raises:
        LabError: peft has put an adapter of that name in already, or another kind of LoRA.
    """
    import peft

    known = getattr(backbone.model, "peft_config", {})
    if name in known:
        raise LabError(f"this backbone has {name!r} already; list that tuning once in a Mixture")
    if isinstance(config, peft.LoraConfig) and any(isinstance(other, peft.LoraConfig) for other in known.values()):
        raise LabError(
            f"peft trains one kind of LoRA at a time: list {name!r} or {', '.join(known)} in a Mixture, not both"
        )
    with warnings.catch_warnings():  # peft asks transformers in a way that transformers has deprecated
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "Unsupported layer type")  # its own LN-tuning's layers
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # of another tuning in a Mixture
        peft.inject_adapter_in_model(config, backbone.model, name)


def targets(backbone: Backbone, wanted: Sequence[str] | None) -> list[str]:
    """Full names of the linear layers of the body that a method is to change.

    Args:
        backbone: whose layers they are.
        wanted: roles such as ``query`` (see ``backbones.sites``), or endings of names such as ``output.dense``; all by default.

    Raises:
        LabError: a target is no role, and no layer has such an ending.
    """
    inside = {id(m) for body in backbone.bodies() for m in body.modules()}
    linear = [n for n, m in backbone.model.named_modules() if id(m) in inside and is_linear(plain(m))]
    linear = [n for n in linear if not n.endswith(".base_layer")]
    if wanted is not None and not wanted:
        raise LabError("targets is empty; leave it out for all linear layers of the body, or name some")
    if wanted is None:
        wanted = sorted({n.rpartition(".")[2] for n in linear})
    found: dict[str, None] = {}
    for target in wanted:
        ending = [n for n in linear if f".{n}".endswith(f".{target}")]  # `wo` does not end in `o`
        if not ending and target in ROLES:
            ending = [site.name for site in with_role(backbone, target)]
        if not ending:
            ends = sorted({n.rpartition(".")[2] for n in linear})
            raise LabError(
                f"no linear layer of {backbone.reader.name!r} ends in {target!r}, nor is that one of the roles {', '.join(ROLES)}; "
                f"they end in {', '.join(ends) or 'nothing'}"
            )
        found |= dict.fromkeys(ending)
    if not found:
        raise LabError(f"{backbone.reader.name!r} has no linear layers in its body")
    return list(found)


def transposed(backbone: Backbone, names: Sequence[str]) -> bool:
    """Whether layers hold their weights the other way round, as GPT-2's do."""
    return all(type(plain(backbone.model.get_submodule(n))).__name__ == "Conv1D" for n in names)


def replaced(backbone: Backbone) -> list[nn.Parameter]:
    """Parameters of layers that nothing reads any more, since copies of theirs are trained in their place (LN-tuning)."""
    unread = [m for n, m in backbone.model.named_modules() if n.endswith(".base_layer") and not is_linear(plain(m))]
    return [p for m in unread for p in m.parameters()]
