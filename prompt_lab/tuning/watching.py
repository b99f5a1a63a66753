"""Watches a prompt while it is trained: does it get a gradient, and does it move?"""

import warnings
from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn

from prompt_lab.folding import Folded

STILL = 1e-3
"""A prompt that moved by less than this share of its length has not learnt."""
ENOUGH = 10
"""Steps after which it should have moved."""


class PromptWatch(pl.Callback):
    """Logs ``prompt/grad_norm``, the norm of the gradient that reaches a prompt, before clipping, and ``prompt/moved``, how far it is
    from where it began as a share of its length; warns if it ends where it began.
    """

    def __init__(self, prompt: Folded) -> None:
        self._prompt = prompt

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Any) -> None:
        """Log both."""
        gradients = [p.grad for p in self._prompt.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients) if gradients else torch.tensor(0.0)
        module.log("prompt/grad_norm", norm)
        module.log("prompt/moved", self._prompt.moved())

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Warn if it has not moved."""
        moved = float(self._prompt.moved())
        if moved < STILL and trainer.global_step >= ENOUGH:
            warnings.warn(
                f"the prompt has hardly moved: by {100 * moved:.2g} % of its length in {trainer.global_step} steps. "
                "Raise the tuning's learning_rate, or train longer",
                stacklevel=1,
            )
