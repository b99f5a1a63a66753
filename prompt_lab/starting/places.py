"""Where new files go, and how they are written: whole, and never over another."""

from collections.abc import Mapping
from pathlib import Path

import prompt_lab
from prompt_lab.errors import LabError

ROOT = Path(prompt_lab.__file__).resolve().parents[1]
"""What the package stands in: a checkout of the repository, or a folder of installed packages."""


def checkout() -> Path | None:
    """The checkout that the command runs from and that the current folder is or lies in; None anywhere else."""
    is_one = (ROOT / "pyproject.toml").is_file() and (ROOT / "experiments" / "base.yaml").is_file()
    here = Path.cwd().resolve()
    return ROOT if is_one and (here == ROOT or ROOT in here.parents) else None


def shown(path: Path) -> str:
    """A path as it is typed from here."""
    here = Path.cwd().resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def folder(out: Path | None) -> Path:
    """The folder that is asked for, or the current one; it need not be there yet.

    Raises:
        LabError: it is a file.
    """
    given = Path.cwd() if out is None else out.expanduser()
    if given.exists() and not given.is_dir():
        raise LabError(f"--out {out} is a file; give the folder that the new file shall lie in")
    return given.resolve()


def write(files: Mapping[Path, str]) -> None:
    """Write new files.

    Raises:
        LabError: one is there already (none is written then), or cannot be written.
    """
    for path in files:
        if path.exists():
            raise LabError(f"{path} is there already, and nothing is ever overwritten")
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(content)
        except OSError as error:
            raise LabError(f"cannot write {path}: {error.strerror}. Choose another folder with --out.") from error
