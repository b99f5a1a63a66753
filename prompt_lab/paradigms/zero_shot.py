"""Zero-shot prompting: one pattern with its verbalizer, nothing trained (Brown et al. 2020)."""

from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.paradigms.base import Paradigm
from prompt_lab.tuning.frozen import Frozen


class ZeroShot(Paradigm):
    """Tuning-free prompting without examples: the label whose words are likeliest at the mask (Gao et al. 2021, table 3).

    Args:
        template: the task's first pattern by default.
        answer: the task's label words by default.
    """

    def __init__(self, template: int | str = 0, answer: Answer | None = None) -> None:
        super().__init__(template, answer or Words(), Frozen())
