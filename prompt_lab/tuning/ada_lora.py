"""Low-rank matrices whose ranks go where they matter: AdaLoRA (Zhang et al. 2023), through peft."""

from types import SimpleNamespace
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.errors import LabError
from prompt_lab.optimizing import Optimizer
from prompt_lab.tuning.base import Tuning
from prompt_lab.tuning.injecting import inject, targets, transposed

NAME = "ada_lora"


class AdaLora(Tuning):
    """Trains W + P diag(lambda) Q in place of W, and takes ranks away where they matter least, from ``first_rank`` in every layer
    down to ``rank`` in the mean (Zhang et al. 2023, equation 3 and algorithm 1).

    P and Q are kept near orthogonal by a penalty: as in the authors' code the mean norm of P^T P - 1 and of Q Q^T - 1, where
    equation 4 has the sum of its squares. Ranks that were taken away are stored as zeros, so that peft can load them. A fit of
    so few steps that nothing could be weighed keeps them all; the record has the rank of every layer.
    With ``select: dev_k`` the state that is gone back to may be from before the last rank was taken away.

    Args:
        rank: in the mean, at the end.
        first_rank: of every layer, at first.
        alpha: scale of what is added, divided by the first rank.
        targets: as in ``Lora``.
        warmup: fraction of all steps before any rank is taken away.
        cooldown: fraction of all steps at the end that train the ranks that are left.
        every: steps from one allocation to the next.
        orthogonality: weight of the penalty.
        learning_rate: of the matrices.
        weight_decay: AdamW's.
        dropout: whether the backbone's dropout is on during training.
        optimizer: AdamW or Adafactor.
    """

    moves_backbone = True
    order: ClassVar[int] = 0

    def __init__(
        self,
        rank: int = 8,
        first_rank: int = 12,
        alpha: float = 16.0,
        targets: list[str] | None = None,
        warmup: float = 0.1,
        cooldown: float = 0.5,
        every: int = 1,
        orthogonality: float = 0.1,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.01,
        dropout: bool = True,
        optimizer: Optimizer = "adamw",
    ) -> None:
        super().__init__(learning_rate, weight_decay, dropout, optimizer)
        if not 1 <= rank <= first_rank:
            raise LabError(
                f"AdaLoRA takes ranks away: rank must be at least 1 and at most first_rank; they were {rank} and {first_rank}"
            )
        if warmup < 0 or cooldown < 0 or warmup + cooldown >= 1:
            raise LabError(
                f"warmup and cooldown are fractions of all steps and leave some between them; they were {warmup} and {cooldown}"
            )
        if every < 1 or alpha <= 0:
            raise LabError(
                f"every must be at least 1 step and alpha above 0; they were every={every} and alpha={alpha}"
            )
        self.rank, self.first_rank, self.alpha, self.targets = rank, first_rank, alpha, targets
        self.warmup, self.cooldown, self.every, self.orthogonality = warmup, cooldown, every, orthogonality

    def add(self, backbone: Backbone) -> None:
        """Put the matrices in; at first they add nothing.

        Raises:
            LabError: the body has no such layers.
        """
        import peft

        names = targets(backbone, self.targets)
        config = peft.AdaLoraConfig(
            target_r=self.rank,
            init_r=self.first_rank,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            target_modules=names,
            fan_in_fan_out=transposed(backbone, names),
            deltaT=self.every,
            orth_reg_weight=self.orthogonality,
            total_step=1_000_000,  # not known before the fit; see Allocation
        )
        inject(backbone, config, NAME)

    def penalty(self, backbone: Backbone) -> Tensor:
        """How far P and Q are from orthogonal, times its weight."""
        sides = [p for _, p in _moving(backbone, "lora_A")] + [p.T for _, p in _moving(backbone, "lora_B")]
        with torch.autocast(sides[0].device.type, enabled=False):
            norms = [torch.linalg.matrix_norm(p @ p.T - torch.eye(len(p), device=p.device)) for p in sides]
        return self.orthogonality * torch.stack(norms).mean()

    def callbacks(self, backbone: Backbone) -> list[pl.Callback]:
        """What gives and takes ranks."""
        return [Allocation(backbone, self.warmup, self.cooldown)] if self.rank < self.first_rank else []

    def facts(self, backbone: Backbone) -> dict[str, Any]:
        """The rank that each layer ended with."""
        values = _moving(backbone, "lora_E")
        return {"ranks": {name.partition(".lora_E")[0]: int((p != 0).sum()) for name, p in values}}


class Allocation(pl.Callback):
    """Takes ranks away after every optimizer step, while its gradients are still there (Zhang et al. 2023, section 3.3).

    Args:
        backbone: whose ranks they are.
        warmup: fraction of all steps before any is taken away.
        cooldown: fraction of all steps after the last was taken away.
    """

    def __init__(self, backbone: Backbone, warmup: float, cooldown: float) -> None:
        self._backbone, self._warmup, self._cooldown = backbone, warmup, cooldown

    def on_train_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Learn how many steps there are."""
        from peft.tuners.adalora.layer import RankAllocator

        config = self._backbone.model.peft_config[NAME]
        config.total_step = int(trainer.estimated_stepping_batches)
        config.tinit = int(self._warmup * config.total_step)
        config.tfinal = int(self._cooldown * config.total_step)
        self._config, self._done = config, trainer.global_step
        self._model = SimpleNamespace(named_parameters=lambda: _moving(self._backbone))
        self._allocator = RankAllocator(self._model, config, NAME)
        self._pattern: Any = None
        self._weighs = config.total_step - config.tfinal > 1

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Allocate, as ``peft.AdaLoraModel.update_and_allocate`` does.

        That belongs to a model that peft has wrapped as a whole; it also sets a pattern of ranks with which peft would store
        matrices of other sizes than it can load.
        """
        step, last = trainer.global_step, self._config.total_step - self._config.tfinal
        if step == self._done or not self._weighs:
            return  # gradients are still being gathered, or there is no time
        self._done = step
        if step <= last:
            _, pattern = self._allocator.update_and_allocate(self._model, step, force_mask=step == last)
            self._pattern = pattern or self._pattern
        elif self._pattern is not None:
            self._allocator.mask_using_rank_pattern(self._model, self._pattern)


def _moving(backbone: Backbone, part: str = "lora_") -> list[tuple[str, nn.Parameter]]:
    """The matrices of that name that are trained: those of a decoder that is not read are not."""
    named = backbone.model.named_parameters()
    return [(n, p) for n, p in named if p.requires_grad and part in n and n.endswith(f".{NAME}")]
