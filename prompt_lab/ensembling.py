"""How several answers to the same question become one: of patterns, label words, teachers, or sets of demonstrations."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from prompt_lab.errors import LabError

Combine = Literal["log_probabilities", "probabilities", "vote"]
"""Mean of the log-probabilities (a product of experts), mean of the probabilities, or a vote."""
Weighting = Literal["accuracy", "uniform"]
"""The weight of a member: its accuracy on the training examples before it was trained (Schick and Schütze 2021, EACL, section
3.3), or the same for all."""

TIE = 1e-3
"""What the mean probabilities count beside the votes, so that they decide a tie."""


def combine(logp_MBC: Tensor, how: Combine, weight_M: Sequence[float] | Tensor | None = None) -> Tensor:
    """Log-probabilities of the labels [B, C], normalised, from those of M members.

    Args:
        logp_MBC: of each member; they need not be normalised.
        how: what is averaged over members.
        weight_M: of the members, at least 0; all the same by default, and where all are 0.
    """
    logp_MBC = logp_MBC.float().log_softmax(-1)
    weight_M = logp_MBC.new_ones(len(logp_MBC)) if weight_M is None else torch.as_tensor(weight_M).to(logp_MBC)
    share_M11 = shares(weight_M)[:, None, None]
    if how == "log_probabilities":
        return (share_M11 * logp_MBC).sum(0).log_softmax(-1)
    mean_BC = (share_M11 * logp_MBC.exp()).sum(0)
    if how == "vote":
        votes_BC = (share_M11 * F.one_hot(logp_MBC.argmax(-1), logp_MBC.shape[-1])).sum(0)
        mean_BC = (votes_BC + TIE * mean_BC) / (1 + TIE)
    return mean_BC.clamp_min(torch.finfo(mean_BC.dtype).tiny).log().log_softmax(-1)


def shares(weight_M: Tensor) -> Tensor:
    """The weights of members with sum 1; all the same where all are 0."""
    total = weight_M.sum()
    return weight_M / total if total > 0 else torch.full_like(weight_M, 1 / len(weight_M))


def accuracy(logp_NC: Tensor, labels: Sequence[int | None]) -> float:
    """The share of examples whose label is the most probable one."""
    return float((logp_NC.argmax(-1) == torch.tensor(labels)).float().mean())


def refuse_accuracy_without_labels(weighting: Weighting, labelled: int) -> None:
    """Raise LabError where members should be weighted by their accuracy on no examples at all."""
    if weighting == "accuracy" and not labelled:
        raise LabError(
            "members are weighted by their accuracy on the training examples, and K = 0 draws none: set weighting uniform"
        )
