"""`prompt-lab merge`: what a run learnt, as plain weights."""

from pathlib import Path

from prompt_lab.merging import ANSWER, merge
from prompt_lab.stored_run import read_run
from prompt_lab.trainer import quiet


def main(run: Path, out: Path) -> int:
    """Write the folder, and say how it is used."""
    with quiet():
        merged = merge(read_run(run), out)
    print(f"{merged.folder}   (use it as --backbone {merged.folder}, or with transformers alone)")
    print(f"read texts through the pattern  {merged.pattern}")
    if merged.answer:
        parts = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in merged.answer.items())
        print(f"{merged.folder / ANSWER} holds what the answer has of its own, which these weights do not: {parts}")
    return 0
