"""Scores of a set of predictions, all from the label log-probabilities, so that they can be computed again offline."""

import math
from collections.abc import Sequence

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

COLLAPSE_MARGIN = 0.02
"""A run within two points of the majority class has collapsed."""


def scores(logp_NC: Tensor, label_N: Tensor, prefix: str) -> dict[str, float]:
    """Every score of the lab, as fractions (Matthews' correlation from -1 to 1, nll in nats).

    Args:
        logp_NC: log-probabilities of the labels, [N, C].
        label_N: true class indices, [N].
        prefix: ``test/`` or ``val/``.

    Returns:
        ``acc``; ``f1_macro``; ``f1`` of the last label; ``mcc``; ``ece``, the expected calibration error over 15 bins (Guo et al.
        2017); ``nll``; and, where every label occurs, ``auc``, the area under the ROC curve of each label against the rest, in
        the mean over labels: how well examples are ranked, whatever the bias towards a label.
    """
    classes = logp_NC.shape[1]
    predicted_N = logp_NC.argmax(1)
    per_class_C = multiclass_f1_score(predicted_N, label_N, classes, average=None)
    found = {
        "acc": multiclass_accuracy(predicted_N, label_N, classes, average="micro"),
        "f1_macro": per_class_C.mean(),
        "f1": per_class_C[-1],
        "mcc": multiclass_matthews_corrcoef(predicted_N, label_N, classes),
        "ece": multiclass_calibration_error(logp_NC.exp(), label_N, classes, n_bins=15),
        "nll": torch.nn.functional.nll_loss(logp_NC, label_N),
    }
    if len(label_N.unique()) == classes:
        found["auc"] = multiclass_auroc(logp_NC.double().softmax(1), label_N, classes)
    return {prefix + name: round(float(value), 6) for name, value in found.items()}


def recall_per_class(logp_NC: Tensor, label_N: Tensor, labels: Sequence[str]) -> dict[str, float]:
    """The share of each label's examples that were given that label."""
    recall_C = multiclass_recall(logp_NC.argmax(1), label_N, len(labels), average=None)
    return dict(zip(labels, recall_C.tolist(), strict=True))


def trivial(label_N: Tensor, classes: int) -> dict[str, float]:
    """Accuracies of guessing: always the test set's most frequent label, and any label at random."""
    return {"majority": float(label_N.bincount(minlength=classes).max() / len(label_N)), "random": 1 / classes}


def collapsed(accuracy: float, majority: float) -> bool:
    """Whether a run is no better than naming the most frequent label."""
    return not math.isfinite(accuracy) or accuracy <= majority + COLLAPSE_MARGIN
