"""What moves: which parameters are trained, how fast, and whether dropout is on."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import lightning.pytorch as pl
from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError
from prompt_lab.optimizing import Optimizer, own_rate
from prompt_lab.templates import Template

if TYPE_CHECKING:
    from prompt_lab.answers import Answer


class Tuning(ABC):
    """Decides which parameters of a backbone are trained.

    It may have parameters of its own, such as a prompt, which it puts into the template (``prompted``), fits to the task
    (``prepare``) and adds to the backbone (``add``).

    Args:
        learning_rate: of the parameters that move.
        weight_decay: the optimizer's; biases and normalisation weights are left out of it.
        dropout: whether the backbone's dropout is on during training. Checkpoints are loaded in evaluation mode, and Lightning
            leaves them there, so this is set on purpose.
        optimizer: AdamW or Adafactor.
    """

    moves_backbone: ClassVar[bool]
    moves_prompt: ClassVar[bool] = False
    trains_virtual: bool = False
    """Whether it trains the virtual tokens of a template."""
    beside_virtual: bool = False
    """Whether another tuning of a mixture does."""
    order: ClassVar[int] = 1
    """Which of several is added first: 0 for what takes the place of layers, 1 for what stands on layers, 2 for prompts."""

    def __init__(
        self,
        learning_rate: float = 5e-5,
        weight_decay: float = 0.01,
        dropout: bool = True,
        optimizer: Optimizer = "adamw",
    ) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.optimizer = optimizer

    def prompted(self, template: Template) -> Template:
        """The template with what this tuning puts into it."""
        return template

    def prepare(self, template: Template, answer: "Answer", reader: Reader) -> None:
        """Fit this tuning to a template with its answer, and to the way a backbone reads. No weights have been loaded yet.

        Raises:
            LabError: the template has virtual tokens, which this tuning does not train.
        """
        if template.virtual and not self.beside_virtual:
            raise LabError(
                f"template {str(template)!r} has virtual tokens, and {type(self).__name__} trains none. Use the tuning SoftPrompt, "
                "alone or in a Mixture, or leave {soft} out."
            )

    def apply(self, backbone: Backbone) -> None:
        """Freeze everything, then let what moves move.

        Raises:
            LabError: the method does not fit this backbone, with the reason.
        """
        backbone.requires_grad_(False)
        self.add(backbone)

    @abstractmethod
    def add(self, backbone: Backbone) -> None:
        """Let what moves move, whatever else moves, adding parameters where the method has its own. Errors as ``apply``."""

    def penalty(self, backbone: Backbone) -> Tensor | float:
        """What is added to the loss of a training step."""
        return 0.0

    def callbacks(self, backbone: Backbone) -> list[pl.Callback]:
        """What watches a fit."""
        return []

    def facts(self, backbone: Backbone) -> dict[str, Any]:
        """What the record should say of how it moved."""
        return {}

    @property
    def moves(self) -> bool:
        """Whether anything is trained."""
        return self.moves_backbone or self.moves_prompt

    def groups(self, module: nn.Module, learning_rate: float | None = None) -> list[dict[str, Any]]:
        """Optimizer groups over the parameters of a module that are trained; empty groups are left out.

        Args:
            module: a backbone, or an answer with parameters of its own.
            learning_rate: this tuning's by default; parameters that have a rate of their own keep that.
        """
        rate = self.learning_rate if learning_rate is None else learning_rate
        found: dict[tuple[bool, float], list[nn.Parameter]] = {}
        for parameter in module.parameters():
            if parameter.requires_grad:
                found.setdefault((parameter.ndim <= 1, own_rate(parameter, rate)), []).append(parameter)
        return [
            {"params": parameters, "lr": own, "weight_decay": 0.0 if is_plain else self.weight_decay}
            for (is_plain, own), parameters in sorted(found.items(), key=lambda one: one[0])
        ]
