"""The base of every pretraining objective."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Kind, Reader
from prompt_lab.errors import LabError
from prompt_lab.pretraining.passages import Document, Passages


class Learnt(NamedTuple):
    """What an objective made of a batch: its mean loss, and for each of its M questions whether the answer was right."""

    loss: Tensor
    right_M: Tensor


class Objective(nn.Module, ABC):
    """Something to learn from plain text. Several are learnt at once from the same passages, their losses weighted.

    Args:
        weight: of its loss in the sum.
    """

    kinds: ClassVar[tuple[Kind, ...]] = ("masked",)
    """Kinds of backbone that can learn it."""
    predicts_words: ClassVar[bool] = False
    """Whether its questions are words, so that a perplexity can be told."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if weight <= 0:
            raise LabError(
                f"the weight of {type(self).__name__} must be above 0; it was {weight}. Leave it out instead"
            )
        self.weight = weight

    @property
    def name(self) -> str:
        """The name of its file: what its figures are logged under."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def relations(self) -> int:
        """How many relations between the two halves of a passage it tells apart; 0 if it needs no such passages."""
        return 0

    def prepare(self, reader: Reader) -> None:
        """Fit to the way a backbone reads.

        Raises:
            LabError: a backbone of this kind cannot learn it.
        """
        if reader.kind not in self.kinds:
            raise LabError(
                f"{type(self).__name__} is learnt by {' and '.join(self.kinds)} backbones; {reader.name!r} is a {reader.kind} model"
            )

    def build(self, backbone: Backbone) -> None:
        """Make the parameters of its own, if it has any."""

    def units(self, document: Document) -> np.ndarray | None:
        """[N] the unit each token of a document belongs to (-1 for none), if it hides units of text."""
        return None

    def hide(self, passages: Passages, generator: torch.Generator) -> Passages:
        """Hide something in the passages. What another objective has chosen before must not be touched."""
        return passages

    @abstractmethod
    def learn(self, backbone: Backbone, hidden_BTD: Tensor, passages: Passages) -> Learnt:
        """Its loss, given the hidden states that the backbone made of the passages."""

    def settings(self) -> dict[str, Any]:
        """What it was made with, for the record."""
        plain = (bool, int, float, str, list, type(None))
        own = {k: v for k, v in vars(self).items() if isinstance(v, plain) and k[0] != "_" and k != "training"}
        return {"objective": self.name, **own}
