"""Which state of a fit is tested: the last one, or the best on the validation examples (PROTOCOL rule 3)."""

from typing import Any, Literal

import lightning.pytorch as pl
from torch import Tensor

Selection = Literal["fixed", "dev_k"]


class BestValidation(pl.Callback):
    """Goes back, at the end of a fit, to the earliest state with the highest ``val/acc`` (LM-BFF's ``dev_k``).

    The state is what moved, kept in memory on the CPU.
    """

    def __init__(self) -> None:
        self.best = -1.0
        self._state: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Remember the state if it is better than all before."""
        accuracy = float(trainer.callback_metrics["val/acc"])
        if not trainer.sanity_checking and accuracy > self.best:
            self.best = accuracy
            self._state = {name: value.cpu().clone() for name, value in module.moved_state().items()}

    def on_train_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Put the best state back."""
        if self._state:
            module.load_moved(self._state)
