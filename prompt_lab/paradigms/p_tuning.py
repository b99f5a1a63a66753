"""P-tuning: virtual tokens around the text, trained through a bidirectional LSTM (Liu et al. 2021)."""

from prompt_lab.answers import Answer
from prompt_lab.answers.words import Words
from prompt_lab.paradigms.base import Paradigm
from prompt_lab.tuning import Tuning
from prompt_lab.tuning.soft_prompt import SoftPrompt


class PTuning(Paradigm):
    """P-tuning ("GPT Understands, Too", Liu et al. 2021, section 3): prompt vectors depend on each other through an LSTM.

    The words of the pattern are its anchors (section 3.3). The paper leaves the model as it is for knowledge probing (section 4.1) and
    tunes it as well for few-shot SuperGLUE (section 4.2); here it is frozen, and ``Mixture`` with ``Full`` tunes it too. After
    training the LSTM is folded away.

    Args:
        template: the task's first pattern by default.
        answer: the task's label words by default.
        tuning: six virtual tokens around the text through an LSTM by default.
        warmup: fraction of all steps over which the learning rate rises from zero.
    """

    def __init__(
        self,
        template: int | str = 0,
        answer: Answer | None = None,
        tuning: Tuning | None = None,
        warmup: float = 0.1,
    ) -> None:
        prompt = tuning or SoftPrompt(length=6, place="around", encoder="lstm", learning_rate=5e-3)
        super().__init__(template, answer or Words(), prompt, warmup=warmup)
