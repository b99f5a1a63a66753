"""How many parameters are frozen, trained and added: of what was pretrained, and of what is new."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.folding import Folded

_PUT_IN = re.compile(r"\.(base_layer|ln_tuning_layers\.[^.]+)(?=\.)")
"""What peft puts into the name of a pretrained parameter, or of the copy that it trains in its place."""


@dataclass(frozen=True)
class Figures:
    """Numbers of parameters.

    Attributes:
        frozen: that stay as they are.
        trained: of the backbone as it was pretrained, that move.
        added: that move and were not there before: prompts, adapters, heads.
    """

    frozen: int = 0
    trained: int = 0
    added: int = 0

    @property
    def moving(self) -> int:
        """Trained and added: what an optimizer is given."""
        return self.trained + self.added

    @property
    def total(self) -> int:
        """All of them."""
        return self.frozen + self.moving

    @property
    def percent(self) -> float:
        """How many of all move."""
        return 100 * self.moving / self.total if self.total else 0.0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(self.frozen + other.frozen, self.trained + other.trained, self.added + other.added)

    def times(self, number: int) -> "Figures":
        """Those of as many that are alike."""
        return Figures(number * self.frozen, number * self.trained, number * self.added)

    def facts(self) -> dict[str, Any]:
        """What the record says of them."""
        counts = {"frozen": self.frozen, "trained": self.trained, "added": self.added, "total": self.total}
        return counts | {"percent_moving": round(self.percent, 6)}


class Parameter(NamedTuple):
    """A parameter: its name, that of the pretrained model where a library has changed it; its shape; and what it counts as."""

    name: str
    shape: tuple[int, ...]
    figures: Figures


def figures(module: nn.Module) -> Figures:
    """The figures of a whole module, such as a paradigm that is built. Before it is folded an encoder counts, then what it came to."""
    return sum((p.figures for p in parameters(module)), Figures())


def parameters(module: nn.Module) -> Iterator[Parameter]:
    """Every parameter that a forward pass uses, once.

    What was pretrained is known from the backbone's original. A layer that peft trains a copy of counts once, as trained. The tensor
    that an encoder will be folded into is not counted beside the encoder.
    """
    before = {
        f"{path}.{name}".lstrip(".")
        for path, part in module.named_modules()
        if isinstance(part, Backbone)
        for name in part.pretrained
    }
    waiting = {id(m.weight) for m in module.modules() if isinstance(m, Folded) and m.encoder is not None}
    used = [(_PUT_IN.sub("", name), p) for name, p in module.named_parameters() if id(p) not in waiting]
    moving = {name for name, p in used if p.requires_grad}
    for name, p in used:
        if not p.requires_grad and name in moving:
            continue  # a copy of it is trained, and stands in its place
        state = "frozen" if not p.requires_grad else "trained" if name in before else "added"
        yield Parameter(name, tuple(p.shape), Figures(**{state: p.numel()}))
