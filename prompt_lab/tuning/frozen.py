"""Nothing moves: the backbone stays as it was pretrained."""

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.tuning.base import Tuning


class Frozen(Tuning):
    """No parameter of the backbone; an answer's own parameters, if it has any, are still trained (a linear probe)."""

    moves_backbone = False

    def __init__(self, learning_rate: float = 5e-5, weight_decay: float = 0.01, dropout: bool = False) -> None:
        super().__init__(learning_rate, weight_decay, dropout)

    def add(self, backbone: Backbone) -> None:
        """Nothing."""
