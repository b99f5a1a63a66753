"""My idea: label smoothing on a cloze (this first line is what `prompt-lab list paradigms` prints).

A starting point that works as it stands. Change what is marked, then `prompt-lab check` it.
"""

from torch import Tensor
from torch.nn import functional as F

from prompt_lab.answers.words import Words
from prompt_lab.batch import Encoded
from prompt_lab.paradigms import Paradigm
from prompt_lab.tuning.full import Full


class MyIdea(Paradigm):
    """Pattern tuning with smoothed labels (say what it computes, and cite the paper: authors, year, section).

    Args:
        smoothing: share of the probability that goes to all labels alike.
        learning_rate: of the whole model.
    """

    # CHANGE: settings of your own. Each is typed and has a default; it is then an option (--model.smoothing 0.2), is checked
    # before anything is loaded, and stands in the record.
    def __init__(self, smoothing: float = 0.1, learning_rate: float = 5e-5) -> None:
        super().__init__(
            template=0,  # CHANGE: what the model reads. A number of the task's patterns, "{text_a} It was {mask}.", or "none"
            answer=Words(),  # CHANGE: what is read out. Words() at a mask, Head() on top of the text
            tuning=Full(learning_rate),  # CHANGE: what moves. Frozen(), Lora(), SoftPrompt(length=20), BitFit() …
        )
        self.smoothing = smoothing

    # CHANGE: how it is trained. scores_BC are the label scores [B, C]; batch.soft holds a teacher's probabilities, if there are any.
    # Other places to take hold of: forward (the scores), training_step (a step), stages (several fits), encoder (what is read).
    def loss(self, scores_BC: Tensor, batch: Encoded) -> Tensor:
        """Cross-entropy with smoothed labels (Szegedy et al. 2016, section 7)."""
        target = batch.label if batch.soft is None else batch.soft
        return F.cross_entropy(scores_BC.float(), target, label_smoothing=self.smoothing)
