"""What a run moved, as one safetensors file that knows which backbone it belongs to."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from prompt_lab.errors import LabError
from prompt_lab.paradigms import Paradigm
from prompt_lab.reporting.files import write_tensors

FILE = "delta.safetensors"


def save(path: Path, module: Paradigm) -> None:
    """Store the parameters that moved, with the backbone's name and revision.

    Raises:
        LabError: the folder cannot be written to, or the disk is full.
    """
    state = {name: value.cpu().contiguous().clone() for name, value in module.moved_state().items()}
    reader = module.backbone.reader
    made_for = {"backbone": reader.name, "revision": reader.revision, "paradigm": type(module).__name__}
    write_tensors(path, state, made_for)


def load(path: Path, module: Paradigm) -> None:
    """Put stored parameters into a paradigm that was built with the same settings.

    Raises:
        LabError: the file is corrupt, or was made for another backbone or other settings.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            made_for = stored.metadata() or {}
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise LabError(
            f"the checkpoint {path} cannot be read ({error}). Delete its run's folder and run it again."
        ) from error
    reader = module.backbone.reader
    if made_for.get("revision") != reader.revision:
        raise LabError(
            f"the checkpoint {path} was made for {made_for.get('backbone')} ({made_for.get('revision')}), "
            f"not for {reader.name} ({reader.revision})"
        )
    module.load_moved(state)
