"""What every LightningModule of the lab shares: what it stores, and how its gradients are clipped."""

from typing import Any

import lightning.pytorch as pl
from torch import Tensor, nn

from prompt_lab import folding


class Learner(pl.LightningModule):
    """Keeps only what moves in its checkpoints, and clips gradients whatever the optimizer and precision."""

    share = 1.0
    """What the gradient of the batch that is learnt counts in the mean over all parts of a larger one (``Encoded.share``)."""

    def moved_state(self) -> dict[str, Tensor]:
        """What training moves, by name: all that must be stored beside the backbone."""
        return folding.moved(self)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Gradients of a loss; together with those of the runs that the backbone was read with, if there are some."""
        if self.share != 1:
            loss = loss * self.share
        company = getattr(getattr(self, "backbone", None), "company", None)
        if company is None:
            super().backward(loss, *args, **kwargs)
        else:
            company.back(loss)

    def on_train_end(self) -> None:
        """Keep what encoders of trained tensors say, without the encoders."""
        folding.fold(self)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep only what moved in Lightning's checkpoints."""
        checkpoint["state_dict"] = self.moved_state()

    def reads(self, batch: Any) -> tuple[int, int]:
        """Rows and tokens that one training step reads, padding left out: those of the batch, unless it is read more than once."""
        return len(batch.input_ids), batch.tokens

    @property
    def is_scaled(self) -> bool:
        """Whether gradients are scaled up, as they are in float16."""
        return getattr(self.trainer.precision_plugin, "scaler", None) is not None

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip also with a fused optimizer, which Lightning refuses under mixed precision for float16's sake."""
        if self.is_scaled:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val:
            by_value = str(gradient_clip_algorithm or "norm").endswith("value")
            clip = nn.utils.clip_grad_value_ if by_value else nn.utils.clip_grad_norm_
            clip([p for g in optimizer.param_groups for p in g["params"]], gradient_clip_val)
