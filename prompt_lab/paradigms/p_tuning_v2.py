"""P-tuning v2: trained keys and values in front of every layer, a classification head (Liu et al. 2022)."""

from prompt_lab.answers import Answer
from prompt_lab.answers.head import Head
from prompt_lab.paradigms.base import Paradigm
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.deep_prompt import DeepPrompt


class PTuningV2(Paradigm):
    """Deep prompt tuning without a pattern or a verbalizer (Liu et al. 2022, section 3); label words are one setting away.

    Args:
        template: the fields alone by default.
        answer: a classification head by default; ``Words`` needs a template with a mask.
        tuning: sixteen vectors a layer by default.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    def __init__(
        self,
        template: int | str = "none",
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        warmup: float = 0.1,
    ) -> None:
        super().__init__(template, answer or Head(), tuning or DeepPrompt(), warmup=warmup)
