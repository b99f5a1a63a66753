"""Word-embedding tuning: the words of a hand-written pattern become vectors, and these alone are trained."""

from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.paradigms.base import Paradigm
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.soft_prompt import SoftPrompt


class EmbeddingTuning(Paradigm):
    """A discrete prompt that is tuned on (Liu et al. 2021, survey, section 4.2.2; Qin and Eisner 2021, section 3.2).

    Before training it answers exactly as the pattern does without examples.

    Args:
        template: the task's first pattern by default.
        answer: the task's label words by default.
        tuning: vectors in the place of the pattern's words by default.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    def __init__(
        self,
        template: int | str = 0,
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        warmup: float = 0.1,
    ) -> None:
        super().__init__(template, answer or Words(), tuning or SoftPrompt(place="words"), warmup=warmup)
