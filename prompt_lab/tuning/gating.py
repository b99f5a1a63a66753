"""Gates: how much of what a method adds to a layer is added, as the layer's input says (UniPELT: Mao et al. 2022)."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.optimizing import keep_rate

RATE = 1e-3
"""The learning rate of all gates: at that of a prefix (0.1 and more) a few steps shut or open them for good."""


class Gate(nn.Module):
    """The mean, over the tokens of a text, of sigmoid(w h + b): one number for each text (Mao et al. 2022, section 3.2).

    Gates learn at a rate of their own. The mean is that of the authors' code, but for padding, which it leaves out. Where a decoder is
    given no mask, its first position is read, which is never padding.

    Args:
        width: of the hidden states it reads.
        seen: says which tokens are there, in the pass that is under way.
    """

    remembers: ClassVar[bool] = True
    """How far it was open is written into the record: it cannot be shared by runs that are read at once."""

    def __init__(self, width: int, seen: "Seen") -> None:
        super().__init__()
        self.line = nn.Linear(width, 1)
        nn.init.normal_(self.line.weight, std=0.02)
        nn.init.zeros_(self.line.bias)
        keep_rate(self.line, RATE)
        self._seen = [seen]  # in a list, or it would be a part of this module
        self._sum: Tensor | float = 0.0
        self._texts, self._is_step = 0, False
        self._now: Tensor | None = None

    def read(self, module: nn.Module, args: Sequence[Tensor]) -> None:
        """Hook of what reads the hidden states that the gate reads."""
        self._now = self(args[0])

    def hold_back(self, module: nn.Module, args: Any, output_BTD: Tensor) -> Tensor:
        """Hook of what the gate holds back."""
        return output_BTD * self.now

    @property
    def now(self) -> Tensor:
        """[B, 1, 1]: how far it is open in the pass that is under way."""
        assert self._now is not None
        return self._now

    def __getstate__(self) -> dict[str, Any]:
        """A copy has nothing of a pass that is under way."""
        return {**self.__dict__, "_now": None}

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        """[B, 1, 1], between 0 and 1; where texts are one behind the other [B * T, D] (OPT's feed-forward network), [B * T, 1]."""
        open_BT = self.line(hidden_BTD.to(self.line.weight.dtype)).sigmoid()[..., 0]
        is_flat = open_BT.ndim == 1
        if is_flat:
            open_BT = open_BT.view(self._seen[0].texts, -1)
        gate_B = (open_BT * self._seen[0].share(open_BT)).sum(1)
        self._note(gate_B.detach())
        gate_B = gate_B.to(hidden_BTD.dtype)
        return gate_B.repeat_interleave(open_BT.shape[1])[:, None] if is_flat else gate_B[:, None, None]

    @property
    def mean(self) -> float:
        """How far it was open on average: in the last training step, or over all texts since then that were read without one."""
        return float(self._sum) / max(1, self._texts)

    def _note(self, gate_B: Tensor) -> None:
        if torch.is_grad_enabled() or self._is_step:
            self._sum, self._texts = 0.0, 0
        self._is_step = torch.is_grad_enabled()
        self._sum = self._sum + gate_B.sum()
        self._texts += len(gate_B)


class Seen(nn.Module):
    """Remembers the attention mask of the body that is running, and how many texts it reads.

    Args:
        backbone: whose bodies they are.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self._mask: Tensor | None = None
        self.texts = 0
        for body in backbone.bodies():
            body.register_forward_pre_hook(self._begin, with_kwargs=True)

    def share(self, like_BT: Tensor) -> Tensor:
        """[B, T]: the weight of every token in a mean over those that are there."""
        if self._mask is None or self._mask.shape != like_BT.shape:
            first_BT = torch.zeros_like(like_BT)
            first_BT[:, 0] = 1
            return first_BT
        mask_BT = self._mask.to(like_BT.dtype)
        return mask_BT / mask_BT.sum(1, keepdim=True)

    def _begin(self, body: nn.Module, args: Any, given: dict[str, Any]) -> None:
        self.texts = len(args[0] if args else given["input_ids"])
        mask = given.get("attention_mask")
        self._mask = mask if isinstance(mask, Tensor) and mask.ndim == 2 else None


class Gates(nn.ModuleDict):
    """The gates of a method, by the places where they stand. Dots in the places' names become spaces."""

    def add(self, place: str, width: int, seen: Seen) -> Gate:
        """A new gate."""
        gate = self[place.replace(".", " ")] = Gate(width, seen)
        return gate

    def values(self) -> dict[str, float]:  # type: ignore[override]
        """How far each was open on average."""
        return {place: round(gate.mean, 4) for place, gate in self.items() if isinstance(gate, Gate)}


def gates(backbone: Backbone, method: str) -> tuple[Gates, Seen]:
    """Room for the gates of a method in a backbone, and what they look at."""
    if not hasattr(backbone, "seen"):
        backbone.seen = Seen(backbone)
    found = Gates()
    backbone.add_module(f"{method}_gates", found)
    seen: Any = backbone.seen
    return found, seen


def gate_low_rank(backbone: Backbone, adapter: str, names: Iterable[str]) -> None:
    """Let a gate at each of the layers that LoRA changes hold back what it adds; the gate reads what the layer reads.

    Args:
        backbone: peft has put the matrices in.
        adapter: peft's name for them.
        names: of the layers.
    """
    found, seen = gates(backbone, adapter)
    for name in names:
        layer: Any = backbone.model.get_submodule(name)
        gate = found.add(name, layer.lora_A[adapter].in_features, seen)
        backbone.put_beside(layer, gate)
        layer.register_forward_pre_hook(gate.read)
        layer.lora_B[adapter].register_forward_hook(gate.hold_back)


def gate_values(backbone: Backbone, method: str) -> dict[str, Any]:
    """How far the gates of a method were open on average, by place, for the record."""
    found = backbone.get_submodule(f"{method}_gates")
    assert isinstance(found, Gates)
    return {"gates": {method: found.values()}}


class GateWatch(pl.Callback):
    """Logs how far each gate of a method is open, as ``gate/METHOD/PLACE``.

    Args:
        backbone: whose gates they are.
        method: what they belong to.
    """

    def __init__(self, backbone: Backbone, method: str) -> None:
        self._backbone, self._method = backbone, method

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        """Log them."""
        found = gate_values(self._backbone, self._method)["gates"][self._method]
        module.log_dict({f"gate/{self._method}/{place}": value for place, value in found.items()})
