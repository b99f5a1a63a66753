"""What prompts in several layers share: vectors that are computed once in a pass, and the turn of a layer that is called again."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.errors import LabError
from prompt_lab.folding import Folded


class Layered(nn.Module):
    """Prompt vectors of several layers.

    Args:
        vectors: [P, E], the parts of all layers after one another.
        widths: of the parts; they sum to E.
    """

    def __init__(self, vectors: Folded, widths: Sequence[int]) -> None:
        super().__init__()
        self.vectors = vectors
        self._widths = list(widths)
        self._now: Sequence[Tensor] = ()
        self._called: dict[int, int] = {}

    def attach(self, backbone: Backbone) -> None:
        """Let the backbone read them: begin anew with every pass of what reads the text, or is answered from.

        Raises:
            LabError: it has a prompt in its layers already, which would be read in the place of this one.
        """
        if hasattr(backbone, "deep_prompt"):
            raise LabError("this backbone has a prompt in its layers already; list DeepPrompt once in a Mixture")
        backbone.deep_prompt = self
        for body in backbone.bodies():  # a language model may call its decoder past its body
            body.register_forward_pre_hook(self._begin)

    def turn(self, layer: nn.Module, turns: Sequence[int | None]) -> int | None:
        """Which of the prompts a layer has, now that it is called once more in this pass (ALBERT calls one layer for all)."""
        number = self._called.get(id(layer), 0)
        self._called[id(layer)] = number + 1
        return turns[number % len(turns)]

    def __getstate__(self) -> dict[str, Any]:
        """A copy has nothing of a pass that is under way."""
        return {**self.__dict__, "_now": (), "_called": {}}

    def _begin(self, *_: Any) -> None:
        self._called.clear()
        self._now = self.vectors.for_rows().split(self._widths, dim=2)
