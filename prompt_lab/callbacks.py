"""Lightning callbacks of a run: its progress bar, and the state that is tested."""

from typing import Any

import lightning.pytorch as pl
from torch import Tensor

from prompt_lab.errors import LabError
from prompt_lab.progress import Bars


class ProgressCallback(pl.Callback):
    """Moves the run's bar with Lightning's batches."""

    def __init__(self, bars: Bars, name: str) -> None:
        self._bars, self._name = bars, name

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        """A fit begins."""
        self._bars.begin(f"{self._name} fit", int(trainer.estimated_stepping_batches))

    def on_train_batch_end(self, *_: Any) -> None:
        """One step."""
        self._bars.advance()

    def on_predict_start(self, trainer: pl.Trainer, module: Any) -> None:
        """An evaluation begins."""
        self._bars.begin(f"{self._name} evaluate", int(sum(trainer.num_predict_batches)))

    def on_predict_batch_end(self, *_: Any) -> None:
        """One batch."""
        self._bars.advance()


class Shares(pl.Callback):
    """Lets a part of a batch count by its size, where devices or micro-batches cannot share the batch evenly."""

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        """A part is about to be learnt."""
        module.share = batch.share


class BestValidation(pl.Callback):
    """Goes back, at the end of a fit, to the earliest state with the highest ``val/acc`` (LM-BFF's ``dev_k``).

    The state is what moved, kept in memory on the CPU.
    """

    def __init__(self) -> None:
        self.best = -1.0
        self._state: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Remember the state if it is better than all before."""
        if trainer.sanity_checking:
            return
        accuracy = float(trainer.callback_metrics["val/acc"])
        if accuracy > self.best:
            self.best = accuracy
            self._state = {name: value.cpu().clone() for name, value in module.moved_state().items()}

    def on_train_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Put the best state back.

        Raises:
            LabError: nothing was validated, so there is nothing to choose from.
        """
        if not self._state:
            raise LabError(
                f"this way to select goes back to the best of the validated states, but this fit of {trainer.global_step} steps was "
                "never validated. Lower trainer.check_val_every_n_epoch, or use select: fixed."
            )
        module.load_moved(self._state)
