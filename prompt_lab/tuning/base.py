"""What moves: which parameters are trained, how fast, and whether dropout is on."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import nn

from prompt_lab.backbones.backbone import Backbone


class Tuning(ABC):
    """Decides which parameters of a backbone are trained.

    Args:
        learning_rate: of the parameters that move.
        weight_decay: AdamW's; biases and normalisation weights are left out of it.
        dropout: whether the backbone's dropout is on during training. Checkpoints are loaded in evaluation mode, and Lightning
            leaves them there, so this is set on purpose.
    """

    moves_backbone: ClassVar[bool]
    moves_prompt: ClassVar[bool] = False

    def __init__(self, learning_rate: float = 5e-5, weight_decay: float = 0.01, dropout: bool = True) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout

    @abstractmethod
    def apply(self, backbone: Backbone) -> None:
        """Freeze everything, then let what moves move, adding parameters where the method has its own.

        Raises:
            LabError: the method does not fit this backbone, with the reason.
        """

    @property
    def moves(self) -> bool:
        """Whether anything is trained."""
        return self.moves_backbone or self.moves_prompt

    def groups(self, module: nn.Module, learning_rate: float | None = None) -> list[dict[str, Any]]:
        """Optimizer groups over the parameters of a module that are trained; empty groups are left out.

        Args:
            module: a backbone, or an answer with parameters of its own.
            learning_rate: this tuning's by default.
        """
        rate = self.learning_rate if learning_rate is None else learning_rate
        moving = [p for p in module.parameters() if p.requires_grad]
        decayed = [p for p in moving if p.ndim > 1]
        plain = [p for p in moving if p.ndim <= 1]
        groups = [
            {"params": decayed, "lr": rate, "weight_decay": self.weight_decay},
            {"params": plain, "lr": rate, "weight_decay": 0.0},
        ]
        return [g for g in groups if g["params"]]
