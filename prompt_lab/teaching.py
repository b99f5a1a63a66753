"""What teachers hand on to a student: texts with soft labels, and how far the student is from these."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F

from prompt_lab.batch import Example
from prompt_lab.errors import LabError

if TYPE_CHECKING:
    from prompt_lab.data.few_shot import FewShotData


def unlabeled(data: "FewShotData", at_most: int | None, learner: object) -> tuple[Example, ...]:
    """The texts that teachers label, counted in the information budget.

    Args:
        data: where they come from.
        at_most: so many of them; all by default.
        learner: what learns from them, for the message.

    Raises:
        LabError: there are none.
    """
    texts = data.unlabeled(at_most)
    if not texts:
        raise LabError(
            f"{type(learner).__name__} learns from unlabelled texts, and task {data.task.name!r} has none left at k={data.k}. "
            "Give some with --data.files.unlabeled, or lower --data.k."
        )
    return texts


def taught(texts: Sequence[Example], soft_NC: Tensor) -> list[Example]:
    """The texts with a probability for each label, and no label."""
    return [Example(e.fields, None, e.origin, tuple(soft_C)) for e, soft_C in zip(texts, soft_NC.tolist(), strict=True)]


def divergence(scores_BC: Tensor, soft_BC: Tensor, temperature: float = 1.0) -> Tensor:
    """KL divergence of each example's labels from its soft ones [B], times the squared temperature (Hinton et al. 2015, section 2).

    Args:
        scores_BC: of the student, which the temperature softens.
        soft_BC: what the teachers say; softened already.
        temperature: 1 softens nothing.
    """
    logp_BC = (scores_BC.float() / temperature).log_softmax(-1)
    return F.kl_div(logp_BC, soft_BC, reduction="none").sum(-1) * temperature**2
