"""The last layers alone."""

from torch import nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.layers import layers_of
from prompt_lab.errors import LabError
from prompt_lab.optimizing import Optimizer
from prompt_lab.tuning.base import Tuning


class LastLayers(Tuning):
    """Trains the last layers of the body, of encoder and decoder each; word embeddings and the layers below stay (Lee et al. 2019,
    "What Would Elsa Do?").

    Args:
        number: of layers.
        learning_rate: of their parameters.
        weight_decay: AdamW's.
        dropout: whether the backbone's dropout is on during training.
        optimizer: AdamW or Adafactor.
    """

    moves_backbone = True

    def __init__(
        self,
        number: int = 1,
        learning_rate: float = 1e-4,
        weight_decay: float = 0.01,
        dropout: bool = True,
        optimizer: Optimizer = "adamw",
    ) -> None:
        super().__init__(learning_rate, weight_decay, dropout, optimizer)
        if number < 1:
            raise LabError(
                f"number is how many of the last layers are trained, 1 or more; it was {number}. For none, use Frozen."
            )
        self.number = number

    def add(self, backbone: Backbone) -> None:
        """Let them move.

        Raises:
            LabError: there are fewer layers.
        """
        for body in backbone.stacks():
            layers: nn.ModuleList = layers_of(body)
            if len(layers) < self.number:
                raise LabError(
                    f"{backbone.reader.name!r} has {len(layers)} layers (ALBERT's share their weights and count as one), and the last "
                    f"{self.number} were to be trained. Lower number."
                )
            layers[-self.number :].requires_grad_(True)
