"""Prefix-tuning: trained keys and values in front of every layer, the answer read as words (Li and Liang 2021)."""

from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.paradigms.base import Paradigm
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.deep_prompt import DeepPrompt


class PrefixTuning(Paradigm):
    """Prefix-tuning through an MLP that is folded away (Li and Liang 2021, section 4), under a pattern with label words.

    The paper generates text from a table; a label is the word that the language model says at the mask, or next.

    Args:
        template: the task's first pattern by default.
        answer: the task's label words by default.
        tuning: sixteen vectors a layer, trained through an MLP, by default.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    def __init__(
        self,
        template: int | str = 0,
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        warmup: float = 0.1,
    ) -> None:
        prefix = tuning or DeepPrompt(encoder="mlp", learning_rate=1e-3)
        super().__init__(template, answer or Words(), prefix, warmup=warmup)
