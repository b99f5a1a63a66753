"""Vectors that keys, values and the feed-forward network are multiplied by: (IA)^3 (Liu et al. 2022), through peft."""

from typing import ClassVar

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.sites import with_role
from prompt_lab.optimizing import Optimizer
from prompt_lab.tuning.base import Tuning
from prompt_lab.tuning.injecting import inject, transposed


class Ia3(Tuning):
    """Trains three vectors a layer, ones at first: l_k and l_v on keys and values, l_ff on what the feed-forward network's last
    linear layer reads (Liu et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning", section 3.3).

    Where a model makes queries, keys and values in one (GPT-2), the queries are multiplied too.

    Args:
        learning_rate: of the vectors.
        weight_decay: of the vectors; it pulls them to zero, where nothing is left of what they multiply.
        dropout: whether the backbone's dropout is on during training.
        optimizer: AdamW or Adafactor, which the paper uses.
    """

    moves_backbone = True
    order: ClassVar[int] = 0

    def __init__(
        self,
        learning_rate: float = 1e-2,
        weight_decay: float = 0.0,
        dropout: bool = False,
        optimizer: Optimizer = "adamw",
    ) -> None:
        super().__init__(learning_rate, weight_decay, dropout, optimizer)

    def add(self, backbone: Backbone) -> None:
        """Put the vectors in.

        Raises:
            LabError: keys, values or the feed-forward network are not known by their names.
        """
        import peft

        inner = [s.name for s in with_role(backbone, "feed_out")]
        names = list(dict.fromkeys(s.name for role in ("key", "value") for s in with_role(backbone, role))) + inner
        config = peft.IA3Config(
            target_modules=names, feedforward_modules=inner, fan_in_fan_out=transposed(backbone, names)
        )
        inject(backbone, config, "ia3")
