"""Biases alone: BitFit (Ben Zaken et al. 2022)."""

from typing import Literal

from torch import nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.sites import Role, plain, with_role
from prompt_lab.errors import LabError
from prompt_lab.optimizing import Optimizer
from prompt_lab.tuning.base import Tuning

_ROLES: tuple[Role, ...] = ("query", "feed_in")


class BitFit(Tuning):
    """Trains the body's biases (Ben Zaken et al. 2022, section 3).

    Args:
        biases: ``all`` of them, or the paper's ``subset``: those of the queries and of the feed-forward network's first layer (b_q and
            b_m2), about half as many. Where a model makes queries, keys and values in one (GPT-2), all three have one bias.
        learning_rate: of the biases.
        dropout: whether the backbone's dropout is on during training.
        optimizer: AdamW or Adafactor.
    """

    moves_backbone = True

    def __init__(
        self,
        biases: Literal["all", "subset"] = "all",
        learning_rate: float = 1e-3,
        dropout: bool = True,
        optimizer: Optimizer = "adamw",
    ) -> None:
        super().__init__(learning_rate, 0.0, dropout, optimizer)
        self.biases = biases

    def add(self, backbone: Backbone) -> None:
        """Let biases move.

        Raises:
            LabError: the model has none, or queries and feed-forward network are not known by their names.
        """
        if self.biases == "all":
            modules = [m for body in backbone.bodies() for m in body.modules()]
            named = [pair for m in modules for pair in m.named_parameters(recurse=False)]
            found = [p for n, p in named if n == "bias" or n.endswith("_bias")]  # DeBERTa's q_bias and v_bias
        else:
            layers = [plain(s.module) for role in _ROLES for s in with_role(backbone, role)]
            found = [m.bias for m in layers if isinstance(m.bias, nn.Parameter)]
        if not found:
            raise LabError(
                f"{type(backbone.model).__name__} has no such biases (Llama-like models and T5 have none at all), so BitFit has "
                "nothing to train. Use LayerNorm or Lora."
            )
        for bias in found:
            bias.requires_grad_(True)
