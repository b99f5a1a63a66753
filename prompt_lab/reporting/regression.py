"""Scores of predicted numbers: how they go together with the true ones, and how far they are off."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.regression import pearson_corrcoef, spearman_corrcoef

from prompt_lab.batch import Example
from prompt_lab.tasks.poles import Bounds, value

CONSTANT = 1e-6
"""Numbers that differ by less than this share of the bounds' distance are all the same: rounding is no prediction."""


@dataclass(frozen=True)
class Numbers:
    """The true numbers of some examples.

    Attributes:
        value_N: [N], in the task's units.
        bounds: those of the task's two poles.
    """

    value_N: Tensor
    bounds: Bounds

    def predicted(self, logp_NC: Tensor) -> Tensor:
        """y = v_l p(y_l | x) + v_u p(y_u | x), [N] (Gao et al. 2021, section 4.1)."""
        lower, upper = self.bounds
        return lower + (upper - lower) * logp_NC.double().softmax(1)[:, 1]


def numbers_of(examples: Sequence[Example], bounds: Bounds | None) -> Numbers | None:
    """The numbers of labelled examples; None for a task without bounds."""
    if bounds is None:
        return None
    return Numbers(torch.tensor([value(e, bounds) for e in examples], dtype=torch.float64), bounds)


def scores(logp_NC: Tensor, numbers: Numbers) -> dict[str, Tensor]:
    """``pearson`` and ``spearman``, from -1 to 1, and ``mse``, the mean squared error in the square of the task's units.

    Numbers that are all the same go together with nothing: both correlations are 0.

    Args:
        logp_NC: log-probabilities of the two poles, [N, 2].
        numbers: the true ones.
    """
    true_N, predicted_N = numbers.value_N.double(), numbers.predicted(logp_NC)
    least = CONSTANT * (numbers.bounds[1] - numbers.bounds[0])
    varied = all(float(x_N.max() - x_N.min()) >= least for x_N in (true_N, predicted_N))
    none = torch.tensor(0.0)
    return {
        "pearson": pearson_corrcoef(predicted_N, true_N) if varied else none,
        "spearman": spearman_corrcoef(predicted_N, true_N) if varied else none,
        "mse": (predicted_N - true_N).square().mean(),
    }
