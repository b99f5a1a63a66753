"""MiniLM, 6 layers of 384, a masked LM by a delta of our own: the default, no hub needed."""

from pathlib import Path

from prompt_lab.backbones.delta import Adapted
from prompt_lab.backbones.packaged.minilm import Minilm

FOLDER = Path(__file__).parent / "weights" / "minilm_mlm"


class MinilmMlm(Adapted):
    """``minilm`` as `prompt-lab pretrain --config experiments/pretraining/minilm_mlm.yaml` made it a masked LM.

    The delta's card, ``weights/minilm_mlm/README.md``, says what it was trained on and how well it does.
    """

    def __init__(self, name: str = "minilm-mlm") -> None:
        super().__init__(FOLDER, Minilm(name), name)
