"""Low-rank matrices beside the linear layers of the body: LoRA (Hu et al. 2022), through peft."""

from typing import Any, ClassVar

import lightning.pytorch as pl

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.errors import LabError
from prompt_lab.optimizing import Optimizer
from prompt_lab.tuning.base import Tuning
from prompt_lab.tuning.gating import GateWatch, gate_low_rank, gate_values
from prompt_lab.tuning.injecting import inject, targets, transposed

NAME = "lora"


class Lora(Tuning):
    """Trains W + (alpha / rank) B A in place of W, with A [rank, in] and B [out, rank] (Hu et al. 2022, equation 3).

    Args:
        rank: of the matrices.
        alpha: scale of what they add, divided by the rank.
        targets: the linear layers that get matrices: roles (``query``, ``key``, ``value``, ``attention_out``, ``feed_in``,
            ``feed_out``), or endings of their names, such as ``output.dense``; all of the body by default.
        rslora: divide alpha by the root of the rank instead (rsLoRA: Kalajdzievski 2023, theorem 3.2).
        dora: train the length of each output's weights, a row of W, beside their direction (DoRA: Liu et al. 2024, equation 5).
        gated: let a gate in each layer say how much of what the matrices add is added (UniPELT: Mao et al. 2022, section 3.2).
        learning_rate: of the matrices.
        weight_decay: AdamW's.
        dropout: whether the backbone's dropout is on during training.
        optimizer: AdamW or Adafactor.
    """

    moves_backbone = True
    order: ClassVar[int] = 0

    def __init__(
        self,
        rank: int = 8,
        alpha: float = 16.0,
        targets: list[str] | None = None,
        rslora: bool = False,
        dora: bool = False,
        gated: bool = False,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        dropout: bool = True,
        optimizer: Optimizer = "adamw",
    ) -> None:
        super().__init__(learning_rate, weight_decay, dropout, optimizer)
        if rank < 1:
            raise LabError(f"the rank of LoRA must be at least 1; it was {rank}")
        if alpha <= 0:
            raise LabError(f"alpha scales what LoRA adds and must be above 0; it was {alpha}")
        if gated and dora:
            raise LabError("DoRA adds nothing that a gate could hold back: use gated or dora, not both")
        self.rank, self.alpha, self.targets = rank, alpha, targets
        self.rslora, self.dora, self.gated = rslora, dora, gated

    def add(self, backbone: Backbone) -> None:
        """Put the matrices in; at first they add nothing.

        Raises:
            LabError: the body has no such layers.
        """
        import peft

        names = targets(backbone, self.targets)
        config = peft.LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            target_modules=names,
            fan_in_fan_out=transposed(backbone, names),
            use_rslora=self.rslora,
            use_dora=self.dora,
        )
        inject(backbone, config, NAME)
        if self.gated:
            gate_low_rank(backbone, NAME, names)

    def callbacks(self, backbone: Backbone) -> list[pl.Callback]:
        """How far the gates are open."""
        return [GateWatch(backbone, NAME)] if self.gated else []

    def facts(self, backbone: Backbone) -> dict[str, Any]:
        """How far the gates are open, where there are some."""
        return gate_values(backbone, NAME) if self.gated else {}
