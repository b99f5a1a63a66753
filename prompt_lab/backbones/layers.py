"""The layers of a transformer."""

from torch import nn

from prompt_lab.errors import LabError


def layers_of(body: nn.Module) -> nn.ModuleList:
    """The layers of a body: its largest list of modules.

    Raises:
        LabError: it has no such list.
    """
    lists = [m for m in body.modules() if isinstance(m, nn.ModuleList) and len(m)]
    if not lists:
        raise LabError(f"{type(body).__name__} has no list of layers")
    return max(lists, key=lambda m: sum(p.numel() for p in m.parameters()))
