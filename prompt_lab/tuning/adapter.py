"""Adapters: small networks of two layers and a bottleneck inside every transformer layer (Houlsby et al. 2019)."""

from typing import Any, Literal

import lightning.pytorch as pl
from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.sites import layer_ends
from prompt_lab.errors import LabError
from prompt_lab.optimizing import Optimizer
from prompt_lab.tuning.base import Tuning
from prompt_lab.tuning.gating import Gate, GateWatch, gate_values, gates

Kind = Literal["houlsby", "pfeiffer", "parallel"]
Activation = Literal["relu", "gelu", "tanh", "silu"]
_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh, "silu": nn.SiLU}


class Adapter(Tuning):
    """Trains h + s f(h W_down + b_down) W_up + b_up in place of h; the backbone stays as it is.

    ``houlsby`` has two in each layer, behind self-attention and behind the feed-forward network, each before the residual sum
    (Houlsby et al. 2019, section 2.1). ``pfeiffer`` has the second alone, as Pfeiffer et al. (2021, section 3.1) found to be enough;
    theirs also reads the residual, which this one does not. ``parallel`` stands beside the feed-forward network, reads what that reads
    and adds to what that gives (He et al. 2022, table 1 and section 4.6). A decoder's cross-attention has none.

    W_up and b_up begin as zeros, so that nothing changes at first; Houlsby et al. (section 2.1) begin near zero, and also train the
    layers' normalisation, which a ``Mixture`` with ``LayerNorm`` does here.

    Args:
        kind: where they stand.
        width: of the bottleneck.
        activation: f.
        scale: s; He et al. (section 4.5) use 4 with ``parallel``.
        gated: let a gate in each layer say how much of what the adapter adds is added (UniPELT: Mao et al. 2022, section 3.2).
        learning_rate: of the adapters.
        weight_decay: of their matrices.
        dropout: whether the backbone's dropout is on during training.
        optimizer: AdamW or Adafactor.
    """

    moves_backbone = True

    def __init__(
        self,
        kind: Kind = "houlsby",
        width: int = 16,
        activation: Activation = "gelu",
        scale: float = 1.0,
        gated: bool = False,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        dropout: bool = True,
        optimizer: Optimizer = "adamw",
    ) -> None:
        super().__init__(learning_rate, weight_decay, dropout, optimizer)
        if width < 1:
            raise LabError(f"the width of an adapter's bottleneck must be at least 1; it was {width}")
        self.kind, self.width, self.activation, self.scale, self.gated = kind, width, activation, scale, gated

    def add(self, backbone: Backbone) -> None:
        """Put the adapters in.

        Raises:
            LabError: the names of the model's layers say nothing, or it has such adapters already.
        """
        if hasattr(backbone, self._name):
            raise LabError(f"this backbone has {self.kind} adapters already; list that tuning once in a Mixture")
        found = nn.ModuleDict()
        held = gates(backbone, self._name) if self.gated else None
        backbone.add_module(self._name, found)
        for ends in layer_ends(backbone):
            behind = [ends.attention_out] if self.kind == "houlsby" else []
            for site in [*behind, ends.feed_out]:
                reads = ends.feed_in if self.kind == "parallel" else site
                size = reads.sizes[0] if self.kind == "parallel" else site.sizes[1]
                made = Bottleneck((size, site.sizes[1]), self.width, _ACTIVATIONS[self.activation](), self.scale)
                made.attach(reads.module, site.module)
                backbone.put_beside(site.module, made)
                found[site.name.replace(".", " ")] = made
                if held is not None:
                    made.gate = [held[0].add(site.name, size, held[1])]
                    backbone.put_beside(site.module, made.gate[0])

    def callbacks(self, backbone: Backbone) -> list[pl.Callback]:
        """How far the gates are open."""
        return [GateWatch(backbone, self._name)] if self.gated else []

    def facts(self, backbone: Backbone) -> dict[str, Any]:
        """How far the gates are open, where there are some."""
        return gate_values(backbone, self._name) if self.gated else {}

    @property
    def _name(self) -> str:
        return f"{self.kind}_adapters"


class Bottleneck(nn.Module):
    """What an adapter adds.

    Args:
        sizes: of what it reads and of what it gives.
        width: of the bottleneck.
        activation: between the two layers.
        scale: of what is added.
    """

    def __init__(self, sizes: tuple[int, int], width: int, activation: nn.Module, scale: float) -> None:
        super().__init__()
        self.down, self.activation, self.up = nn.Linear(sizes[0], width), activation, nn.Linear(width, sizes[1])
        nn.init.normal_(self.down.weight, std=0.02)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.scale = scale
        self.gate: list[Gate] = []  # in a list, or it would be a part of this module
        self._read: Tensor | None = None

    def attach(self, reads: nn.Module, adds: nn.Module) -> None:
        """Read what one module reads, and add to what another gives; where they are the same one, read what that gives."""
        if reads is not adds:
            reads.register_forward_pre_hook(self._remember)
        adds.register_forward_hook(self._add)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        """[B, T, D] to [B, T, D]."""
        added_BTD = self.scale * self.up(self.activation(self.down(hidden_BTD.to(self.down.weight.dtype))))
        return added_BTD * self.gate[0](hidden_BTD) if self.gate else added_BTD

    def __getstate__(self) -> dict[str, Any]:
        """A copy has nothing of a pass that is under way."""
        return {**self.__dict__, "_read": None}

    def _remember(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self._read = args[0]

    def _add(self, module: nn.Module, args: tuple[Tensor, ...], output_BTD: Tensor) -> Tensor:
        read_BTD = output_BTD if self._read is None else self._read
        self._read = None
        return output_BTD + self(read_BTD).to(output_BTD.dtype)
