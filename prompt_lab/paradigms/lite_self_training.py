"""LiST: prompted self-training of few parameters, with weights for what the teacher says (Wang et al. 2022)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from prompt_lab import reweighting, teaching
from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Paradigm, Stage, Stages
from prompt_lab.tasks import Task
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.adapter import Adapter

if TYPE_CHECKING:
    from prompt_lab.data.few_shot import FewShotData


class LiteSelfTraining(Paradigm):
    """Lite prompted self-training, LiST (Wang et al. 2022, Findings of NAACL).

    A teacher, which is a pattern with its verbalizer and few parameters of its own in a frozen backbone, is tuned on the labelled
    examples. In every round it gives unlabelled texts soft labels; a student learns these, then the labelled examples, and is the
    next teacher. Each student begins with the pretrained weights and new parameters. While it learns the soft labels, the labelled
    examples say how much each of them counts, in every step anew: in proportion to what learning it would do for the loss on
    labelled ones, and not at all where that would rise (Ren et al. 2018; see ``prompt_lab.reweighting``).

    As in the authors' code, soft labels are not sharpened, the labelled examples that say the weights are those of the training
    set, and dropout is off while they do. Otherwise than there, teachers label all texts once and not a batch when it is
    needed (which says the same), the two fits of a round have a warm-up and a schedule each, weights are slopes of a finite
    difference and not a second derivative, and a batch holds as many labelled examples as texts (there 4 and 16).

    Args:
        template: the task's first pattern by default.
        answer: the task's label words by default.
        tuning: what moves in the teacher and in every student; adapters by default.
        rounds: of a student; 6 in the authors' script.
        unlabeled: how many unlabelled texts are read at most; all by default.
        student_steps: optimizer steps of a student on the soft labels, 1000 in the authors' script; the trainer's by default,
            which are also those of every fit on the labelled examples.
        reweight: whether the labelled examples weigh the soft labels; else all count alike (the paper's ablation).
        warmup: fraction of all steps of a fit over which the learning rate rises from zero.
    """

    def __init__(
        self,
        template: int | str = 0,
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        rounds: int = 2,
        unlabeled: int | None = None,
        student_steps: int | None = None,
        reweight: bool = True,
        warmup: float = 0.1,
    ) -> None:
        super().__init__(template, answer or Words(), tuning or Adapter(), warmup=warmup)
        for name, value in (("rounds", rounds), ("unlabeled", unlabeled), ("student_steps", student_steps)):
            if value is not None and value < 1:
                raise LabError(f"{name} must be at least 1; it was {value}")
        self.rounds, self.unlabeled, self.student_steps, self.reweight = rounds, unlabeled, student_steps, reweight
        self._facts: dict[str, Any] = {}
        self._weighed: list[Tensor] = []

    def prepare(self, task: Task, reader: Reader) -> Self:
        """Fit template and answer to a task.

        Raises:
            LabError: they do not go together, or nothing would be trained.
        """
        super().prepare(task, reader)
        if not self.tuning.moves and not any(p.requires_grad for p in self.answer.parameters()):
            raise LabError(
                f"LiteSelfTraining trains teachers and students, and {type(self.tuning).__name__} with "
                f"{type(self.answer).__name__} moves nothing; use another tuning, such as Adapter"
            )
        return self

    # ---------------------------------------------------------------- the algorithm

    def stages(self, data: "FewShotData") -> Stages:
        """The teacher; then in every round its soft labels, and the labelled examples, for a new student."""
        labelled, texts = data.drawn.train, teaching.unlabeled(data, self.unlabeled, self)
        self._facts = {"unlabeled": len(texts), "rounds": self.rounds, "agreement": []}
        logp_NC = yield Stage(self, data, "teacher", score=texts)
        for number in range(1, self.rounds + 1):
            self._begin_anew()
            soft = teaching.taught(texts, logp_NC.exp())
            lesson = data.trained_on(soft, beside=labelled if self.reweight else ())
            yield Stage(self, lesson, f"round {number} texts", self.student_steps)
            if number == self.rounds:
                yield Stage(self, data)
                return
            said_NC, logp_NC = logp_NC, (yield Stage(self, data, f"round {number} labels", score=texts))
            self._facts["agreement"].append(float((said_NC.argmax(-1) == logp_NC.argmax(-1)).float().mean()))

    def facts(self) -> dict[str, Any]:
        """How many texts and rounds; of every student that became a teacher, on how many texts it agrees with its own teacher."""
        return {**super().facts(), **self._facts}

    def _begin_anew(self) -> None:
        """Become a student: pretrained weights, and new parameters beside them. What the last one was is forgotten."""
        self.prepare(self.task, self.reader).build(self.backbone.original())

    # ---------------------------------------------------------------- learning what a teacher says

    def training_step(self, batch: Encoded, batch_idx: int) -> Tensor:
        """One step: on labelled examples, or on soft labels beside labelled examples that weigh them."""
        is_taught = batch.label < 0
        if not is_taught.any():
            return super().training_step(batch, batch_idx)
        taught, labelled = batch.take(is_taught), batch.take(~is_taught)
        weight_B = self.weigh(taught, labelled) if self.reweight else torch.ones_like(taught.label)
        loss = (weight_B * _divergence(self(taught), taught)).mean() + self.tuning.penalty(self.backbone)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(taught))
        return loss

    def reads(self, batch: Encoded) -> tuple[int, int]:
        """The batch, and its texts twice more where they are weighed."""
        rows, tokens = super().reads(batch)
        if not self.reweight or not (batch.label < 0).any():
            return rows, tokens
        taught = batch.take(batch.label < 0)
        decoded = 0 if taught.decoder_input_ids is None else int((taught.decoder_input_ids != self.reader.pad_id).sum())
        return rows + 2 * len(taught.input_ids), tokens + 2 * (int(taught.attention_mask.sum()) + decoded)

    def weigh(self, taught: Encoded, labelled: Encoded) -> Tensor:
        """Weights [B] of texts with soft labels, with mean 1 or all 0, by a batch of labelled examples."""
        if self.task.bounds is None:
            labelled = replace(labelled, soft=None)  # zeros, which stand beside the others' soft labels
        moving = [p for p in self.parameters() if p.requires_grad]
        with self._at_rest():
            product_B = reweighting.products(
                lambda: _divergence(self(taught), taught), lambda: self.loss(self(labelled), labelled), moving
            )
        weight_B = reweighting.weights(product_B)
        self._weighed.append(weight_B)
        self.log("train/zero_weights", (weight_B == 0).float().mean(), batch_size=len(taught))
        return weight_B

    def on_train_start(self) -> None:
        """Begin to count the weights of this fit."""
        super().on_train_start()
        self._weighed = []

    def fit_facts(self) -> dict[str, Any]:
        """The mean weight, which is 1 but for batches that were not learnt at all, and the share of weights that were 0."""
        if not self._weighed:
            return {}
        weight_N = torch.cat(self._weighed)
        return {"mean_weight": float(weight_N.mean()), "zero_weights": float((weight_N == 0).float().mean())}

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Without dropout and in full precision, so that differences are those of the parameters."""
        modes = [(module, module.training) for module in self.modules()]
        self.eval()
        self.answer.training = True  # label words are filled in at once, as when they are learnt
        try:
            with torch.autocast(self.device.type, enabled=False):
                yield
        finally:
            for module, mode in modes:
                module.training = mode


def _divergence(scores_BC: Tensor, batch: Encoded) -> Tensor:
    """Of each example [B] from its soft labels."""
    assert batch.soft is not None
    return teaching.divergence(scores_BC, batch.soft)
