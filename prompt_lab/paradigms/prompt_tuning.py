"""Prompt tuning: trained vectors in front of the text, nothing else moves (Lester et al. 2021)."""

from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.paradigms.base import Paradigm
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.soft_prompt import SoftPrompt


class PromptTuning(Paradigm):
    """Fixed-LM prompt tuning: P virtual tokens in the input, trained by the loss over label words (Lester et al. 2021, section 2).

    The model reads the prompt, the text, and a mask where it has one. With a pattern, soft and hard words are mixed (Gu et al. 2022,
    section 2.2); ``{soft}`` slots put virtual tokens anywhere in it.

    Args:
        template: the fields and a mask by default.
        answer: the task's label words by default.
        tuning: twenty virtual tokens in front by default.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    def __init__(
        self,
        template: int | str = "mask",
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        warmup: float = 0.1,
    ) -> None:
        super().__init__(template, answer or Words(), tuning or SoftPrompt(length=20), warmup=warmup)
