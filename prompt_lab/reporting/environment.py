"""What a run ran on: versions, device, commit."""

import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "lightning", "transformers", "peft", "torchmetrics", "tokenizers", "datasets", "wandb", "numpy")


@cache
def environment() -> dict[str, Any]:
    """Versions of the libraries, the device, the number of threads, and the commit of prompt_lab's own checkout."""
    import torch

    import prompt_lab

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "prompt_lab": prompt_lab.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": gpu or platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit, with ``+changes`` where files differ from it; None outside a checkout."""
    here = Path(__file__).parent.parent

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # not that of a checkout around an installed prompt_lab
        return git("rev-parse", "HEAD") + (
            "+changes" if git("status", "--porcelain", "--untracked-files=no", ".") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None
