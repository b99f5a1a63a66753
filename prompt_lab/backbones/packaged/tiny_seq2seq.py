"""A random seq2seq model of two layers, made on the spot: for tests."""

from prompt_lab.backbones.tiny import Tiny


class TinySeq2Seq(Tiny):
    """``Tiny`` of kind seq2seq."""

    def __init__(self, name: str = "tiny-seq2seq") -> None:
        super().__init__(name, "seq2seq")
