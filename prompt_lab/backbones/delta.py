"""What was learnt on top of a base backbone, in one small file: how it is written, and the backbone that it makes.

The file's tensors have the names of the model's parameters. A float tensor takes the parameter's place. An int8 tensor,
with ``NAME::scale`` beside it, is what is added to the parameter, divided by a scale for each of its rows. What peft put
in, such as LoRA's matrices, is merged into its layers. The file's metadata names the base, its hash, and peft's settings.
"""

import json
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from prompt_lab.backbones.checkpoint import READERS, Checkpoint, revision_of, tensors_hash
from prompt_lab.backbones.reader import Kind
from prompt_lab.errors import LabError
from prompt_lab.reporting.files import write_tensors

FILE = "delta.safetensors"
SCALE = "::scale"
_STEPS = 127


@dataclass(frozen=True)
class Made:
    """What a delta says of itself.

    Attributes:
        base: the backbone it stands on, by name; a folder by its whole path.
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
            stored[name] = (difference / scale).round().to(torch.int8).contiguous()
            stored[name + SCALE] = scale
        else:
            stored[name] = value.half().contiguous()
    base_folder = Path(made.base).expanduser()
    if base_folder.is_dir():
        made = replace(made, base=str(base_folder.resolve()))
    write_tensors(path, stored, asdict(made))


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
        with _readable(folder), safe_open(folder / FILE, framework="pt") as stored:
            made = Made(**(stored.metadata() or {}))
            if made.kind not in READERS:
                raise ValueError(f"it is of kind {made.kind!r}")
            return made

    @cached_property
    def _made(self) -> Made:
        return self.made(self.folder)

    def _stored(self) -> dict[str, Tensor]:
        with _readable(self.folder), safe_open(self.folder / FILE, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def kind(self) -> Kind:
        """As the delta says."""
        return self._made.kind  # type: ignore[return-value]

    def config(self) -> Any:
        """The base's."""
        with standing(self.folder, self._base.name):
            return self._base.config()

    def tokenizer(self) -> Any:
        """The base's."""
        with standing(self.folder, self._base.name):
            return self._base.tokenizer()

    def revision(self) -> str:
        """A hash of the base's revision and of what is stored: merging matrices may round differently elsewhere."""
        return tensors_hash(self._stored(), self._made.base_revision, self._made.peft)

    def model(self) -> tuple[Any, tuple[str, ...]]:
        """The base with the delta merged into its weights.

        Raises:
            LabError: the base is not the one that the delta was made for, or they do not fit.
        """
        with standing(self.folder, self._base.name):
            model, missing = self._base.model()
        revision = revision_of(self._base, model, missing)
        if revision != self._made.base_revision:
            raise LabError(
                f"the delta {self.folder / FILE} was made for {self._made.base} ({self._made.base_revision}), but that is now "
                f"{revision}. Use the same version of it, or make the delta again with `prompt-lab pretrain`."
            )
        stored = self._stored()
        with _readable(self.folder):
            adapted = _with_adapter(model, self._made.peft) if self._made.peft else None
        wrong = _put(stored, model)
        if wrong:
            raise LabError(
                f"the delta {self.folder / FILE} does not fit {self._made.base}: {', '.join(wrong[:3])} "
                "are no parameters of it, or of other sizes"
            )
        if adapted is not None:
            model = adapted.merge_and_unload()
        return model.requires_grad_(True), still_missing(model, missing, stored)


@contextmanager
def standing(folder: Path, base: str) -> Iterator[None]:
    """Say which delta it was that asked for a base, when the base cannot be had."""
    try:
        yield
    except LabError as error:
        raise LabError(f"the delta {folder / FILE} stands on {base!r}: {error}") from error


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, TypeError, ValueError, KeyError) as error:
        raise LabError(
            f"{folder / FILE} is not a delta that `prompt-lab pretrain` wrote, or it is damaged ({error})"
        ) from error


@torch.no_grad()
def _put(stored: Mapping[str, Tensor], model: Any) -> list[str]:
    """Put what was stored into a model; or name what does not fit, and leave the model alone."""
    own: dict[str, Tensor] = model.state_dict(keep_vars=True)

    def fits(name: str, value: Tensor) -> bool:
        if name.endswith(SCALE):
            whole = stored.get(name.removesuffix(SCALE))
            return whole is not None and value.shape == (len(whole), 1)
        shape_fits = name in own and value.shape == own[name].shape
        return shape_fits and (value.dtype != torch.int8 or name + SCALE in stored)

    wrong = sorted(name for name, value in stored.items() if not fits(name, value))
    done: set[int] = set()  # a tensor that two names share moves once
    for name, value in stored.items():
        if wrong or name.endswith(SCALE) or id(own[name]) in done:
            continue
        done.add(id(own[name]))
        own[name].copy_(own[name] + value * stored[name + SCALE] if value.dtype == torch.int8 else value)
    return wrong


def still_missing(model: Any, missing: Collection[str], found: Collection[str]) -> tuple[str, ...]:
    """The missing parameters that were not found, nor are the same tensor as one that is there."""
    own = model.state_dict(keep_vars=True)
    there = {id(value) for name, value in own.items() if name in found or name not in missing}
    return tuple(sorted(name for name in missing if id(own.get(name)) not in there))


def _with_adapter(model: Any, settings: str) -> Any:
    import peft

    with warnings.catch_warnings():  # peft asks transformers in a way that transformers has deprecated
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings(
            "ignore", "Adapter name"
        )  # it begins like peft's own names of parameters, which does no harm
        given = json.loads(settings)
        name = given.pop("adapter_name", "default")
        return peft.get_peft_model(model, peft.get_peft_config(given), adapter_name=name)


def adapter_settings(model: Any) -> str:
    """The settings of the adapter that peft put into a model, as JSON; empty where there is none."""
    found = getattr(model, "peft_config", None)
    if not found:
        return ""
    if len(found) > 1:
        raise LabError(f"a delta holds one adapter of peft's, and this model has {', '.join(found)}")
    ((name, config),) = found.items()
    given = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    plain = {k: v for k, v in given.items() if v and isinstance(v, str | int | float | bool | list)}
    plain.pop("peft_version", None)  # the same adapter under another peft is the same
    return json.dumps(plain | {"adapter_name": name}, sort_keys=True)
