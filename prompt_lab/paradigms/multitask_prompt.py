"""Multi-task P-tuning v2: one prompt for several tasks, each with a head of its own, then each task alone (Liu et al. 2022)."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy

from prompt_lab.answers import Answer
from prompt_lab.answers.head import Head
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded
from prompt_lab.data.batching import refuse_below_one
from prompt_lab.data.by_task import ByTask, marked
from prompt_lab.data.encoded import Encodes
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Paradigm, Stage, Stages
from prompt_lab.paradigms.p_tuning_v2 import PTuningV2
from prompt_lab.tasks import Task, load_task
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.deep_prompt import DeepPrompt

if TYPE_CHECKING:
    from prompt_lab.data.few_shot import FewShotData


class MultitaskPrompt(Paradigm):
    """Shares a deep prompt over tasks before it is tuned on one (Liu et al. 2022, section 3.2, "Multi-task Learning").

    K examples of each class of every other task, and of this one, train one prompt together, each task with a head of its own. The
    prompt and this task's head are then tuned on this task alone. The labels of other tasks count as external, those of their
    validation examples where the best validated state is kept.

    Args:
        tasks: names of the other tasks; this one is left out of them. With none it is P-tuning v2.
        template: the fields alone by default; of every task.
        tuning: a deep prompt of sixteen vectors a layer by default.
        shared_steps: of the optimizer, on all tasks together; as many as on this one by default.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    reads_by_content = True  # once for each task that has examples in a batch

    def __init__(
        self,
        tasks: list[str] | None = None,
        template: int | str = "none",
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        shared_steps: int | None = None,
        warmup: float = 0.1,
    ) -> None:
        super().__init__(template, answer or Head(), tuning or DeepPrompt(), warmup=warmup)
        refuse_below_one(shared_steps=shared_steps)
        if not self.tuning.moves_prompt:
            raise LabError(
                f"MultitaskPrompt shares a prompt, and {type(self.tuning).__name__} trains none; use DeepPrompt or SoftPrompt"
            )
        self.tasks, self.shared_steps = tuple(tasks or ()), shared_steps

    def prepare(self, task: Task, reader: Reader) -> Self:
        """Fit this task, and every other one, each with an answer of its own.

        Raises:
            LabError: a task does not exist, or does not fit.
        """
        self.others = {
            name: PTuningV2(self.template_setting, deepcopy(self.answer), self.tuning).prepare(load_task(name), reader)
            for name in self.tasks
            if load_task(name).name != task.name
        }  # a plain dict: no parts of this module
        return super().prepare(task, reader)

    def stages(self, data: "FewShotData") -> Stages:
        """Train the prompt on all tasks, then on this one."""
        if self.others:
            parts: dict[str, Paradigm] = {self.task.name: self}
            draws = {self.task.name: data.drawn}
            for source, one in self.others.items():
                one.backbone, name = self.backbone, one.task.name
                parts[name], draws[name] = one, data.elsewhere(source)
            train, held = (
                [e for name, drawn in draws.items() for e in marked(getattr(drawn, split), name)]
                for split in ("train", "validation")
            )
            shared = data.trained_on(train, validation=held)
            yield Stage(Together(parts), shared, "all tasks", self.shared_steps)
        yield Stage(self, data)

    def facts(self) -> dict[str, Any]:
        """Also the other tasks."""
        return {**super().facts(), "tasks": [one.task.name for one in self.others.values()]}


class Together(Paradigm):
    """Several paradigms on one backbone, each with its own task's examples.

    Args:
        parts: by name of the task; the first has the backbone, and the way they are trained.
    """

    def __init__(self, parts: Mapping[str, Paradigm]) -> None:
        first = next(iter(parts.values()))
        super().__init__(first.template_setting, first.answer, first.tuning, first.schedule, first.warmup)
        self.own = dict(parts)
        self.parts = nn.ModuleList(parts.values())  # a dict alone would hide their parameters
        self.backbone, self.task = first.backbone, first.task
        self.val_acc = MulticlassAccuracy(max(len(p.task.labels) for p in parts.values()), average="micro")

    @property
    def answers(self) -> nn.Module:
        """Those of all tasks."""
        return nn.ModuleList(part.answer for part in self.own.values())

    def encoder(self, data: "FewShotData") -> Encodes:
        """Every example as its own task reads it."""
        return ByTask({name: part.encoder(data) for name, part in self.own.items()})

    def training_step(self, batch: Encoded, batch_idx: int) -> Tensor:
        """The mean loss over the examples of all tasks."""
        loss = torch.stack([part.loss(scores, own) * len(own) for part, scores, own in self._each(batch)]).sum()
        loss = loss / len(batch) + self.tuning.penalty(self.backbone)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Encoded, batch_idx: int) -> None:
        """Loss and accuracy on the validation examples of all tasks."""
        for part, scores_BC, own in self._each(batch):
            self.val_acc(scores_BC.argmax(-1), own.label)
            self.log("val/loss", part.loss(scores_BC, own), batch_size=len(own), on_epoch=True, sync_dist=True)
        self.log("val/acc", self.val_acc, batch_size=len(batch), on_epoch=True)

    def _each(self, batch: Encoded) -> Iterator[tuple[Paradigm, Tensor, Encoded]]:
        """Every task that has examples in a batch, with their label scores."""
        assert batch.view is not None
        for number, part in enumerate(self.own.values()):
            here = (batch.view == number).nonzero()[:, 0]
            if len(here):
                own = batch.take(here).rows(0, len(part.answer.plan.rows) if part.answer.plan else 1)
                if part.task.bounds is None:
                    own = replace(own, soft=None)  # a batch has room for soft labels if any of its tasks has them
                yield part, part(own), own
