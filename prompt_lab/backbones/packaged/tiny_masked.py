"""A random masked model of two layers, made on the spot: for tests."""

from prompt_lab.backbones.tiny import Tiny


class TinyMasked(Tiny):
    """``Tiny`` of kind masked."""

    def __init__(self, name: str = "tiny-masked") -> None:
        super().__init__(name, "masked")
