"""One experiment: a paradigm, its data, a backbone and their settings, checked before anything heavy is loaded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl

from prompt_lab.backbones.backbone import FrozenWeights
from prompt_lab.backbones.load import checkpoint
from prompt_lab.data.batching import refuse_below_one
from prompt_lab.data.few_shot import FewShotData
from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.reporting import files
from prompt_lab.reporting.tracking import WandbMode
from prompt_lab.selection.regimes import Name, regime
from prompt_lab.trainer import make_trainer


@dataclass
class Run:
    """Settings of a run that belong to none of its parts.

    Attributes:
        backbone: a packaged backbone, the folder of a local one, or a hub id with an optional ``@revision``.
        name: what the run is called in paths and tables; the paradigm's file name by default.
        select: which state of the fit is tested: the last (``fixed``) or the best on validation (``dev_k``); and how one of several
            ``candidates`` is chosen: by ``dev_k``, ``multi_split``, ``cv`` or ``mdl``. ``oracle`` goes by the test, to compare with.
        candidates: settings to choose from, each laid over this run's: of the model, the trainer, the batch size and length.
        parts: how many folds, blocks or splits ``cv``, ``mdl`` and ``multi_split`` cut the labelled examples into.
        trials: how many settings had been tried to find these, for the record.
        init_seed: seeds new parameters and dropout; the split's seed by default.
        order_seed: seeds the order of training examples; the split's seed by default.
        gradient_checkpointing: keep no hidden states inside layers for the way back, but compute them again (Chen et al. 2016,
            "Training Deep Nets with Sublinear Memory Cost"): less memory for about a third more time.
        frozen_weights: how matrices that are not trained are kept; in ``bfloat16`` they take half the memory, and in ``int8`` those of
            linear layers a quarter (Dettmers et al. 2022, by bitsandbytes). Both need mixed precision.
        micro_batches: how many parts a batch is read in, one after the other: the same gradient in less memory. ``auto`` doubles them
            whenever the GPU's memory is not enough, and begins the fit anew.
        shard_frozen: of several devices, each keeps a part of what is frozen in the layers, and gathers a layer's while it computes
            that (see ``sharding``): for models that are too large for one of them.
        save_model: keep what moved as ``delta.safetensors`` beside the record.
        score_stages: test the modules of earlier stages too, such as PET's teachers; their labels are compared at the end as well.
        out: folder of all results.
        wandb: ``auto`` is online when somebody is logged in, and offline otherwise.
        wandb_project: W&B project.
    """

    backbone: str = "minilm-mlm"
    name: str | None = None
    select: Name = "fixed"
    candidates: list[dict[str, Any]] | None = None
    parts: int = 4
    trials: int = 1
    init_seed: int | None = None
    order_seed: int | None = None
    gradient_checkpointing: bool = False
    frozen_weights: FrozenWeights = "float32"
    micro_batches: int | Literal["auto"] = 1
    shard_frozen: bool = False
    save_model: bool = True
    score_stages: bool = False
    out: str = "runs"
    wandb: WandbMode = "auto"
    wandb_project: str = "prompt_lab"


@dataclass
class Experiment:
    """One run: a paradigm, its data, a backbone, and how Lightning trains it.

    Attributes:
        paradigm: made from settings, not yet prepared.
        data: not yet drawn.
        run: everything else.
        trainer: arguments of ``lightning.pytorch.Trainer``.
        settings: the settings that differ from the defaults: what makes this run the one it is.
        config: all settings.
        candidates: each makes one of the experiments that this one chooses from.
        chosen: what the record says of the choice between candidates, once it has been made.
        below: all that is written goes below this folder, as if it were the root; for runs whose files are fetched from there.
    """

    paradigm: Paradigm
    data: FewShotData
    run: Run = field(default_factory=Run)
    trainer: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    candidates: Sequence[Callable[[], "Experiment"]] = ()
    chosen: Mapping[str, Any] | None = None
    below: Path | None = None

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.run.name or type(self.paradigm).__module__.rpartition(".")[2]

    @property
    def folder(self) -> Path:
        """``<out>/<task>/<paradigm>/<backbone>/k<K>/seed<S>``."""
        return files.cell_folder(
            str(self.out), self.data.task.name, self.name, self.run.backbone, self.data.k, self.data.seed
        )

    @property
    def out(self) -> Path:
        """The folder of all results."""
        out = Path(self.run.out)
        return out if self.below is None else files.inside(self.below, out)

    def check(self) -> None:
        """Refuse, before any weights are loaded, all that can be refused.

        Raises:
            LabError: trainer, texts, template, label words, backbone or output folder cannot be used.
        """
        _check_seeds(seed=self.data.seed, init_seed=self.run.init_seed, order_seed=self.run.order_seed)
        _check_strategy(str(self.trainer.get("strategy", "auto")))
        self._check_devices(make_trainer(self.trainer, logger=False).world_size)
        if self.run.frozen_weights != "float32" and not str(self.trainer.get("precision", "")).endswith("mixed"):
            raise LabError(
                f"frozen_weights: {self.run.frozen_weights} needs mixed precision, such as --trainer.precision bf16-mixed: "
                "what is trained stays in float32"
            )
        if self.run.micro_batches != "auto":
            refuse_below_one(micro_batches=self.run.micro_batches)
        files.check_writable(self.out)
        self.data.order_seed = self.data.seed if self.run.order_seed is None else self.run.order_seed
        _ = self.data.drawn, self.data.sealed_test()
        pl.seed_everything(self.init_seed, verbose=False)
        reader = checkpoint(self.run.backbone).reader
        self.paradigm.prepare(self.data.task, reader)
        # one example shows whether the pattern leaves room for the text
        self.paradigm.encoder(self.data).encode(self.data.sealed_test()[:1], labels=False)
        if self.candidates:
            _ = regime(self.run.select).parts(self.data, self.run.parts)
        for candidate in self.candidates:
            replace(candidate(), below=self.below).check()

    def _check_devices(self, number: int) -> None:
        """Refuse what needs several devices or cannot be done on them."""
        run = self.run
        if run.micro_batches == "auto" and number > 1:
            raise LabError(
                f"micro_batches: auto tries what fits, and {number} devices would wait for the one that has not enough memory. Try it "
                "on one device, and give these that number."
            )
        if not run.shard_frozen:
            return
        if number == 1:
            raise LabError(
                "shard_frozen shares out what is frozen over several devices, and the trainer has one. Give it more, with "
                "--trainer.devices 2 --trainer.strategy ddp, or leave it out"
            )
        if run.frozen_weights == "int8":
            raise LabError("shard_frozen cannot share out int8 weights; use frozen_weights: bfloat16 with it")
        if self.paradigm.reads_by_content:
            raise LabError(
                "shard_frozen needs devices that compute every layer equally often, and how often "
                f"{type(self.paradigm).__name__} reads depends on what is in a batch"
            )

    def save_memory(self, module: Paradigm) -> None:
        """Let a module of this run, which has its backbone, compute again what need not be kept, and keep less of what is frozen."""
        module.shards_frozen = self.run.shard_frozen
        if self.run.gradient_checkpointing and not module.backbone.recomputes:
            module.backbone.recompute()
        module.backbone.keep_frozen(self.run.frozen_weights)

    @property
    def init_seed(self) -> int:
        """What seeds new parameters and dropout."""
        return self.data.seed if self.run.init_seed is None else self.run.init_seed

    def identity(self) -> dict[str, Any]:
        """The flat facts at the head of the record, and what W&B filters on."""
        return {
            "paradigm": self.name,
            "strategy": self.paradigm.strategy,
            "task": self.data.task.name,
            "backbone": self.run.backbone,
            "backbone_revision": self.paradigm.backbone.reader.revision,
            "k": self.data.k,
            "split_seed": self.data.seed,
            "init_seed": self.init_seed,
            "order_seed": self.data.order_seed,
            "selection": self.run.select,
            "template": self.paradigm.shown_template,
            "answer": type(self.paradigm.answer).__name__,
            "tuning": type(self.paradigm.tuning).__name__,
        }


def _check_strategy(name: str) -> None:
    """Refuse strategies that keep a part of the parameters on each device."""
    if any(word in name for word in ("fsdp", "deepspeed", "model_parallel")):
        raise LabError(
            f"trainer.strategy {name!r} keeps a part of the parameters on each device, and gradients are clipped, states compared and "
            "what moved is stored by whole parameters here. Use ddp with --shard_frozen true, which keeps a part of what is frozen on "
            "each; where memory is short, also frozen_weights, gradient_checkpointing and micro_batches."
        )


def _check_seeds(**seeds: int | None) -> None:
    for name, value in seeds.items():
        if value is not None and not 0 <= value < 2**32:
            raise LabError(f"{name} must lie between 0 and 2**32 - 1; it was {value}")
