"""Pattern tuning: one pattern with its verbalizer, the whole model trained (Schick & Schütze 2021)."""

from typing import TYPE_CHECKING, Literal, Self

import torch
from torch import Tensor

from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded
from prompt_lab.errors import LabError
from prompt_lab.masked_text import MaskedText
from prompt_lab.paradigms.base import Paradigm, Stage, Stages
from prompt_lab.tasks import Task
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.full import Full

if TYPE_CHECKING:
    from prompt_lab.data.few_shot import FewShotData


class PatternTuning(Paradigm):
    """One pattern-verbalizer pair of PET, trained with cross-entropy over the labels (Schick & Schütze 2021, EACL, section 3.1).

    The same as LM-BFF's prompt-based fine-tuning without demonstrations (Gao et al. 2021, section 4). Several patterns and their
    distillation are not part of it.

    Args:
        template: the task's first pattern by default.
        answer: the task's label words by default.
        tuning: the whole model by default.
        warmup: fraction of all steps over which the learning rate rises from zero.
        objective: ``cross_entropy``, or PET's ``hinge`` for label words of several tokens, whose scores at masks that are filled at
            once are no distribution over labels (Schick & Schütze 2021, NAACL, section 3.1). ``hinge`` needs one right label.
        auxiliary: weight alpha, below 1, of masked language modelling on unlabelled texts in the same pattern, beside 1 - alpha of the
            loss over labels (EACL, section 3.2, which takes 1e-4); every step then reads as many of them as of labelled ones.
    """

    def __init__(
        self,
        template: int | str = 0,
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        warmup: float = 0.1,
        objective: Literal["cross_entropy", "hinge"] = "cross_entropy",
        auxiliary: float = 0.0,
    ) -> None:
        super().__init__(template, answer or Words(), tuning or Full(), warmup=warmup)
        if not 0 <= auxiliary < 1:
            raise LabError(f"auxiliary is the weight of the auxiliary loss, at least 0 and below 1; it was {auxiliary}")
        self.objective = objective
        self.auxiliary = auxiliary

    def prepare(self, task: Task, reader: Reader) -> Self:
        """Fit template and answer to a task.

        Raises:
            LabError: they do not go together, ``hinge`` is asked for where numbers are to be learnt, or the auxiliary loss of a
                backbone that is no masked language model.
        """
        self._masked_text = MaskedText(reader) if self.auxiliary else None
        if self.objective == "hinge" and task.bounds is not None:
            raise _no_right_label(f"task {task.name!r} has numbers between two poles")
        return super().prepare(task, reader)

    def stages(self, data: "FewShotData") -> Stages:
        """One fit, with unlabelled texts beside the labelled examples where the auxiliary loss is wanted.

        Raises:
            LabError: there are none.
        """
        if self._masked_text is None:
            yield from super().stages(data)
            return
        texts = data.unlabeled()
        if not texts:
            raise LabError(
                f"the auxiliary loss reads unlabelled texts, and task {self.task.name!r} has none left at k={data.k}"
            )
        yield Stage(self, data.trained_on(data.drawn.train, beside=texts))

    def training_step(self, batch: Encoded, batch_idx: int) -> Tensor:
        """One step, with the auxiliary loss where it is wanted."""
        if self._masked_text is None:
            return super().training_step(batch, batch_idx)
        is_labelled = batch.label >= 0
        loss = super().training_step(batch.take(is_labelled), batch_idx)
        auxiliary = self._masked_text.loss(self.backbone, batch.take(~is_labelled))
        self.log("train/auxiliary", auxiliary, batch_size=len(batch))
        return (1 - self.auxiliary) * loss + self.auxiliary * auxiliary

    def loss(self, scores_BC: Tensor, batch: Encoded) -> Tensor:
        """Cross-entropy, or the hinge loss.

        Raises:
            LabError: ``hinge`` on soft labels.
        """
        if self.objective == "cross_entropy":
            return super().loss(scores_BC, batch)
        if batch.soft is not None:
            raise _no_right_label("these examples have a probability for every label")
        return hinge(scores_BC, batch.label)


def hinge(scores_BC: Tensor, label_B: Tensor) -> Tensor:
    """The sum over wrong labels y' of max(0, 1 - log q(y) + log q(y')), in the mean over examples (NAACL, section 3.1, last equation).

    Args:
        scores_BC: log q, up to a constant of the example.
        label_B: the right label y; examples with a negative one count for nothing.
    """
    known = label_B >= 0
    scores_BC, right_B1 = scores_BC[known].float(), label_B[known, None]
    margin_BC = (1 - scores_BC.gather(1, right_B1) + scores_BC).clamp_min(0)
    return torch.scatter(margin_BC, 1, right_B1, 0.0).sum(1).mean()


def _no_right_label(why: str) -> LabError:
    return LabError(f"the hinge loss needs one right label, but {why}; set model.objective to cross_entropy")
