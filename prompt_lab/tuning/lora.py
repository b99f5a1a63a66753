"""Low-rank matrices beside the linear layers of the body: LoRA (Hu et al. 2022), through peft."""

import warnings

from torch import nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.errors import LabError
from prompt_lab.tuning.base import Tuning


class Lora(Tuning):
    """Trains W + (alpha / rank) B A in place of W, with A [rank, in] and B [out, rank] (Hu et al. 2022, equation 3).

    Args:
        rank: of the matrices.
        alpha: scale of what they add, divided by the rank.
        targets: endings of the names of the linear layers that get matrices, such as ``query`` or ``output.dense``; all of the
            body by default.
        learning_rate: of the matrices.
        weight_decay: AdamW's.
        dropout: whether the backbone's dropout is on during training.
    """

    moves_backbone = True

    def __init__(
        self,
        rank: int = 8,
        alpha: float = 16.0,
        targets: list[str] | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        dropout: bool = True,
    ) -> None:
        super().__init__(learning_rate, weight_decay, dropout)
        if rank < 1:
            raise LabError(f"the rank of LoRA must be at least 1; it was {rank}")
        if alpha <= 0:
            raise LabError(f"alpha scales what LoRA adds and must be above 0; it was {alpha}")
        self.rank, self.alpha, self.targets = rank, alpha, targets

    def add(self, backbone: Backbone) -> None:
        """Put the matrices in; at first they add nothing.

        Raises:
            LabError: the body has no layers with such an ending.
        """
        import peft

        inside = {id(m) for body in backbone.bodies() for m in body.modules()}
        found = {n: m for n, m in backbone.model.named_modules() if id(m) in inside and _is_linear(m)}
        ends = sorted({n.rpartition(".")[2] for n in found})
        targets = ends if self.targets is None else self.targets
        names = [n for n in found if any(_ends(n, t) for t in targets)]
        wrong = [t for t in targets if not any(_ends(n, t) for n in names)]
        if wrong or not names:
            raise LabError(
                f"no linear layer of {backbone.reader.name!r} ends in {wrong or targets}; they end in {', '.join(ends) or 'nothing'}"
            )
        transposed = not any(isinstance(found[n], nn.Linear) for n in names)
        config = peft.LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            target_modules=names,
            fan_in_fan_out=transposed,
        )
        with warnings.catch_warnings():  # peft asks transformers in a way that transformers has deprecated
            warnings.simplefilter("ignore", FutureWarning)
            peft.inject_adapter_in_model(config, backbone.model)


def _ends(name: str, target: str) -> bool:
    """Whether the last parts of a name are the target: ``wo`` does not end in ``o``."""
    return f".{name}".endswith(f".{target}")


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"  # GPT-2's layers are transposed
