"""From a name to a backbone: a path on disk, then a packaged one, then a hub id."""

from functools import lru_cache
from pathlib import Path

from prompt_lab import discovery
from prompt_lab.backbones import delta
from prompt_lab.backbones.backbone import Backbone, DecoderBackbone, Seq2SeqBackbone
from prompt_lab.backbones.checkpoint import Checkpoint, Pretrained, revision_of
from prompt_lab.backbones.reader import Reader
from prompt_lab.errors import LabError, unknown
from prompt_lab.stamps import Stamps, stamps

_BACKBONES = {"masked": Backbone, "causal": DecoderBackbone, "seq2seq": Seq2SeqBackbone}


def packaged() -> dict[str, discovery.Entry]:
    """Backbones that need no hub, by name."""
    return {name.replace("_", "-"): entry for name, entry in discovery.entries("backbone").items()}


def checkpoint(name: str) -> Checkpoint:
    """Where the backbone of that name comes from; nothing is read yet. A folder that has changed is another one.

    Raises:
        LabError: the name is a path that does not exist, a damaged delta, or nearly the name of a packaged backbone.
    """
    return _checkpoint(name, stamps([Path(name).expanduser()]))


@lru_cache(maxsize=8)
def _checkpoint(name: str, as_written: Stamps) -> Checkpoint:
    folder = Path(name).expanduser()
    if (folder / delta.FILE).is_file() and not (folder / "config.json").exists():
        base = delta.Adapted.made(folder).base
        with delta.standing(folder, base):
            if Path(base).expanduser().resolve() == folder.resolve():
                raise LabError("that is the delta itself. Delete its folder and make it again under another name.")
            return delta.Adapted(folder, checkpoint(base), name)
    if folder.is_dir():
        return Pretrained(str(folder))
    if name in packaged():
        return packaged()[name].load()(name)
    if name.startswith(("/", "./", "../", "~")) or name.endswith(".safetensors"):
        raise LabError(
            f"no such folder: {name!r}. A local backbone is a folder with config.json, a tokenizer and weights."
        )
    if "/" not in name and _looks_packaged(name):
        raise unknown("backbone", name, packaged())
    return Pretrained(name)


def load_reader(name: str) -> Reader:
    """The reading side of a backbone: tokenizer and configuration, no weights."""
    return checkpoint(name).reader


def load_backbone(name: str) -> Backbone:
    """A backbone with its weights, in evaluation mode. It is kept: take a ``fresh()`` one of it for each experiment."""
    return _load_backbone(name, stamps([Path(name).expanduser()]))


@lru_cache(maxsize=1)
def _load_backbone(name: str, as_written: Stamps) -> Backbone:
    return load_anew(name)


def forget() -> None:
    """Let go of the backbone that is kept."""
    _load_backbone.cache_clear()


def load_anew(name: str) -> Backbone:
    """A backbone with its weights, in evaluation mode, beside the one that ``load_backbone`` keeps."""
    source = checkpoint(name)
    model, missing = source.model()
    reader = source.reader
    reader.revision = revision_of(source, model, missing)
    return _BACKBONES[reader.kind](model, reader, missing).eval()


def _looks_packaged(name: str) -> bool:
    """Whether a name shares its first word with a packaged one: a hub id is never refused because it looks alike."""
    return name.lower().replace("_", "-").split("-")[0] in {known.split("-")[0] for known in packaged()}
