"""A model that can only copy the token before the place it is read at: shows which place that is."""

from typing import Any

from prompt_lab.backbones.tiny import Tiny


class Copycat(Tiny):
    """A masked model whose prediction at every position is the token ``offset`` places further on.

    Args:
        name: the name it goes by.
        offset: -1 copies what stands just before the mask, 1 what stands just after.
    """

    def __init__(self, name: str = "copycat", offset: int = -1) -> None:
        super().__init__(name, "masked")
        self._offset = offset

    def config(self) -> Any:
        """Wide enough for nearly orthogonal embeddings of a whole vocabulary."""
        config = super().config()
        config.hidden_size = 256
        return config

    def model(self) -> tuple[Any, tuple[str, ...]]:
        """Embeddings that are nearly orthogonal, used to write as well as to read."""
        import torch

        from prompt_lab.backbones.copying import CopyingModel

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return CopyingModel(self.config(), self._offset), ()
