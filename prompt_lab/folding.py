"""Tensors that are trained through an encoder, and kept without it."""

import torch
from torch import Tensor, nn

EACH = "of_each"
"""Where the rows of several runs are read at once (``together``), the attribute of a module of their own that computes with the module
of every run over that run's rows."""


class Folded(nn.Module):
    """A trained tensor. Where it has an encoder, that is what is trained; folding keeps what it last said, and forgets it.

    What is stored is always ``weight``, never an encoder (reparameterisation: Li and Liang 2021, section 4.3; Liu et al. 2021,
    section 3.3: only the output embeddings are needed at inference).

    Args:
        weight: what it is before training, of any shape; with an encoder, only the shape counts.
        encoder: a module without inputs that gives a tensor of this shape.
    """

    start: Tensor

    def __init__(self, weight: Tensor, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=encoder is None)
        self.encoder = encoder
        if encoder is not None:
            with torch.no_grad():
                self.weight.copy_(self())
        self.register_buffer("start", self.weight.detach().clone(), persistent=False)

    def forward(self) -> Tensor:
        """The tensor. An encoder computes it in full precision, so that folding changes nothing."""
        if self.encoder is None:
            return self.weight
        with torch.autocast(self.weight.device.type, enabled=False):
            return self.encoder()

    def for_rows(self) -> Tensor:
        """The tensor for the rows of a batch: [1, ...] for all, or one for each where the rows are of several runs"""
        each = getattr(self, EACH, None)
        return self()[None] if each is None else each(lambda folded: folded()[None])

    def moved(self) -> Tensor:
        """How far it is from where it began, as a share of how long it was; a number, left on its device."""
        with torch.no_grad():
            return (self() - self.start).norm() / self.start.norm().clamp_min(1e-12)

    def fold(self) -> None:
        """Keep what the encoder says, and forget it."""
        if self.encoder is not None:
            with torch.no_grad():
                self.weight.copy_(self())
            self.weight.requires_grad_(True)
            self.encoder = None


def fold(module: nn.Module) -> None:
    """Fold all there is to fold in a module."""
    for part in module.modules():
        if isinstance(part, Folded):
            part.fold()


def moved(module: nn.Module) -> dict[str, Tensor]:
    """What training moves, by name: all that must be stored beside a backbone. Of folded tensors only what they come to."""
    found = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    for path, part in module.named_modules():
        if isinstance(part, Folded) and part.encoder is not None:
            found = {name: p for name, p in found.items() if not name.startswith(f"{path}.encoder.")}
            found[f"{path}.weight"] = part().detach()
    return found
