"""Word embeddings alone."""

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.optimizing import Optimizer
from prompt_lab.tuning.base import Tuning


class Embeddings(Tuning):
    """Trains the word embeddings; a language-model head that shares them moves with them.

    Args:
        learning_rate: of the embeddings.
        weight_decay: AdamW's; it would shrink the words that no text holds.
        dropout: whether the backbone's dropout is on during training.
        optimizer: AdamW or Adafactor.
    """

    moves_backbone = True

    def __init__(
        self,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        dropout: bool = True,
        optimizer: Optimizer = "adamw",
    ) -> None:
        super().__init__(learning_rate, weight_decay, dropout, optimizer)

    def add(self, backbone: Backbone) -> None:
        """Let them move."""
        backbone.embeddings().requires_grad_(True)
