"""Sends to W&B what runs logged offline, by `wandb sync`."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import Timeout

from prompt_lab.reporting import files

SECONDS = 900
"""How long the upload of one run may take: W&B waits for its server without end."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def offline_runs(folder: Path) -> list[Path]:
    """W&B's folders of offline runs below a folder of results, in the order of their paths."""
    return sorted(path for path in folder.rglob("offline-run-*") if path.is_dir() and path.parent.name == "wandb")


def is_synced(run: Path) -> bool:
    """Whether `wandb sync` has left its mark there, a file that ends in ``.wandb.synced``."""
    return any(run.glob("*.wandb.synced"))


def is_going_on(run: Path) -> bool:
    """Whether a process has the run in hand: W&B would take what there is for all of it."""
    lock = run.parent.parent / ".lock"
    if not lock.exists():
        return False
    try:
        with files.lock(lock.parent).acquire(timeout=0):
            return False
    except Timeout:
        return True


def send(run: Path, project: str | None, entity: str | None) -> str | None:
    """Upload one run.

    Returns:
        None if W&B has it; otherwise what `wandb sync` said. It ends without an error even then, so its mark decides.
    """
    options = [f"--{name}={value}" for name, value in (("project", project), ("entity", entity)) if value]
    command = [sys.executable, "-m", "wandb", "sync", *options, str(run)]
    told = {name: value for name, value in os.environ.items() if name != "WANDB_MODE"}  # of new runs, not of uploads
    told["WANDB_DIR"] = str(run.parent.parent)  # where the command writes its own log
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=told, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"not sent within {SECONDS} s; W&B's server may have gone away"
    if is_synced(run):
        return None
    return _reason(f"{done.stdout}\n{done.stderr}".splitlines()) or f"wandb sync ended with {done.returncode}"


def _reason(said: Sequence[str]) -> str:
    """The last line of W&B's that tells something, without its colours and name."""
    lines = [_COLOUR.sub("", line).removeprefix("wandb:").strip() for line in said]
    errors = [line for line in lines if line.startswith(("ERROR", "Error", "WARNING"))]
    return next((line for line in reversed(errors or lines) if line), "")
