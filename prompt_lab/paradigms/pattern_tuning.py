"""Pattern tuning: one pattern with its verbalizer, the whole model trained (Schick & Schütze 2021)."""

from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.paradigms.base import Paradigm
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.full import Full


class PatternTuning(Paradigm):
    """One pattern-verbalizer pair of PET, trained with cross-entropy over the labels (Schick & Schütze 2021, EACL, section 3.1).

    The same as LM-BFF's prompt-based fine-tuning without demonstrations (Gao et al. 2021, section 4). Several patterns and their
    distillation are not part of it.

    Args:
        template: the task's first pattern by default.
        answer: the task's label words by default.
        tuning: the whole model by default.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    def __init__(
        self, template: int | str = 0, answer: Answer | None = None, tuning: Tuning | None = None, warmup: float = 0.1
    ) -> None:
        super().__init__(template, answer or Words(), tuning or Full(), warmup=warmup)
