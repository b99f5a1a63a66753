"""Something that stands in for an attribute of a module for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

_NOTHING = object()


@contextmanager
def standing_in(module: nn.Module, name: str, value: Any) -> Iterator[None]:
    """Let something stand in for an attribute of a module; one that stands in for it already comes back afterwards."""
    before = module.__dict__.get(name, _NOTHING)
    module.__dict__[name] = value
    try:
        yield
    finally:
        del module.__dict__[name]
        if before is not _NOTHING:
            module.__dict__[name] = before
