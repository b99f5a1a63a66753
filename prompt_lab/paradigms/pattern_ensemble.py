"""Pattern ensemble: several patterns, several verbalizers, or several pairs of both, in one model (Liu et al. 2021, section 6.1)."""

from copy import deepcopy
from typing import TYPE_CHECKING, Literal, Self

import torch
from torch import Tensor, nn

from prompt_lab import ensembling
from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Encoded
from prompt_lab.data.encoding import Encoder
from prompt_lab.data.views import Views
from prompt_lab.ensembling import Combine, Weighting
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Paradigm, Stage, Stages
from prompt_lab.tasks import Task
from prompt_lab.templates import Template, resolve
from prompt_lab.templates.choice import chosen
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.full import Full

if TYPE_CHECKING:
    from prompt_lab.data.few_shot import FewShotData


class PatternEnsemble(Paradigm):
    """One model that reads every example through several pattern-verbalizer pairs and combines what it answers.

    Where PET fits a model a pattern, all patterns share one model here. With one pattern and several verbalizers it is a
    verbalizer ensemble, with several patterns and one verbalizer a pattern ensemble (Liu et al. 2021, section 6.1: prompt
    ensembling); a ``Frozen`` tuning trains nothing and combines what the pretrained model says.

    Args:
        patterns: numbers of the task's patterns, or patterns; all of the task's that the backbone can read by default.
        answers: verbalizers; the task's label words by default.
        pairs: every pattern with every verbalizer (``all``), or the first with the first and so on (``matched``).
        training: every pair of an example and a member is a training example of its own, an example being read through another
            member in every pass (``examples``); or every step reads its examples through all members, and their losses are
            summed by weight (``losses``), which takes as many times as long.
        combine: how the members' answers become one.
        weighting: of the members: their accuracy on the training examples before training, as PET does, or all the same.
        tuning: the whole model by default.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    weight_M: Tensor

    def __init__(
        self,
        patterns: list[int | str] | None = None,
        answers: list[Answer] | None = None,
        pairs: Literal["all", "matched"] = "all",
        training: Literal["examples", "losses"] = "examples",
        combine: Combine = "log_probabilities",
        weighting: Weighting = "uniform",
        tuning: Tuning | None = None,
        warmup: float = 0.1,
    ) -> None:
        super().__init__(0, Members(answers or [Words()], combine), tuning or Full(), warmup=warmup)
        self.patterns, self.pairs, self.joint, self.weighting = patterns, pairs, training == "losses", weighting
        self.members: Members = self.answer  # type: ignore[assignment]

    def prepare(self, task: Task, reader: Reader) -> Self:
        """Fit every pair to the task.

        Raises:
            LabError: a pair does not fit, or ``matched`` has not as many verbalizers as patterns.
        """
        self.shown = chosen(self.patterns, task, reader)
        if self.pairs == "matched" and len(self.shown) != len(self.members.given):
            raise LabError(
                f"matched pairs need as many verbalizers as patterns; there are {len(self.members.given)} and {len(self.shown)}"
            )
        self.template_setting = self.shown[0]
        templates = [self.tuning.prompted(resolve(p, task)) for p in self.shown]
        if len({t.virtual for t in templates}) > 1:
            raise LabError(
                "the patterns of an ensemble share one model and its virtual tokens, so all must have the same: "
                + "; ".join(map(str, templates))
            )
        self.members.pair(templates, matched=self.pairs == "matched")
        return super().prepare(task, reader)

    def encoder(self, data: "FewShotData") -> Views:
        """An example as every member reads it; in a pass of training, as one of them does."""
        made = [Encoder(t, a.plan, self.reader, data.max_length) for t, a in self.members]
        return Views(tuple(made), one_a_pass=not self.joint)

    @property
    def shown_template(self) -> str:
        """All patterns."""
        return " | ".join(self.shown)

    def stages(self, data: "FewShotData") -> Stages:
        """Weigh the members, if that is wanted, then one fit."""
        train = data.drawn.train
        ensembling.refuse_accuracy_without_labels(self.weighting, len(train))
        if self.weighting == "accuracy":
            patterns = self.shown if self.pairs == "matched" else [p for p in self.shown for _ in self.members.given]
            for number, (pattern, (_, answer)) in enumerate(zip(patterns, self.members.settings, strict=True)):
                alone = Paradigm(pattern, deepcopy(answer), deepcopy(self.tuning)).prepare(self.task, self.reader)
                stage = Stage(alone.build(self.backbone.original()), None, f"member {number} untrained", score=train)
                logp_NC = yield stage
                self.members.weight_M[number] = ensembling.accuracy(logp_NC, [e.label for e in train])
        yield from super().stages(data)

    def facts(self) -> dict[str, object]:
        """Patterns and weights."""
        return {
            **super().facts(),
            "patterns": self.shown,
            "weights": [round(w, 6) for w in self.members.weight_M.tolist()],
        }

    def training_step(self, batch: Encoded, batch_idx: int) -> Tensor:
        """One step: over the examples as one member reads each, or over the weighted sum of all members' losses."""
        if not self.joint:
            return super().training_step(batch, batch_idx)
        losses = [self.loss(scores_BC, batch) for scores_BC in self.members.each(self.backbone, batch)]
        loss = (torch.stack(losses) * ensembling.shares(self.members.weight_M)).sum()
        loss = loss + self.tuning.penalty(self.backbone)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def moved_state(self) -> dict[str, Tensor]:
        """What moved, and the weights where they were measured."""
        measured = {"answer.weight_M": self.members.weight_M} if self.weighting == "accuracy" else {}
        return super().moved_state() | measured


class Members(Answer):
    """Verbalizers, each with the pattern it is read through; a label scores what they say together.

    Args:
        given: verbalizers as they were set.
        how: how their answers become one.
    """

    needs_mask = True
    needs_head = True

    weight_M: Tensor

    def __init__(self, given: list[Answer], how: Combine) -> None:
        super().__init__()
        self.given, self.how = tuple(given), how  # a tuple: prototypes, no parts of this module
        self.answers = nn.ModuleList()
        self.settings: list[tuple[Template, Answer]] = []

    def pair(self, templates: list[Template], *, matched: bool) -> None:
        """Make the members."""
        pairs = zip(templates, self.given, strict=True) if matched else [(t, a) for t in templates for a in self.given]
        self.settings = list(pairs)

    def build(self, task: Task, reader: Reader, template: Template) -> None:
        """Fit every verbalizer to the template of its own."""
        self.answers = nn.ModuleList(deepcopy(answer) for _, answer in self.settings)
        for one, answer in self:
            answer.build(task, reader, one)
        self.needs_head = any(a.needs_head for _, a in self)  # type: ignore[misc]
        self.plan = next(a.plan for _, a in self)
        self.register_buffer("weight_M", torch.ones(len(self.settings)), persistent=False)

    def __iter__(self):  # type: ignore[no-untyped-def]
        """Every member's template and verbalizer."""
        return ((t, a) for (t, _), a in zip(self.settings, self.answers, strict=True))

    def forward(self, backbone: Backbone, batch: Encoded) -> Tensor:
        """Label scores [B, C]: of all members together, or of the one that each example is shown to."""
        if batch.view is None:
            return ensembling.combine(torch.stack(self.each(backbone, batch)), self.how, self.weight_M)
        found, places = [], []
        for number, (_, answer) in enumerate(self):
            here = (batch.view == number).nonzero()[:, 0]
            if len(here):
                found.append(answer(backbone, batch.take(here).rows(0, _width(answer))))
                places.append(here)
        return torch.cat(found)[torch.cat(places).argsort()]

    def each(self, backbone: Backbone, batch: Encoded) -> list[Tensor]:
        """Label scores [B, C] of every member, from its rows of a batch that shows all."""
        found, start = [], 0
        for _, answer in self:
            found.append(answer(backbone, batch.rows(start, start + _width(answer))))
            start += _width(answer)
        return found

    def pieces(self) -> dict[str, list[str]]:
        """How the tokenizer splits the label words of all members."""
        return {word: pieces for _, answer in self for word, pieces in answer.pieces().items()}


def _width(answer: Answer) -> int:
    """G: the rows that an example is laid out as for one member."""
    return 1 if answer.plan is None else len(answer.plan.rows)
