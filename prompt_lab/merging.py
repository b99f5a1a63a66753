"""What a run learnt, as plain weights: a Hugging Face folder that transformers loads without prompt_lab and peft."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from prompt_lab.backbones.backbone import Backbone
from prompt_lab.backbones.checkpoint import Pretrained, silent, weights_hash
from prompt_lab.backbones.load import load_backbone
from prompt_lab.backbones.sites import plain
from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.predicting import restored
from prompt_lab.reporting.adapters import adapters, plain_name
from prompt_lab.reporting.files import write_tensors
from prompt_lab.stored_run import StoredRun, of_run

ANSWER = "answer.safetensors"


@dataclass(frozen=True)
class Merged:
    """What was written.

    Attributes:
        folder: with weights, configuration and tokenizer.
        answer: what the run's answer has of its own, which stands in a file beside them; often nothing.
        pattern: what the run's texts were read through.
    """

    folder: Path
    answer: Mapping[str, Tensor]
    pattern: str


def merge(run: StoredRun, folder: Path) -> Merged:
    """Write a run's backbone with all that moved in it.

    Args:
        run: read from its folder.
        folder: is made, all of it or nothing.

    Raises:
        LabError: the run holds what plain weights cannot; the folder has something in it, or cannot be written to.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LabError(f"{folder} is there already, and nothing is overwritten: give another --out, or delete it")
    with of_run(run.folder):
        module = restored(run, load_backbone(run.experiment.run.backbone).fresh())
    answer = _answer(module, run.folder)
    unload(module.backbone)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write(module.backbone, partial)
        if answer:
            said = {"task": run.task.name, "labels": ", ".join(run.task.labels), "answer": type(module.answer).__name__}
            write_tensors(partial / ANSWER, answer, said)
        partial.replace(folder)
    except OSError as error:
        raise LabError(f"cannot write {folder}: {error}. Choose another folder with --out.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Merged(folder, answer, module.shown_template)


def unload(backbone: Backbone) -> None:
    """Merge what peft put into a backbone into its layers, in place, and take peft's layers out."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers: list[tuple[str, Any]] = [
        (name, m) for name, m in backbone.model.named_modules() if isinstance(m, BaseTunerLayer)
    ]
    for _, layer in reversed(layers):  # what stands inside of another first: it comes first when they run
        layer.merge()
    for name, layer in layers:
        if not name.endswith(".base_layer"):
            backbone.model.set_submodule(name, plain(layer))
    if layers:
        del backbone.model.peft_config


def _answer(module: Paradigm, run: Path) -> dict[str, Tensor]:
    """What a paradigm's answer has learnt, by its names in the answer.

    Raises:
        LabError: something else has been learnt that is no part of the plain model, nor of peft's making.
    """
    backbone = module.backbone
    named: dict[str, Any] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    own = {id(t): n for n, t in (*module.answer.named_parameters(), *module.answer.named_buffers())}
    known = {id(p) for adapter in adapters(module).values() for p in adapter.values()}
    known |= {id(p) for n, p in backbone.model.named_parameters() if plain_name(f"model.{n}") in backbone.pretrained}
    found, foreign = {}, []
    for name in module.moved_state():
        tensor = named.get(name)
        if tensor is not None and id(tensor) in own:
            found[own[id(tensor)]] = tensor.detach().clone()
        elif id(tensor) not in known:
            foreign.append(name)
    if foreign:
        raise LabError(
            f"the run {run} learnt what plain weights cannot hold: {', '.join(foreign[:3])}{' …' if len(foreign) > 3 else ''}. Such "
            f"parts, as prompts, adapters and gates are, go with prompt_lab: use `prompt-lab predict --run {run}`."
        )
    return found


def _write(backbone: Backbone, folder: Path) -> None:
    """Write weights, configuration and tokenizer, and read them again.

    Raises:
        LabError: they are not read as they were written.
    """
    weights = {n: v for n, v in backbone.model.state_dict().items() if n not in backbone.missing}
    with silent():
        backbone.model.save_pretrained(folder, state_dict=weights)
    backbone.reader.tokenizer.save_pretrained(folder)
    again = Pretrained(str(folder))
    model, missing = again.model()
    same = weights_hash(model, missing) == weights_hash(backbone.model, backbone.missing)
    if again.reader.kind != backbone.reader.kind or not same:
        raise LabError(
            f"{type(backbone.model).__name__} is not the same when transformers has written and read it, so it cannot be merged. Use "
            "`prompt-lab predict`."
        )
