"""Zero-shot scores of a prompt on a development task, taken while a backbone is pretrained."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.batch import Example
from prompt_lab.data.encoded import collate
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.data.reading import read
from prompt_lab.errors import LabError
from prompt_lab.paradigms.zero_shot import ZeroShot
from prompt_lab.progress import Bars
from prompt_lab.reporting.scores import scores
from prompt_lab.tasks import load_task

BATCH = 64


@dataclass
class Probe:
    """A prompt whose zero-shot scores are followed.

    Its examples are the first of the task's training split, by a hash of their texts: development data, never the test.

    Attributes:
        task: the development task; none for no probe.
        template: the number of one of its patterns, or a pattern.
        examples: how many.
        max_length: the most tokens of an example.
    """

    task: str | None = "rotten_tomatoes"
    template: int | str = 0
    examples: int = 400
    max_length: int = 128

    def prepare(self, reader: Reader) -> "Prompt | None":
        """The prompt as a backbone reads it.

        Raises:
            LabError: the task is unknown, or the backbone cannot read the template or the label words.
        """
        if self.task is None:
            return None
        task = load_task(self.task)
        paradigm = ZeroShot(self.template)
        paradigm.prepare(task, reader)
        pool = sorted(read(self.task, None)[0].get("train", []), key=lambda e: e.key)[: self.examples]
        if not pool:
            raise LabError(f"the probe's task {self.task!r} has no training examples to be scored on")
        return Prompt(paradigm, pool, FewShotData(self.task, k=0, max_length=self.max_length))


class Prompt:
    """A zero-shot paradigm and the examples it is scored on."""

    def __init__(self, paradigm: ZeroShot, examples: Sequence[Example], data: FewShotData) -> None:
        self._paradigm = paradigm
        self._rows = sorted(paradigm.encoder(data).encode(examples), key=lambda row: -row.length)

    @torch.no_grad()
    def scores(self, backbone: Backbone, device: torch.device) -> dict[str, float]:
        """``acc`` and ``auc``, as a record has them."""
        collated = partial(collate, reader=backbone.reader)
        logp, labels = [], []
        for batch in DataLoader(self._rows, BATCH, collate_fn=collated):  # type: ignore[arg-type]
            logp.append(self._paradigm.answer(backbone, batch.to(device)).float().log_softmax(-1).cpu())
            labels.append(batch.label)
        found = scores(torch.cat(logp), torch.cat(labels), "")
        return {name: found[name] for name in ("acc", "auc") if name in found}


class Followed(pl.Callback):
    """Logs the prompt's scores whenever the held-out text is measured, and says how far the run is.

    Attributes:
        figures: what was measured last.
    """

    def __init__(self, prompt: Prompt | None, bars: Bars) -> None:
        self._prompt, self._bars = prompt, bars
        self.figures: dict[str, float] = {}

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Score the prompt."""
        if self._prompt is not None:
            found = self._prompt.scores(module.backbone, module.device)  # type: ignore[arg-type]
            module.log_dict({f"zero_shot/{name}": value for name, value in found.items()})

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Keep the figures, and say them."""
        logged = trainer.callback_metrics.items()
        self.figures = {k: float(v) for k, v in logged if k.startswith(("held_out/", "zero_shot/"))}
        if trainer.is_global_zero:
            self._bars.say(f"step {trainer.global_step}: " + ", ".join(f"{k} {v:.3f}" for k, v in self.figures.items()))
