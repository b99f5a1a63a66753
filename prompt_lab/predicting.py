"""Finished runs that answer: each on a backbone whose weights it shares with the others."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.load import load_backbone
from prompt_lab.batch import Example
from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.progress import Bars
from prompt_lab.reporting import delta
from prompt_lab.stored_run import StoredRun, of_run
from prompt_lab.tasks import Task
from prompt_lab.trainer import make_trainer, quiet

Accelerator = Literal["auto", "cpu", "gpu"]


class Weights:
    """A loaded backbone, whose weights many twins share, and its one copy of them on another device.

    Args:
        backbone: is kept, and not changed.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self._own = {t.data_ptr() for t in (*backbone.parameters(), *backbone.buffers())}
        self._moved: dict[Any, Tensor] = {}

    def move(self, module: nn.Module, device: torch.device) -> None:
        """Move a module with a twin to a device; what the twin shares with the backbone is moved once for all of them."""
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.data_ptr() in self._own:  # addresses of others' tensors may be used again
                key = (tensor.data_ptr(), tensor.shape, device)
                if key not in self._moved:
                    self._moved[key] = tensor.data.to(device)
                tensor.data = self._moved[key]
        module.to(device)


class Predictor:
    """A finished run, with what it learnt, ready to answer.

    Args:
        run: read from its folder.
        weights: of its backbone.
        accelerator: where it answers: on the GPU if there is one (``auto``), or on one of both.

    Attributes:
        run: read from its folder.
        module: its paradigm, as it was tested.

    Raises:
        LabError: what was stored does not belong to the run, or there is no such accelerator.
    """

    def __init__(self, run: StoredRun, weights: Weights, accelerator: Accelerator = "auto") -> None:
        given = {"accelerator": accelerator, "devices": 1, "precision": run.experiment.trainer.get("precision")}
        with quiet():
            trainer = make_trainer({**given, "max_steps": 1}, logger=False)
        self.run, self._data = run, run.data()
        self.module = restored(run, weights.backbone.twin())
        if run.experiment.run.frozen_weights == "int8":  # these alone change what it says
            self.module.backbone.keep_frozen("int8")
        self._precision, self._device = trainer.precision_plugin, trainer.strategy.root_device
        weights.move(self.module, self._device)
        self._precision.convert_module(self.module)

    @property
    def task(self) -> Task:
        """What the run learnt."""
        return self.run.task

    def log_probabilities(self, examples: Sequence[Example], bars: Bars | None = None) -> Tensor:
        """Of the task's labels [N, C] for each example, on the CPU: what the run itself would have written of them.

        Args:
            examples: with the task's fields; labels are not read.
            bars: where progress is shown.

        Raises:
            LabError: the examples that the paradigm shows beside a text are not there.
        """
        logp_NC = torch.empty(len(examples), len(self.task.labels))
        if not examples:
            return logp_NC
        with of_run(self.run.folder):
            loader = self._data.evaluation(self.module.encoder(self._data), examples)
        if bars is not None:
            bars.begin(str(self.run.folder), len(loader))
        with torch.inference_mode(), self._precision.predict_step_context():
            for number, batch in enumerate(loader):
                index_B, logp_BC = self.module.predict_step(batch.to(self._device), number)
                logp_NC[index_B] = logp_BC
                if bars is not None:
                    bars.advance()
        return logp_NC


def predictors(runs: Sequence[StoredRun], accelerator: Accelerator = "auto") -> list[Predictor]:
    """Finished runs, each ready to answer. A backbone is loaded once, however many runs stand on it, whatever their tunings.

    Raises:
        LabError: a run cannot be used; the message names it.
    """
    loaded: dict[str, Weights] = {}
    found = []
    for run in runs:
        name = run.experiment.run.backbone
        with of_run(run.folder):
            if name not in loaded:
                loaded[name] = Weights(load_backbone(name))
            found.append(Predictor(run, loaded[name], accelerator))
    return found


def restored(run: StoredRun, backbone: Backbone) -> Paradigm:
    """A run's paradigm with what it learnt, in evaluation mode.

    Args:
        run: read from its folder.
        backbone: is changed; a twin keeps the weights that it shares with others.

    Raises:
        LabError: the backbone is not what it was, or the delta does not belong to the run.
    """
    was, reader = run.record["backbone_revision"], backbone.reader
    if was != reader.revision:
        raise LabError(
            f"it was made on {run.record['backbone']} ({was}), which is now another model ({reader.revision}). Use the same version "
            "of it."
        )
    module = run.experiment.paradigm.prepare(run.task, reader).build(backbone)
    if module.shown_template != run.record["template"]:
        raise LabError(
            f"its pattern was {run.record['template']!r}, and the task {run.task.name!r} now gives {module.shown_template!r}. Put the "
            "task's file back as it was."
        )
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.clone()
    if module.moved_state():
        path, own = run.folder / delta.FILE, type(module).__name__
        if (tested := delta.made_for(path).get("paradigm")) != own:
            raise LabError(
                f"{own} handed its test to a module of its stages, {tested}, and only its own parameters can be put back"
            )
        delta.load(path, module)
    return module.eval()


def examples(task: Task, rows: Sequence[Mapping[str, str]]) -> list[Example]:
    """Examples of a task from texts by field.

    Raises:
        LabError: a field of the task is missing or empty.
    """
    found = []
    for number, row in enumerate(rows, 1):
        for name in task.fields:
            if not row.get(name, "").strip():
                raise LabError(
                    f"task {task.name!r} reads {' and '.join(task.fields)}, and text {number} has no {name}; it has "
                    f"{', '.join(n for n, text in row.items() if text.strip()) or 'nothing'}"
                )
        found.append(Example({name: row[name].strip() for name in task.fields}, origin=f"text {number}"))
    return found
