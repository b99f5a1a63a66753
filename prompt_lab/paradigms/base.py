"""The base of every paradigm: template, answer and tuning put together, trained by Lightning."""

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from prompt_lab import folding, optimizing
from prompt_lab.answers import Answer
from prompt_lab.backbones import sharding
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.encoded import Encodes
from prompt_lab.data.encoding import Encoder
from prompt_lab.errors import LabError
from prompt_lab.learner import Learner
from prompt_lab.optimizing import Schedule, check_warmup
from prompt_lab.tasks import Task
from prompt_lab.templates import resolve
from prompt_lab.tuning import Tuning

if TYPE_CHECKING:
    from prompt_lab.data.few_shot import FewShotData

Strategy = Literal[
    "promptless fine-tuning",
    "tuning-free prompting",
    "fixed-LM prompt tuning",
    "fixed-prompt LM tuning",
    "prompt+LM tuning",
]
LOG_KEYS = ("train/loss", "val/loss", "val/acc")


class Stage(NamedTuple):
    """One step of a paradigm: a fit, texts to score, or a fit and then texts to score.

    Attributes:
        module: what is fitted or scores. If it scores, the paradigm is done with it: a killed run that goes on is given the scores
            and not the module again. If it does not, its training is not lost, and goes on where the next stage begins.
        data: what it is fitted on; None where nothing is.
        name: what its curves and its place in the record are called; empty for the fit whose module is tested.
        steps: optimizer steps of the fit, where they are not the trainer's ``max_steps``.
        score: texts whose label log-probabilities [N, C], a tensor on the CPU, the paradigm gets back.
    """

    module: "Paradigm"
    data: "FewShotData | None"
    name: str = ""
    steps: int | None = None
    score: "Sequence[Example]" = ()


Stages = Generator["Stage | tuple[Paradigm, FewShotData]", Any, None]
"""What ``Paradigm.stages`` gives, and gets back."""


class Paradigm(Learner):
    """A published method, end to end. A subclass is a named recipe over the parts, plus what is special to its paper.

    It is made from settings alone; ``prepare`` fits it to a task and a way of reading (all that can be refused is refused
    here), ``build`` gives it a backbone.

    Args:
        template: the number of one of the task's patterns, a pattern, or ``none`` for the text alone.
        answer: what is read out.
        tuning: what moves.
        schedule: of the learning rate after warm-up: ``linear`` to zero, or ``constant``.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    learns_labels: ClassVar[bool] = True
    """Whether the module that is tested was itself fitted to the labelled examples; a student learns from its teachers instead."""

    reads_by_content: ClassVar[bool] = False
    """Whether it depends on what is in a batch how often the backbone reads: devices that share one out must do so equally often."""

    shards_frozen = False
    """Whether each of several devices keeps a part of what is frozen."""

    def __init__(
        self,
        template: int | str,
        answer: Answer,
        tuning: Tuning,
        schedule: Schedule = "linear",
        warmup: float = 0.1,
    ) -> None:
        super().__init__()
        check_warmup(warmup)
        self.template_setting = template
        self.answer = answer
        self.tuning = tuning
        self.schedule = schedule
        self.warmup = warmup
        self.strict_loading = False

    # ---------------------------------------------------------------- putting together

    def prepare(self, task: Task, reader: Reader) -> Self:
        """Fit template and answer to a task and to the way a backbone reads.

        Raises:
            LabError: they do not go together. No weights have been loaded yet.
        """
        self.task = task
        self.reader = reader
        self.template = self.tuning.prompted(resolve(self.template_setting, task))
        reader.check(self.template)
        self.answer.build(task, reader, self.template)
        self.tuning.prepare(self.template, self.answer, reader)
        self.val_acc = MulticlassAccuracy(len(task.labels), average="micro")
        return self

    def build(self, backbone: Backbone) -> Self:
        """Take a backbone, which this paradigm may change at will, and decide what of it moves."""
        if self.answer.needs_head:
            backbone.require_head()
        self.tuning.apply(backbone)
        if not self.answer.needs_head:
            backbone.freeze_head()  # what is not read gets no gradient; it must not count as trained, nor be stored
        self.backbone = backbone
        return self

    def encoder(self, data: "FewShotData") -> Encodes:
        """How examples become what this paradigm reads.

        Args:
            data: says how long a row may be, and holds the examples that may be shown beside the one that is asked about.
        """
        return Encoder(self.template, self.answer.plan, self.reader, data.max_length)

    @property
    def answers(self) -> nn.Module:
        """All that is read out."""
        return self.answer

    @property
    def shown_template(self) -> str:
        """The pattern, or the patterns, for the record."""
        return str(self.template)

    @property
    def strategy(self) -> Strategy:
        """The tuning strategy of Liu et al. (2021, table 6) that follows from the parts."""
        prompted = self.template.has_mask or self.tuning.moves_prompt
        if not prompted:
            return "promptless fine-tuning"
        if self.tuning.moves_prompt:
            return "prompt+LM tuning" if self.tuning.moves_backbone else "fixed-LM prompt tuning"
        return "fixed-prompt LM tuning" if self.tuning.moves_backbone else "tuning-free prompting"

    def stages(self, data: "FewShotData") -> Stages:
        """The fits that this paradigm consists of, in order: each ``Stage``, or pair of module and data, is one ``Trainer.fit``.

        A paradigm of several fits overrides this generator, so that the paper's algorithm reads from top to bottom. A stage that
        scores texts gives their log-probabilities back: ``logp_NC = yield Stage(teacher, data, "teacher 0", score=texts)``.
        The module of the last fit without scores is the one that is tested; where there is none, the paradigm itself. A run
        that is killed goes on after the last finished stage; each stage has random numbers of its own.
        """
        if any(p.requires_grad for p in self.parameters()):
            yield Stage(self, data)

    def facts(self) -> dict[str, Any]:
        """What the record should say of the way this paradigm went, beside what it says of every run."""
        return self.tuning.facts(self.backbone)

    def fit_facts(self) -> dict[str, Any]:
        """What the record should say of the fit that has just ended, beside its cost; kept with its stage when a run is killed."""
        return {}

    # ---------------------------------------------------------------- Lightning

    def configure_model(self) -> None:
        """Share out what is frozen over the devices, where that is wanted; the processes know each other by now."""
        if self.shards_frozen:
            if not self.backbone.is_sharded:
                sharding.shard(self.backbone, self.trainer.strategy.root_device)
            sharding.leave_to_their_layers(self)

    def forward(self, batch: Encoded) -> Tensor:
        """Label scores [B, C]; their softmax is the distribution over labels."""
        return self.answer(self.backbone, batch)

    def loss(self, scores_BC: Tensor, batch: Encoded) -> Tensor:
        """Cross-entropy over the labels (Schick & Schütze 2021, EACL, section 3.1), or over soft labels where there are some.

        The latter is the KL divergence of the model's labels from the soft ones (Gao et al. 2021, section 4.1) plus the entropy of the
        soft ones, which no parameter changes: the gradient is the same.
        """
        return F.cross_entropy(scores_BC.float(), batch.label if batch.soft is None else batch.soft)

    def on_train_start(self) -> None:
        """Set dropout as the tuning wants it: checkpoints arrive in evaluation mode and Lightning leaves them so."""
        self.train()
        self.backbone.train(self.tuning.dropout)

    def training_step(self, batch: Encoded, batch_idx: int) -> Tensor:
        """One step over one batch."""
        loss = self.loss(self(batch), batch) + self.tuning.penalty(self.backbone)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: Encoded, batch_idx: int) -> None:
        """Loss and accuracy on the validation examples."""
        scores_BC = self(batch)
        self.val_acc(scores_BC, batch.label)
        self.log("val/loss", self.loss(scores_BC, batch), batch_size=len(batch), on_epoch=True, sync_dist=True)
        self.log("val/acc", self.val_acc, batch_size=len(batch), on_epoch=True)

    def predict_step(self, batch: Encoded, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Rows [B] and log-probabilities of the labels [B, C], on the CPU."""
        return batch.index.cpu(), self(batch).float().log_softmax(-1).cpu()

    def configure_callbacks(self) -> list[pl.Callback]:
        """What the tuning wants to see of a fit."""
        return self.tuning.callbacks(self.backbone)

    def configure_optimizers(self) -> Any:
        """The tuning's optimizer over its own and the answer's groups, each with its own learning rate."""
        groups = self.tuning.groups(self.backbone) + self.tuning.groups(self.answers, self.answer.learning_rate)
        return optimizing.configured(
            groups, self.trainer, self.schedule, self.warmup, self.tuning.optimizer, fused=not self.is_scaled
        )

    # ---------------------------------------------------------------- small checkpoints

    def load_moved(self, state: dict[str, Tensor]) -> None:
        """Put back what ``moved_state`` gave.

        Raises:
            LabError: names or shapes are not those that this paradigm moves.
        """
        own = self.moved_state()
        wrong = sorted(set(own) ^ set(state)) or sorted(n for n in own if own[n].shape != state[n].shape)
        if wrong:
            raise LabError(
                f"the saved parameters are not those of this paradigm: {wrong[:3]} do not match. Was it made with other settings?"
            )
        folding.fold(self)
        with torch.no_grad():
            for name, value in self.moved_state().items():
                value.copy_(state[name])
