"""Everything moves: all parameters of the backbone are trained."""

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.tuning.base import Tuning


class Full(Tuning):
    """All parameters (Devlin et al. 2019, section 3.2). Parts that no answer reads, such as an unused head, stay out."""

    moves_backbone = True

    def add(self, backbone: Backbone) -> None:
        """Let every parameter move."""
        backbone.requires_grad_(True)
