"""The precision of what is computed."""

import torch


def multiplied_in(device: str) -> torch.dtype | None:
    """What autocast lets matrices be multiplied in on a kind of device, such as ``cpu``; None where it is off."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
