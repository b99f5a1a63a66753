"""My tuning: biases and gains of the last layers (this first line is what `prompt-lab list tunings` prints).

A starting point that works as it stands, on every kind of backbone. Change what is marked, then `prompt-lab check` it.
"""

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.layers import layers_of
from prompt_lab.errors import LabError
from prompt_lab.tuning.base import Tuning


class MyTuning(Tuning):
    """Trains the biases and normalisation gains of the last layers (say what moves, and cite the paper: authors, year, section).

    Args:
        layers: how many of the last ones, of encoder and decoder each.
        learning_rate: of what moves.
    """

    moves_backbone = True
    """Whether parameters of the backbone are trained, or new ones in its layers; it decides which strategy the record names."""

    # CHANGE: settings of your own. Each is typed and has a default; it is then an option (--model.tuning.layers 2).
    def __init__(self, layers: int = 1, learning_rate: float = 1e-3) -> None:
        super().__init__(learning_rate, weight_decay=0.0)
        if layers < 1:
            raise LabError(f"layers is how many of the last layers are trained, 1 or more; it was {layers}")
        self.layers = layers

    # CHANGE: what moves. All is frozen before this is called. Switch on what exists with requires_grad_(True), or add modules of
    # your own: whatever requires a gradient is trained, counted and stored.
    def add(self, backbone: Backbone) -> None:
        """Let them move.

        Raises:
            LabError: the last layers have neither biases nor gains.
        """
        last = [layer for body in backbone.stacks() for layer in layers_of(body)[-self.layers :]]
        vectors = [p for layer in last for p in layer.parameters() if p.ndim == 1]
        if not vectors:
            raise LabError(f"the last layers of {backbone.reader.name!r} have neither biases nor gains; use Lora")
        for vector in vectors:
            vector.requires_grad_(True)
