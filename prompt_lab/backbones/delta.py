"""What was learnt on top of a base backbone, in one small file: how it is written, and the backbone that it makes.

The file's tensors have the names of the model's parameters. A float tensor takes the parameter's place. An int8 tensor,
with ``NAME::scale`` beside it, is what is added to the parameter, divided by a scale for each of its rows. What peft put
in, such as LoRA's matrices, is merged into its layers. The file's metadata names the base, its hash, and peft's settings.
"""

import json
import warnings
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from prompt_lab.backbones.checkpoint import Checkpoint, revision_of
from prompt_lab.backbones.reader import Kind
from prompt_lab.errors import LabError
from prompt_lab.reporting.files import atomic

FILE = "delta.safetensors"
SCALE = "::scale"
_STEPS = 127


@dataclass(frozen=True)
class Made:
    """What a delta says of itself.

    Attributes:
        base: the backbone it stands on, by name.
        base_revision: the base's revision, or a hash of its weights.
        kind: of backbone that base and delta make: masked, causal or seq2seq.
        peft: settings of the adapter that was put in through peft, as JSON; empty without one.
    """

    base: str
    base_revision: str
    kind: str
    peft: str = ""


def write(path: Path, learnt: Mapping[str, Tensor], base: Mapping[str, Tensor], made: Made, *, int8: bool) -> None:
    """Store what was learnt.

    Args:
        path: the file.
        learnt: parameters that moved, by name.
        base: parameters before they moved; those that are no part of the base are not in it.
        made: what it stands on.
        int8: store the difference of every matrix in 8 bits, half of what float16 takes.

    Raises:
        LabError: the folder cannot be written to, or the disk is full.
    """
    stored: dict[str, Tensor] = {}
    for name, value in learnt.items():
        value = value.detach().float().cpu()
        if int8 and value.ndim == 2 and name in base:
            difference = value - base[name].float().cpu()
            scale = (difference.abs().amax(1, keepdim=True) / _STEPS).clamp_min(1e-12)
            stored[name] = (difference / scale).round().to(torch.int8)
            stored[name + SCALE] = scale
        else:
            stored[name] = value.half().contiguous()
    with atomic(path) as temporary:
        try:
            save_file(stored, temporary, asdict(made))
        except SafetensorError as error:  # its own word for a full disk
            raise OSError(str(error)) from error


class Adapted(Checkpoint):
    """A base backbone with a delta.

    Args:
        folder: holds ``delta.safetensors``.
        base: the backbone that the delta stands on.
        name: what it is asked for by.
    """

    def __init__(self, folder: Path, base: Checkpoint, name: str) -> None:
        self.name = name
        self.folder = folder
        self._base = base

    @staticmethod
    def made(folder: Path) -> Made:
        """What the delta of a folder says of itself.

        Raises:
            LabError: it cannot be read, or is no delta of this kind.
        """
        try:
            with safe_open(folder / FILE, framework="pt") as stored:
                return Made(**(stored.metadata() or {}))
        except (OSError, SafetensorError, TypeError) as error:
            raise LabError(
                f"{folder / FILE} is not a delta that `prompt-lab pretrain` wrote, or it is damaged ({error})"
            ) from error

    @cached_property
    def _made(self) -> Made:
        return self.made(self.folder)

    def kind(self) -> Kind:
        """As the delta says."""
        return self._made.kind  # type: ignore[return-value]

    def config(self) -> Any:
        """The base's."""
        return self._base.config()

    def tokenizer(self) -> Any:
        """The base's."""
        return self._base.tokenizer()

    def model(self) -> tuple[Any, tuple[str, ...]]:
        """The base with the delta merged into its weights.

        Raises:
            LabError: the base is not the one that the delta was made for, or they do not fit.
        """
        model, missing = self._base.model()
        revision = revision_of(self._base, model, missing)
        if revision != self._made.base_revision:
            raise LabError(
                f"the delta {self.folder / FILE} was made for {self._made.base} ({self._made.base_revision}), but that is now "
                f"{revision}. Use the same version of it, or make the delta again with `prompt-lab pretrain`."
            )
        with safe_open(self.folder / FILE, framework="pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        merged = _with_adapter(model, self._made.peft) if self._made.peft else model
        inside = merged.base_model.model if self._made.peft else model
        own = inside.state_dict()
        wrong = sorted(name for name in stored if name.removesuffix(SCALE) not in own)
        if wrong:
            raise LabError(
                f"the delta {self.folder / FILE} does not fit {self._made.base}, which has no {', '.join(wrong[:3])}"
            )
        with torch.no_grad():
            for name, value in stored.items():
                if value.dtype == torch.int8:
                    own[name] += value.float() * stored[name + SCALE].float()
                elif not name.endswith(SCALE):
                    own[name].copy_(value)
        if self._made.peft:
            model = merged.merge_and_unload()
        return model.requires_grad_(True), still_missing(model, missing, stored)


def still_missing(model: Any, missing: Collection[str], found: Collection[str]) -> tuple[str, ...]:
    """The missing parameters that were not found, nor are the same tensor as one that is there."""
    own = model.state_dict(keep_vars=True)
    there = {id(value) for name, value in own.items() if name in found or name not in missing}
    return tuple(sorted(name for name in missing if id(own.get(name)) not in there))


def _with_adapter(model: Any, settings: str) -> Any:
    import peft

    with warnings.catch_warnings():  # peft asks transformers in a way that transformers has deprecated
        warnings.simplefilter("ignore", FutureWarning)
        return peft.get_peft_model(model, peft.get_peft_config(json.loads(settings)))


def adapter_settings(model: Any) -> str:
    """The settings of the adapter that peft put into a model, as JSON; empty where there is none."""
    found = getattr(model, "peft_config", None)
    if not found:
        return ""
    given = found["default"].to_dict()
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in given.items()}
    return json.dumps(
        {k: v for k, v in plain.items() if isinstance(v, str | int | float | bool | list) and v != []}, default=str
    )
