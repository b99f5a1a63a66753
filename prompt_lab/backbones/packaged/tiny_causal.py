"""A random causal model of two layers, made on the spot: for tests."""

from prompt_lab.backbones.tiny import Tiny


class TinyCausal(Tiny):
    """``Tiny`` of kind causal."""

    def __init__(self, name: str = "tiny-causal") -> None:
        super().__init__(name, "causal")
