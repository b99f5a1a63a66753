"""Whether a model that says 80 % is right in 80 of 100 cases."""

from dataclasses import dataclass

import numpy as np

from prompt_lab.statistics.scored import Floats, Whole

BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability curve over bins of equal width, and what it comes to.

    Attributes:
        edges: [bins + 1] from 0 to 1.
        confidence: [bins] mean probability of the label that is given; nan in an empty bin.
        accuracy: [bins] share of items that were right; nan in an empty bin.
        count: [bins] number of items.
        ece: expected calibration error: the mean distance of confidence and accuracy, weighted by count (Guo et al. 2017, equation 5);
            certainty, which stands in the last bin of the curve, is a bin of its own here.
        brier: mean over items of the summed squared distances of the probabilities from the truth, 0 to 2 (Brier 1950).
    """

    edges: Floats
    confidence: Floats
    accuracy: Floats
    count: Whole
    ece: float
    brier: float


def reliability(logp_NC: Floats, label_N: Whole, bins: int = BINS) -> Reliability:
    """The reliability curve of label log-probabilities; several runs are pooled by laying them end to end.

    A bin holds its lower edge, probabilities are compared in 32 bits, and those that are 1 there are one more bin of the error: all
    as in torchmetrics (1.9), so that the error is the one in the record.

    Args:
        logp_NC: [N, C] log-probabilities of the labels.
        label_N: [N] true class indices.
        bins: how many.
    """
    p_NC = np.exp(logp_NC)
    confidence_N, right_N = p_NC.max(1), p_NC.argmax(1) == label_N
    edges = np.linspace(0, 1, bins + 1)
    place_N = np.searchsorted(edges.astype(np.float32), confidence_N.astype(np.float32), side="right") - 1
    bin_N = place_N.clip(max=bins - 1)
    count = np.bincount(bin_N, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence, accuracy = (
            np.bincount(bin_N, weights=v_N, minlength=bins) / count for v_N in (confidence_N, right_N)
        )
    ece = float(np.abs(np.bincount(place_N, weights=confidence_N - right_N)).sum() / len(label_N))
    brier = float(((p_NC - np.eye(p_NC.shape[1])[label_N]) ** 2).sum(1).mean())
    return Reliability(edges, confidence, accuracy, count, ece, brier)
