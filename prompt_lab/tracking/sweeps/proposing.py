"""What a sweep tries next."""

from collections.abc import Mapping, Sequence
from itertools import islice, product
from typing import Any

from prompt_lab.tracking.sweeps.file import Goal, Method
from prompt_lab.tracking.sweeps.space import Parameter

Drawn = dict[str, float]
"""What was drawn for every parameter, by its name."""
STARTUP = 5
"""Trials of a ``bayes`` sweep that are random, before their scores say anything."""
SEED = 42


def propose(
    method: Method, searched: Sequence[Parameter], past: Sequence[tuple[Drawn, float | None]], goal: Goal
) -> Drawn:
    """The next draw. It follows from what was tried before alone, so that a sweep that was killed goes on as it would have, and random
    draws are the same for every paradigm.

    ``grid`` goes through all combinations, the last parameter fastest. ``random`` is Optuna's random sampler, and ``bayes`` its
    tree-structured Parzen estimator (Bergstra et al. 2011; W&B's own is a Gaussian process), which is random for its first few draws.

    Args:
        method: how.
        searched: the parameters.
        past: draws in the order in which they were made, with their scores; None of those that failed.
        goal: ``maximize`` or ``minimize``.
    """
    if method == "grid":
        places = next(islice(product(*(range(len(one.values)) for one in searched)), len(past), None))
        return {one.name: place for one, place in zip(searched, places, strict=True)}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study
    distributions = {one.name: one.optuna() for one in searched}
    if method == "random" or len(past) < STARTUP:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=SEED))
        return [dict(study.ask(distributions).params) for _ in range(len(past) + 1)][-1]
    sampler = optuna.samplers.TPESampler(seed=SEED + len(past), n_startup_trials=0)
    study = optuna.create_study(sampler=sampler, direction=goal)
    for drawn, score in past:
        study.add_trial(_told(drawn, distributions, score))
    return dict(study.ask(distributions).params)


def _told(drawn: Drawn, distributions: Mapping[str, Any], score: float | None) -> Any:
    from optuna.trial import TrialState, create_trial

    state = TrialState.FAIL if score is None else TrialState.COMPLETE
    return create_trial(state=state, params=drawn, distributions=dict(distributions), value=score)
