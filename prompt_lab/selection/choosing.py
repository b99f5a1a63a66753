"""Tries the candidates of a run on the parts of its labelled examples, and chooses one (Perez, Kiela and Cho 2021)."""

import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from statistics import fmean
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch.nn.functional import nll_loss

from prompt_lab.backbones.load import load_backbone
from prompt_lab.experiment import Experiment
from prompt_lab.fitting import Fitting
from prompt_lab.progress import Bars
from prompt_lab.reporting import files
from prompt_lab.reporting.cost import Meter
from prompt_lab.selection.regimes import Part, regime
from prompt_lab.trees import digest

KEPT = "selection.json"
"""What has been tried, until the run is finished."""

Make = Callable[[], Experiment]
Trial = dict[str, Any]
"""Accuracy and mean log-loss (nats) of a candidate on one part; what finding them cost, and what the candidate was told for it."""


def chosen(experiment: Experiment, meter: Meter, bars: Bars) -> Experiment:
    """The candidate that does best by the run's way to select, as the run it stands for; the run itself where it has none.

    A run that is killed goes on after its last finished trial.

    Args:
        experiment: checked, without a backbone.
        meter: counts what the trials cost.
        bars: where progress is shown.
    """
    if not experiment.candidates:
        return experiment
    way, run = regime(experiment.run.select), experiment.run
    parts = way.parts(experiment.data, run.parts)
    trials = _Trials(experiment, parts, meter, bars)
    tried = [trials.of(make, number) for number, make in enumerate(experiment.candidates)]

    def worth(number: int) -> tuple[float, ...]:
        loss = sum(trial["nll"] * len(part.validation) for trial, part in zip(tried[number], parts, strict=True))
        return (-loss,) if way.by_loss else (fmean(trial["acc"] for trial in tried[number]), -loss)

    best = max(range(len(tried)), key=worth)
    facts = {
        "candidate": best,
        "settings": (run.candidates or [])[best],
        "parts": len(parts),
        "candidates": [{name: fmean(t[name] for t in one) for name in ("acc", "nll")} for one in tried],
    }
    best_one = replace(experiment.candidates[best](), below=experiment.below)
    best_one.check()
    for trial in chain.from_iterable(tried):
        best_one.data.also_told(trial["told"])  # what the others read has taken part in the choice
    run = replace(run, name=experiment.name)  # a candidate may be another paradigm
    return replace(best_one, run=run, settings=experiment.settings, config=experiment.config, chosen=facts)


def forget(experiment: Experiment) -> None:
    """Forget what was kept: the run's record is written."""
    (experiment.folder / KEPT).unlink(missing_ok=True)


class _Trials:
    """Every candidate on every part; what is finished is kept on disk."""

    def __init__(self, experiment: Experiment, parts: Sequence[Part], meter: Meter, bars: Bars) -> None:
        self.parts, self.meter, self.bars = parts, meter, bars
        self.run = replace(experiment.run, name=experiment.name)
        self._number = len(experiment.candidates) * len(parts)
        self._path, self._below = experiment.folder / KEPT, experiment.below
        self._key = digest(experiment.settings, experiment.data.facts())
        self._done = self._read()

    def of(self, make: Make, number: int) -> list[Trial]:
        """The trials of a candidate."""
        return [self._trial(make, part, f"{number}/{turn}") for turn, part in enumerate(self.parts)]

    def _trial(self, make: Make, part: Part, name: str) -> Trial:
        if name in self._done:
            self.meter.add(self._done[name]["counted"])
            return self._done[name]
        candidate, before = make(), self.meter.counted()
        trial = self._run(candidate, part)
        self._done[name] = {**trial, "counted": self.meter.since(before), "told": candidate.data.told()}
        rank_zero_only(files.write_json)(self._path, {"run": self._key, "trials": self._done})
        return self._done[name]

    def _run(self, candidate: Experiment, part: Part) -> Trial:
        """Fit anew, as the run itself will be, and score what is held out."""
        candidate.check()
        data = candidate.data.given(part.train, part.validation)
        if regime(self.run.select).keeps_best:
            data = data.choosing()
        candidate = replace(candidate, run=self.run, below=self._below)
        with self.meter.phase("load"):
            backbone = load_backbone(self.run.backbone).fresh()
        pl.seed_everything(candidate.init_seed, verbose=False)
        candidate.paradigm.build(backbone)
        del backbone
        title = f"{candidate.folder.parts[-4]} choosing {len(self._done) + 1}/{self._number}"
        fitting = Fitting(candidate, data, self.meter, self.bars, title)
        module, trainer = fitting.staging.run()
        with self.meter.phase("choose"):
            logp_NC = fitting.predict(module, trainer, part.validation)
        label_N = torch.tensor([e.label for e in part.validation])
        fitting.staging.finish()
        data.trainer = None
        gc.collect()
        return {
            "acc": float((logp_NC.argmax(1) == label_N).double().mean()),
            "nll": float(nll_loss(logp_NC.double(), label_N)),
        }

    def _read(self) -> dict[str, Trial]:
        """What an earlier process had tried for this very run."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(kept, dict) or kept.get("run") != self._key:
            return {}
        return {name: trial for name, trial in kept["trials"].items() if "told" in trial}  # older versions kept less
