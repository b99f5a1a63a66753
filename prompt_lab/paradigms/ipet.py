"""iPET: generations of PET's teachers, each taught by others of the one before (Schick & Schütze 2021)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from prompt_lab import ensembling
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Example
from prompt_lab.ensembling import Weighting
from prompt_lab.errors import LabError
from prompt_lab.paradigms.base import Paradigm, Stages
from prompt_lab.paradigms.pet import Pet
from prompt_lab.tasks import Task

if TYPE_CHECKING:
    from typing import Self

    from prompt_lab.data.few_shot import FewShotData


class Ipet(Pet):
    """Iterative PET (Schick & Schütze 2021, EACL, section 3.4).

    A teacher of generation j is fitted, from the pretrained weights, on the labelled examples and on texts that a random subset of
    the other teachers of generation j - 1 has labelled: ``factor`` times as many of each label as in the generation before, drawn
    in proportion to how sure they are. It also goes without any labelled example (K = 0): generation 0 is then not trained, and
    generation 1 gets ``first`` texts, as many of every label, drawn from the ``most_likely`` ones for it, whatever comes first there.

    Args:
        teachers: as in PET.
        student: as in PET.
        patterns: as in PET; at least two teachers are needed.
        repetitions: as in PET.
        unlabeled: as in PET.
        weighting: as in PET; uniform where there is no labelled example.
        temperature: as in PET.
        student_steps: as in PET.
        generations: how many follow generation 0, which is PET's. (The authors' ``--ipet_generations`` counts that one too.)
        factor: by which the training sets grow with every generation; 5 in the paper.
        share: of the other teachers, those that label a teacher's next training set; a quarter in the paper, and at least one.
        first: texts in generation 1 where there are no labelled examples, shared out over the labels, at least one for each.
        most_likely: candidates for each label in that case.
    """

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
        generations: int = 2,
        factor: float = 5.0,
        share: float = 0.25,
        first: int = 10,
        most_likely: int = 100,
    ) -> None:
        super().__init__(teachers, student, patterns, repetitions, unlabeled, weighting, temperature, student_steps)
        if min(generations, first) < 1 or most_likely < first or factor <= 1 or not 0 < share <= 1:
            raise LabError(
                "iPET needs generations and first of at least 1, most_likely of at least first, factor above 1, and share above 0 and "
                f"at most 1; they were generations={generations}, first={first}, most_likely={most_likely}, factor={factor}, "
                f"share={share}"
            )
        self.generations, self.factor, self.share = generations, factor, share
        self.first, self.most_likely = first, most_likely

    def prepare(self, task: Task, reader: Reader) -> "Self":
        """As in PET.

        Raises:
            LabError: there is only one teacher, so none could label for another.
        """
        super().prepare(task, reader)
        if len(self._members) < 2:
            raise LabError(
                f"iPET needs two teachers at least, and {self.shown} with {self.repetitions} repetition(s) makes one; "
                "give more patterns or repetitions"
            )
        return self

    def stages(self, data: "FewShotData") -> Stages:
        """PET's teachers, then the generations, then the student, taught by the last generation."""
        labelled, texts = data.drawn.train, self._texts(data)
        weight_M = yield from self._weights(data)
        logp_MNC = yield from self._teachers(data, texts, [labelled] * len(weight_M))
        for generation in range(1, self.generations + 1):
            wanted_C, candidates = self._wanted(labelled, generation)
            sets = []
            for number in range(len(weight_M)):
                logp_NC = self._others(logp_MNC, weight_M, number)
                new = draw(logp_NC, wanted_C, candidates)
                sets.append([*labelled, *(Example(texts[i].fields, c, texts[i].origin) for i, c in new)])
            logp_MNC = yield from self._teachers(data, texts, sets, generation)
        yield self._distillation(data, texts, logp_MNC, weight_M)

    def _wanted(self, labelled: Sequence[Example], generation: int) -> tuple[list[int], int | None]:
        """How many new texts of each label a generation takes, and out of how many most likely ones."""
        if not labelled:
            size = round(max(1, self.first // len(self.task.labels)) * self.factor ** (generation - 1))
            return [size] * len(self.task.labels), self.most_likely if generation == 1 else None
        counts = [sum(e.label == c for e in labelled) for c in range(len(self.task.labels))]
        return [round(n * self.factor**generation) - n for n in counts], None

    def _others(self, logp_MNC: Tensor, weight_M: Sequence[float], number: int) -> Tensor:
        """What a random subset of the other teachers says of the texts [N, C]."""
        others = [m for m in range(len(logp_MNC)) if m != number]
        size = max(1, round(self.share * len(others)))
        some = [others[i] for i in torch.randperm(len(others))[:size].tolist()]
        return ensembling.combine(logp_MNC[some], "log_probabilities", [weight_M[m] for m in some])


def draw(logp_NC: Tensor, wanted_C: Sequence[int], most_likely: int | None = None) -> list[tuple[int, int]]:
    """Texts to learn from, as (number, label): so many of each label, drawn without replacement in proportion to its probability.

    A label's candidates are the texts that it is the most probable label of, or, with ``most_likely``, that many texts that it is
    most probable for. Where a label has fewer candidates than are wanted, they come again (as in the authors' code); where it
    has none, the texts that it is most probable for take their place.

    Args:
        logp_NC: log-probabilities of the labels.
        wanted_C: how many of each label.
        most_likely: candidates of each label, whatever their most probable label is.
    """
    prob_NC = logp_NC.exp()
    found: list[tuple[int, int]] = []
    for label, wanted in enumerate(wanted_C):
        prob_N = prob_NC[:, label]
        candidates = (prob_NC.argmax(-1) == label).nonzero()[:, 0]
        if most_likely is not None or not len(candidates):
            candidates = prob_N.topk(min(most_likely or wanted, len(prob_N))).indices
        weights = prob_N[candidates].clamp_min(1e-12)
        while wanted > 0:
            drawn = torch.multinomial(weights, min(wanted, len(candidates)))
            found += [(int(candidates[i]), label) for i in drawn]
            wanted -= len(drawn)
    return found
