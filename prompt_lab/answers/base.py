"""What is read out: from a batch to a score for every label."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Plan, Reader
from prompt_lab.batch import Encoded
from prompt_lab.errors import LabError
from prompt_lab.tasks import Task
from prompt_lab.templates import Template


class Answer(nn.Module, ABC):
    """Turns what a backbone computes into label scores.

    A subclass is made from settings alone and knows its task only after ``build``.

    Args:
        learning_rate: of the answer's own parameters, if it has any; the tuning's by default.
    """

    needs_mask: ClassVar[bool]
    needs_head: ClassVar[bool]
    """Whether the backbone's language-model head is used."""

    plan: Plan | None = None
    """The rows an example is laid out as; None when the template has no mask."""

    def __init__(self, learning_rate: float | None = None) -> None:
        super().__init__()
        self.learning_rate = learning_rate

    def build(self, task: Task, reader: Reader, template: Template) -> None:
        """Fit this answer to a task, the way a backbone reads, and a template.

        Raises:
            LabError: they do not go together; nothing has been loaded yet.
        """
        if self.needs_mask and not template.has_mask:
            raise LabError(
                f"{type(self).__name__} reads its answer at the mask, but the template {str(template)!r} has none. "
                "Add {mask}, or use the answer Head."
            )

    @abstractmethod
    def forward(self, backbone: Backbone, batch: Encoded) -> Tensor:
        """Label scores [B, C]; their softmax is the distribution over labels."""

    def word_of(self, label: int) -> str | None:
        """How a demonstration says this label: a word that stands where the mask was. None for an answer without words."""
        return None

    def pieces(self) -> Mapping[str, list[str]]:
        """For people to look at: how the tokenizer splits each label word. Empty where there are no words."""
        return {}
