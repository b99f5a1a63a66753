"""Normalisation layers alone: LN-tuning (Zhao et al. 2023), through peft."""

from typing import ClassVar

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.errors import LabError
from prompt_lab.optimizing import Optimizer
from prompt_lab.tuning.base import Tuning
from prompt_lab.tuning.injecting import inject


class LayerNorm(Tuning):
    """Trains gains and biases of the body's normalisation layers (Zhao et al. 2023, "Tuning LayerNorm in Attention"; before them
    Frankle et al. 2021 for convolutions).

    Args:
        learning_rate: of gains and biases.
        weight_decay: has nothing to act on: normalisation weights are left out of it.
        dropout: whether the backbone's dropout is on during training.
        optimizer: AdamW or Adafactor.
    """

    moves_backbone = True
    order: ClassVar[int] = 0

    def __init__(
        self,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        dropout: bool = True,
        optimizer: Optimizer = "adamw",
    ) -> None:
        super().__init__(learning_rate, weight_decay, dropout, optimizer)

    def add(self, backbone: Backbone) -> None:
        """Let copies of the layers move.

        Raises:
            LabError: the body has no normalisation layer with a gain.
        """
        import peft

        inside = {id(m) for body in backbone.bodies() for m in body.modules()}
        names = [
            n
            for n, m in backbone.model.named_modules()
            if id(m) in inside and "norm" in type(m).__name__.lower() and getattr(m, "weight", None) is not None
        ]
        if not names:
            raise LabError(f"{type(backbone.model).__name__} has no normalisation layers with weights to train")
        inject(backbone, peft.LNTuningConfig(target_modules=names), "layer_norm")
