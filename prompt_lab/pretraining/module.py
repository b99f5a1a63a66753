"""The LightningModule of pretraining: one forward pass, from which every objective learns."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.reader import Reader
from prompt_lab.data.batching import mixed
from prompt_lab.errors import LabError
from prompt_lab.learner import Learner
from prompt_lab.optimizing import Schedule, check_warmup, configured
from prompt_lab.pretraining.objective import Learnt, Objective
from prompt_lab.pretraining.passages import Passages
from prompt_lab.tuning import Tuning


class Pretraining(Learner):
    """Teaches a backbone objectives from plain text: the sum of their losses, each with its weight.

    Whatever the tuning moves, the language-model head is trained as well.

    Args:
        objectives: what is learnt.
        tuning: what moves beside the head.
        also_measured: objectives that are not learnt but measured on the held-out text, to compare runs.
        train_embeddings: whether word embeddings move where the tuning moves everything; what is stored stays small without.
        head_learning_rate: of the language-model head and of the objectives' own heads; the tuning's by default.
        schedule: of the learning rate after warm-up: ``linear`` to zero, or ``constant``.
        warmup: fraction of all steps over which the learning rate rises from zero.
        attention: how attention is computed; ``auto`` is ``eager`` on a CPU, where it trains a small body almost twice as fast, and
            ``sdpa`` elsewhere.
    """

    def __init__(
        self,
        objectives: list[Objective],
        tuning: Tuning,
        also_measured: list[Objective] | None = None,
        train_embeddings: bool = False,
        head_learning_rate: float | None = None,
        schedule: Schedule = "linear",
        warmup: float = 0.06,
        attention: Literal["auto", "eager", "sdpa"] = "auto",
    ) -> None:
        super().__init__()
        check_warmup(warmup)
        if not objectives:
            raise LabError("model.objectives is empty: name at least one, such as TokenMasking")
        measured = [*objectives, *(also_measured or [])]
        twice = {o.name for o in measured if [m.name for m in measured].count(o.name) > 1}
        if twice:
            raise LabError(
                f"an objective can stand once among objectives and also_measured; {sorted(twice)} stands twice"
            )
        ways = {o.relations for o in measured if o.relations}
        if any(o.relations for o in also_measured or []) or len(ways) > 1:
            raise LabError("an objective with a head of its own can only be measured if it is learnt")
        self.objectives = nn.ModuleList(objectives)
        self.tuning = tuning
        self.train_embeddings = train_embeddings
        self.head_learning_rate = head_learning_rate
        self.schedule, self.warmup, self.attention = schedule, warmup, attention
        self.strict_loading = False
        self._also_measured = list(also_measured or [])  # a list hides them from Lightning: they have no parameters

    @property
    def learnt(self) -> list[Objective]:
        """The objectives that are learnt."""
        return list(self.objectives)  # type: ignore[arg-type]

    @property
    def measured(self) -> list[Objective]:
        """The objectives that are measured on the held-out text."""
        return [*self.learnt, *self._also_measured]

    def prepare(self, reader: Reader) -> None:
        """Fit the objectives to the way a backbone reads. Raises LabError; no weights have been loaded yet."""
        for objective in self.measured:
            objective.prepare(reader)

    def build(self, backbone: Backbone) -> None:
        """Take a backbone and decide what of it moves."""
        head = backbone.head_parameters()
        self.tuning.apply(backbone)
        for parameter in head:
            parameter.requires_grad_(True)
        if not self.train_embeddings:
            backbone.model.get_input_embeddings().requires_grad_(False)
        self._head = tuple(head)  # a tuple, so that they are not registered a second time
        self.backbone = backbone
        for objective in self.measured:
            objective.build(backbone)

    # ---------------------------------------------------------------- Lightning

    def on_fit_start(self) -> None:
        """Set how attention is computed, and dropout as the tuning wants it."""
        wanted = self.attention
        if wanted == "auto":
            wanted = "eager" if self.device.type == "cpu" else "sdpa"
        self.backbone.model.set_attn_implementation(wanted)
        self.train()
        self.backbone.train(self.tuning.dropout)
        self._seed = torch.initial_seed()

    def on_train_batch_start(self, batch: Passages, batch_idx: int) -> None:
        """Dropout depends on the seed and the step alone, so that a run that goes on draws what it would have drawn."""
        torch.manual_seed(mixed(self._seed, batch_idx))

    def training_step(self, batch: Passages, batch_idx: int) -> Tensor:
        """The weighted sum of the objectives' losses."""
        hidden_BTD = self.backbone.hidden(batch)
        total = hidden_BTD.new_zeros(())
        for objective in self.learnt:
            learnt = objective.learn(self.backbone, hidden_BTD, batch)
            total = total + objective.weight * learnt.loss
            self.log(f"train/{objective.name}_loss", learnt.loss.detach())
        self.log("train/loss", total.detach())
        return total

    def on_validation_epoch_start(self) -> None:
        """Begin to add up."""
        self._sums = {one.name: [0.0, 0.0, 0] for one in self.measured}

    def validation_step(self, batch: Passages, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Add up one objective's loss and right answers on held-out text."""
        objective = self.measured[dataloader_idx]
        learnt: Learnt = objective.learn(self.backbone, self.backbone.hidden(batch), batch)
        sums, count = self._sums[objective.name], len(learnt.right_M)
        sums[0] += float(learnt.loss) * count
        sums[1] += float(learnt.right_M.sum())
        sums[2] += count

    def on_validation_epoch_end(self) -> None:
        """Log the means over all questions."""
        for objective in self.measured:
            loss, right, count = self._sums[objective.name]
            figures = {"loss": loss / max(count, 1), "acc": right / max(count, 1)}
            if objective.predicts_words:
                figures["perplexity"] = float(torch.tensor(figures["loss"]).exp())
            self.log_dict({f"held_out/{objective.name}_{name}": value for name, value in figures.items()})

    def configure_optimizers(self) -> Any:
        """AdamW over what the tuning moves and the heads."""
        heads = nn.ModuleList([nn.ParameterList(self._head), self.objectives])
        own = {id(p) for p in heads.parameters()}
        body = nn.ParameterList(p for p in self.backbone.parameters() if id(p) not in own)
        groups = self.tuning.groups(body) + self.tuning.groups(heads, self.head_learning_rate)
        return configured(groups, self.trainer, self.schedule, self.warmup, fused=not self.is_scaled)
