"""Fine-tuning: a new classification head, the whole model trained (Devlin et al. 2019)."""

from prompt_lab.answers import Answer
from prompt_lab.answers.head import Head
from prompt_lab.paradigms.base import Paradigm
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.full import Full


class FineTuning(Paradigm):
    """Promptless fine-tuning: the text alone, a linear layer on its representation (Devlin et al. 2019, section 3.2).

    Args:
        template: the fields alone by default.
        answer: a classification head by default.
        tuning: the whole model by default.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    def __init__(
        self,
        template: int | str = "none",
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        warmup: float = 0.1,
    ) -> None:
        super().__init__(template, answer or Head(), tuning or Full(), warmup=warmup)
