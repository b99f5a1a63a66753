"""The tail of a masked model: what comes behind its last attention, and reads every position for itself."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

FAMILIES = {"bert", "roberta", "xlm-roberta", "camembert", "electra", "ernie"}
"""Model types whose layers are BERT's: ``attention.self`` reads all positions, all behind it one by one."""
_LIBRARIES = "torch.nn.", "transformers.", "peft.tuners."
"""Their modules in a layer read positions one by one."""


def tail(layer: nn.Module, model_type: str) -> nn.Module | None:
    """Where the tail of a layer begins: what it is given may be cut down to the positions that will be read.

    Args:
        layer: the last one.
        model_type: as in a Hugging Face configuration.

    Returns:
        The module; None where the layer may do something else than BERT's, as one does that something of ours reads or changes.
    """
    if model_type not in FAMILIES:
        return None
    known = all(type(m).__module__.startswith(_LIBRARIES) and not _is_touched(m) for m in _behind_attention(layer))
    return layer.attention.output if known else None  # type: ignore[union-attr, return-value]


def _behind_attention(layer: nn.Module) -> Iterator[nn.Module]:
    yield layer
    yield layer.attention  # type: ignore[misc]
    for part in (layer.attention.output, layer.intermediate, layer.output):  # type: ignore[union-attr]
        yield from part.modules()  # type: ignore[union-attr]


def _is_touched(module: nn.Module) -> bool:
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    # transformers' own stay on a model that was once asked for all its hidden states, and note them when it is asked again
    foreign = any(not getattr(hook, "__module__", "").startswith("transformers.") for hook in hooks)
    return foreign or "forward" in module.__dict__


def at(positions_RN: Tensor, hidden_RTD: Tensor) -> Tensor:
    """Hidden states at some positions of every row: [R, N, D]."""
    return hidden_RTD.gather(1, positions_RN[..., None].expand(-1, -1, hidden_RTD.shape[-1]))


def cut(begin: nn.Module, positions_RN: Tensor) -> Any:
    """Let a tail read some positions alone, until the handle that is returned is removed."""

    def read(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(at(positions_RN, hidden_RTD) for hidden_RTD in given)

    return begin.register_forward_pre_hook(read)
