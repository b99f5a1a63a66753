"""What came out of a run: its record, its predictions, its examples, and what is logged of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from prompt_lab.batch import Example
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.experiment import Experiment
from prompt_lab.paradigms import Paradigm
from prompt_lab.paradigms.base import LOG_KEYS
from prompt_lab.reporting import delta, files, scores
from prompt_lab.reporting.cost import Meter
from prompt_lab.reporting.environment import environment
from prompt_lab.reporting.regression import numbers_of
from prompt_lab.reporting.schema import SCHEMA
from prompt_lab.reporting.tracking import Tracker
from prompt_lab.selection.regimes import regime
from prompt_lab.staging import Done
from prompt_lab.tasks import poles


@dataclass(frozen=True)
class Results:
    """Predictions of a trained paradigm, and the labels they are compared with.

    Attributes:
        module: the paradigm that was tested.
        data: what it learned from and was tested on.
        test_logp: [N, C] log-probabilities of the labels of the test examples.
        validation_logp: the same of the validation examples; N may be 0.
        stages: the stages that were run.
    """

    module: Paradigm
    data: FewShotData
    test_logp: Tensor
    validation_logp: Tensor
    stages: Sequence[Done] = ()

    def record(
        self, identity: Mapping[str, Any], experiment: Experiment, meter: Meter, started: datetime
    ) -> dict[str, Any]:
        """Everything that is known of the run, as one JSON object."""
        task, label_N = self.data.task, _labels(self.data.sealed_test())
        found = self._scores(self.test_logp, self.data.sealed_test(), "test/")
        if len(self.validation_logp):
            found |= self._scores(self.validation_logp, self.data.drawn.validation, "val/")
        trivial = scores.trivial(label_N, len(task.labels))
        budget = self.data.budget()
        budget["labels_validation"] = regime(experiment.run.select).told(self.data)
        stored = sum(v.numel() * v.element_size() for v in self.module.moved_state().values())
        return {
            "schema": SCHEMA,
            **identity,
            "metric": task.primary,
            "scores": found,
            "recall_per_class": scores.recall_per_class(self.test_logp, label_N, task.labels),
            "trivial": trivial,
            "collapsed": scores.collapsed(found, trivial["majority"]),
            "data": self.data.facts(),
            "budget": budget | {"model_calls": sum(meter.calls.values())},
            "stages": [self._stage(stage) for stage in self.stages],
            "method": experiment.paradigm.facts(),
            "cost": meter.cost(self.module, stored),
            "environment": environment(),
            "trials": experiment.run.trials - 1 + max(1, len(experiment.run.candidates or ())),
            "chosen": experiment.chosen,
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "settings": dict(experiment.settings),
            "config": dict(experiment.config),
        }

    def store(self, record: Mapping[str, Any], experiment: Experiment) -> None:
        """Write it all. The record goes last: where it stands, everything else is there too."""
        folder = experiment.folder
        files.write_lines(folder / files.PREDICTIONS, self._predictions())
        files.write_lines(folder / files.EXAMPLES, self._examples())
        if of_stages := [(s.name, s.test_logp) for s in self.stages if s.test_logp is not None]:
            rows = [{"stage": name, "log_probabilities": logp_NC.double().tolist()} for name, logp_NC in of_stages]
            files.write_lines(folder / files.STAGES, rows)
        if experiment.run.save_model and self.module.moved_state():
            delta.save(folder / delta.FILE, self.module)
        files.write_json(folder / files.RECORD, record)
        (folder / files.FAILURE).unlink(missing_ok=True)

    def log(self, record: Mapping[str, Any], loggers: Iterable[Logger], trackers: Iterable[Tracker]) -> None:
        """Scores to every logger, but for those that have a curve; to W&B also cost, budget and a table of the predictions."""
        shots = {"k": record["k"]} if isinstance(record["k"], int) else {}  # W&B wants an axis logged beside the score
        for logger in loggers:
            logger.log_metrics({key: value for key, value in record["scores"].items() if key not in LOG_KEYS} | shots)
            logger.save()
        numbers = [] if self.data.task.bounds is None else ["value", "predicted_value"]
        columns = [*self.data.task.fields, "label", "predicted", "probability", *numbers]
        examples, labels = self.data.sealed_test(), self.data.task.labels
        rows = [
            [
                *e.fields.values(),
                *(labels[e.label or 0], labels[int(p.argmax())], float(p.max().exp())),
                *self._numbers(e, p).values(),
            ]
            for e, p in zip(examples, self.test_logp, strict=True)
        ]
        for tracker in trackers:
            tracker.summarize({key: record[key] for key in ("cost", "budget", "collapsed")} | record["scores"])
            tracker.table("test/predictions", columns, rows)

    def _scores(self, logp_NC: Tensor, examples: Sequence[Example], prefix: str) -> dict[str, float]:
        return scores.scores(logp_NC, _labels(examples), prefix, numbers_of(examples, self.data.task.bounds))

    def _stage(self, stage: Done) -> dict[str, Any]:
        """A stage, with what its module scores on the test, if that was asked for."""
        logp_NC = stage.test_logp
        found = {} if logp_NC is None else {"scores": self._scores(logp_NC, self.data.sealed_test(), "test/")}
        return stage.entry() | found

    def _numbers(self, example: Example, logp_C: Tensor | None = None) -> dict[str, float]:
        """Where the task has bounds, the example's number, and that which is predicted."""
        if (bounds := self.data.task.bounds) is None:
            return {}
        predicted = {} if logp_C is None else {"predicted_value": poles.mixed(float(logp_C.exp()[1]), bounds)}
        return {"value": poles.value(example, bounds)} | predicted

    def _predictions(self) -> list[dict[str, Any]]:
        labels = self.data.task.labels
        return [
            {
                "key": e.key[:16],
                "label": labels[e.label or 0],
                "predicted": labels[int(p.argmax())],
                **self._numbers(e, p),
                "log_probabilities": p.tolist(),
            }
            for e, p in zip(self.data.sealed_test(), self.test_logp.double(), strict=True)
        ]

    def _examples(self) -> list[dict[str, Any]]:
        drawn = {"train": self.data.drawn.train, "validation": self.data.drawn.validation}
        return [
            {
                "split": split,
                "key": e.key[:16],
                "label": self.data.task.labels[e.label or 0],
                **self._numbers(e),
                "origin": e.origin,
                **e.fields,
            }
            for split, part in drawn.items()
            for e in part
        ]


def _labels(examples: Sequence[Example]) -> Tensor:
    return torch.tensor([e.label for e in examples], dtype=torch.long)
