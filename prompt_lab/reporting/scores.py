"""Scores of a set of predictions, all from the label log-probabilities, so that they can be computed again offline."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_auroc,
    multiclass_calibration_error,
    multiclass_f1_score,
    multiclass_matthews_corrcoef,
    multiclass_recall,
)

from prompt_lab.reporting import regression

COLLAPSE_MARGIN = 0.02
"""A run within two points of what guessing scores has collapsed."""


def scores(
    logp_NC: Tensor, label_N: Tensor, prefix: str, numbers: regression.Numbers | None = None
) -> dict[str, float]:
    """Every score of the lab, as fractions (correlations from -1 to 1, nll in nats, mse in the square of the task's units).

    Args:
        logp_NC: log-probabilities of the labels, [N, C].
        label_N: true class indices, [N].
        prefix: ``test/`` or ``val/``.
        numbers: the true numbers, where the task has bounds; ``label_N`` then holds the pole that each is nearer to.

    Returns:
        ``acc``; ``f1_macro``, the mean of the labels' F1, and ``f1_weighted``, their mean weighted by how often each occurs; ``f1`` of
        the last label; ``mcc``; ``ece``, the expected calibration error over 15 bins (Guo et al.
        2017); ``nll``; and, where every label occurs, ``auc``, the area under the ROC curve of each label against the rest, in
        the mean over labels: how well examples are ranked, whatever the bias towards a label. With ``numbers`` also
        ``pearson``, ``spearman`` and ``mse`` (see ``regression.scores``).

        A label that neither occurs nor is predicted has no F1 and is left out of both means, as in scikit-learn and torchmetrics; one
        that is predicted and does not occur has an F1 of 0, which lowers the macro mean and has no weight in the other.
    """
    classes = logp_NC.shape[1]
    predicted_N = logp_NC.argmax(1)

    def f1(average: Literal["macro", "weighted", "none"]) -> Tensor:
        return multiclass_f1_score(predicted_N, label_N, classes, average=average)

    found = {
        "acc": multiclass_accuracy(predicted_N, label_N, classes, average="micro"),
        "f1_macro": f1("macro"),
        "f1_weighted": f1("weighted"),
        "f1": f1("none")[-1],
        "mcc": _mcc(predicted_N, label_N, classes),
        "ece": multiclass_calibration_error(logp_NC.exp(), label_N, classes, n_bins=15),
        "nll": torch.nn.functional.nll_loss(logp_NC, label_N),
    }
    if len(label_N.unique()) == classes:
        found["auc"] = multiclass_auroc(logp_NC.double().softmax(1), label_N, classes)
    if numbers is not None:
        found |= regression.scores(logp_NC, numbers)
    return {prefix + name: round(float(value), 6) for name, value in found.items()}


def _mcc(predicted_N: Tensor, label_N: Tensor, classes: int) -> Tensor:
    """Matthews' correlation; 0 where all labels, true or given, are the same, as in scikit-learn (torchmetrics says .84)."""
    if len(predicted_N.unique()) == 1 or len(label_N.unique()) == 1:
        return torch.zeros(())
    return multiclass_matthews_corrcoef(predicted_N, label_N, classes)


def recall_per_class(logp_NC: Tensor, label_N: Tensor, labels: Sequence[str]) -> dict[str, float]:
    """The share of each label's examples that were given that label; labels without examples are left out."""
    recall_C = multiclass_recall(logp_NC.argmax(1), label_N, len(labels), average=None)
    found = dict(zip(labels, recall_C.tolist(), strict=True))
    return {label: found[label] for c, label in enumerate(labels) if bool((label_N == c).any())}


def trivial(label_N: Tensor, classes: int) -> dict[str, float]:
    """Accuracies of guessing: always the test set's most frequent label, and any label at random."""
    return {"majority": float(label_N.bincount(minlength=classes).max() / len(label_N)), "random": 1 / classes}


def collapsed(found: Mapping[str, float], majority: float) -> bool:
    """Whether a run is no better than guessing: the most frequent label or, where there are numbers, always the same one.

    Args:
        found: the scores of the test.
        majority: accuracy of the most frequent label; whatever number is named always, Pearson's correlation is 0.
    """
    score, guess = (found["test/pearson"], 0.0) if "test/pearson" in found else (found["test/acc"], majority)
    return not math.isfinite(score) or score <= guess + COLLAPSE_MARGIN
