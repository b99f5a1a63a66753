"""PET: a teacher a pattern, whose soft labels on unlabelled texts teach a classifier (Schick & Schütze 2021)."""

from collections.abc import Generator, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from prompt_lab import ensembling, teaching
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded, Example
from prompt_lab.data.encoded import Encodes
from prompt_lab.ensembling import Weighting
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Paradigm, Stage, Stages, Strategy
from prompt_lab.paradigms.fine_tuning import FineTuning
from prompt_lab.paradigms.pattern_tuning import PatternTuning
from prompt_lab.tasks import Task
from prompt_lab.templates.choice import chosen

if TYPE_CHECKING:
    from prompt_lab.data.few_shot import FewShotData

Scored = Generator[Stage, Any, Tensor]
"""Stages that come to the log-probabilities [M, N, C] that M teachers give N texts."""


class Pet(Paradigm):
    """Pattern-exploiting training (Schick & Schütze 2021, EACL, sections 3.1 to 3.3).

    One teacher is fitted for each pattern with its verbalizer. The mean of their scores on unlabelled texts, each weighted by the
    accuracy that its pattern and verbalizer have on the training examples before training, softened by a temperature, is what the
    student learns. With K = 0 the teachers are not trained. Only one teacher is in memory at a time, and what it said is kept on
    disk until the run is finished.

    Args:
        teachers: how a teacher is fitted, once for every verbalizer that is to go with every pattern; its template is replaced by
            each of the patterns. One ``PatternTuning`` by default.
        student: what is tested, with its template, answer and tuning: a classification head on the text alone (``FineTuning``), as
            in the paper, by default. It learns the soft labels, whatever loss it has of its own.
        patterns: numbers of the task's patterns, or patterns; all of the task's that the backbone can read by default.
        repetitions: teachers for each pattern and verbalizer, each with random numbers and an order of its own; 3 in the paper.
        unlabeled: how many unlabelled texts are read at most; all by default.
        weighting: of the teachers: their accuracy before training, or all the same.
        temperature: of the soft labels and of the student while it learns them (Hinton et al. 2015); 2 in the paper.
        student_steps: optimizer steps of the student, which has more to learn from than its teachers; the trainer's by default.
    """

    learns_labels: ClassVar[bool] = False

    def __init__(
        self,
        teachers: list[Paradigm] | None = None,
        student: Paradigm | None = None,
        patterns: list[int | str] | None = None,
        repetitions: int = 1,
        unlabeled: int | None = None,
        weighting: Weighting = "accuracy",
        temperature: float = 2.0,
        student_steps: int | None = None,
    ) -> None:
        student = student or FineTuning()
        super().__init__(student.template_setting, student.answer, student.tuning, student.schedule, student.warmup)
        for name, value in (("repetitions", repetitions), ("unlabeled", unlabeled), ("student_steps", student_steps)):
            if value is not None and value < 1:
                raise LabError(f"{name} must be at least 1; it was {value}")
        if temperature <= 0:
            raise LabError(f"temperature softens the labels and must be above 0; it was {temperature}")
        self._kinds = tuple(teachers or [PatternTuning()])  # a tuple, or they would be parts of this module
        self.student = student
        self.patterns = patterns
        self.repetitions = repetitions
        self.unlabeled = unlabeled
        self.weighting = weighting
        self.temperature = temperature
        self.student_steps = student_steps
        self._facts: dict[str, Any] = {}

    # ---------------------------------------------------------------- putting together

    def prepare(self, task: Task, reader: Reader) -> Self:
        """Fit the student and one teacher a pattern to the task.

        Raises:
            LabError: they do not fit, or a teacher or the student consists of several fits.
        """
        self.student.prepare(task, reader)
        super().prepare(task, reader)
        for role, one in (*(("teacher", kind) for kind in self._kinds), ("student", self.student)):
            if not one.learns_labels:
                raise LabError(
                    f"the {role} of {type(self).__name__} must be one fit; {type(one).__name__} consists of several"
                )
        self.shown = chosen(self.patterns, task, reader)
        for pair in self._pairs:
            self._made(*pair)
        return self

    def build(self, backbone: Backbone) -> Self:
        """Give the student its backbone; teachers get copies of what it was before."""
        self.student.build(backbone)
        self.backbone = backbone
        return self

    def encoder(self, data: "FewShotData") -> Encodes:
        """The student's."""
        return self.student.encoder(data)

    @property
    def strategy(self) -> Strategy:
        """That of its teachers: the student's text holds no prompt, but all it knows comes from them."""
        return self._made(*self._pairs[0]).strategy

    @property
    def shown_template(self) -> str:
        """All patterns."""
        return " | ".join(self.shown)

    def _made(self, pattern: str, kind: int) -> Paradigm:
        """A teacher without a backbone."""
        teacher = deepcopy(self._kinds[kind])
        teacher.template_setting = pattern
        return teacher.prepare(self.task, self.reader)

    # ---------------------------------------------------------------- the algorithm

    def stages(self, data: "FewShotData") -> Stages:
        """Weigh the patterns, fit a teacher for each and let it label the texts, then fit the student on that."""
        texts = self._texts(data)
        weight_M = yield from self._weights(data)
        logp_MNC = yield from self._teachers(data, texts, [data.drawn.train] * len(weight_M))
        yield self._distillation(data, texts, logp_MNC, weight_M)

    def facts(self) -> dict[str, Any]:
        """Patterns, weights, how many texts were read, and what each teacher was fitted on."""
        return self._facts

    @property
    def _pairs(self) -> list[tuple[str, int]]:
        """Every pattern with every kind of teacher, by its number."""
        return [(pattern, kind) for pattern in self.shown for kind in range(len(self._kinds))]

    @property
    def _members(self) -> list[tuple[str, int, int]]:
        """Pattern, kind and repetition of every teacher."""
        return [(*pair, r) for pair in self._pairs for r in range(self.repetitions)]

    def _texts(self, data: "FewShotData") -> tuple[Example, ...]:
        texts = teaching.unlabeled(data, self.unlabeled, self)
        self._facts = {"unlabeled": len(texts), "patterns": list(self.shown), "teachers": []}
        return texts

    def _weights(self, data: "FewShotData") -> Generator[Stage, Any, list[float]]:
        """The weight of every teacher: its accuracy before training (EACL, section 3.3), or 1."""
        train, weights = data.drawn.train, dict.fromkeys(self._pairs, 1.0)
        if self.weighting == "accuracy" and train:
            for number, pair in enumerate(self._pairs):
                untrained = f"pattern {number} untrained"
                logp_NC = yield self._teaching(*pair, data.trained_on(()))._replace(name=untrained, score=train)
                weights[pair] = ensembling.accuracy(logp_NC, [e.label for e in train])
        self._facts["weights"] = list(weights.values())
        return [weights[pattern, kind] for pattern, kind, _ in self._members]

    def _teachers(
        self, data: "FewShotData", texts: Sequence[Example], sets: Sequence[Sequence[Example]], generation: int = 0
    ) -> Scored:
        """Fit a teacher on each of the training sets, and let it label the texts; where a set is empty, without being fitted."""
        found = []
        for number, ((pattern, kind, repetition), train) in enumerate(zip(self._members, sets, strict=True)):
            name = f"generation {generation} teacher {number}" if generation else f"teacher {number}"
            self._facts["teachers"].append(self._fitted_on(data, train, pattern, generation))
            of_teacher = data.trained_on(train, order=repetition, pool=texts)
            found.append((yield self._teaching(pattern, kind, of_teacher)._replace(name=name, score=texts)))
        return torch.stack(found)

    def _teaching(self, pattern: str, kind: int, data: "FewShotData") -> Stage:
        """A new teacher and what it is fitted on. Nothing else may hold it, or teachers would pile up in memory."""
        teacher = self._made(pattern, kind).build(self.backbone.original())
        return Stage(*next(teacher.stages(data))) if data.drawn.train else Stage(teacher, None)

    def _fitted_on(
        self, data: "FewShotData", train: Sequence[Example], pattern: str, generation: int
    ) -> dict[str, Any]:
        """What the record says of a teacher."""
        labelled = len(data.drawn.train) if train else 0
        by_label = {label: sum(e.label == c for e in train) for c, label in enumerate(self.task.labels)}
        counts = {"labeled": labelled, "unlabeled": len(train) - labelled, "by_label": by_label}
        return {"generation": generation, "pattern": pattern, **counts}

    def _distillation(
        self, data: "FewShotData", texts: Sequence[Example], logp_MNC: Tensor, weight_M: Sequence[float]
    ) -> Stage:
        """The last fit: this paradigm, as its student, on the soft labels (EACL, section 3.3)."""
        logp_NC = ensembling.combine(logp_MNC, "log_probabilities", weight_M)
        taught = teaching.taught(texts, (logp_NC / self.temperature).softmax(-1))
        stage = Stage(*next(self.student.stages(data.trained_on(taught))))
        return stage._replace(module=self, steps=self.student_steps)

    # ---------------------------------------------------------------- the student

    def forward(self, batch: Encoded) -> Tensor:
        """The student's label scores [B, C]."""
        return self.student(batch)

    def loss(self, scores_BC: Tensor, batch: Encoded) -> Tensor:
        """Divergence from the soft labels at the temperature."""
        if batch.soft is None:
            return super().loss(scores_BC, batch)
        return teaching.divergence(scores_BC, batch.soft, self.temperature).mean()

    def configure_optimizers(self) -> Any:
        """The student's."""
        return self.student.configure_optimizers()
