"""Freed memory stays with the process."""

import ctypes
import subprocess
import sys

import pytest

from prompt_lab.allocating import keep_freed

FAULTS = """
import resource, sys, torch
from prompt_lab.allocating import keep_freed
if sys.argv[1] == "keep":
    keep_freed()
for _ in range(20):
    torch.zeros(2**24)  # until the heap is large enough
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.zeros(2**24)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    said = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(said.stdout)


def test_large_blocks_are_used_again() -> None:
    """Pages are 4 KiB: five blocks that are new every time are up to 80,000 of them (fewer if pages are huge)."""
    kept, given_back = faults("keep"), faults("leave")
    assert kept < 100
    assert kept < given_back


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed.__wrapped__()
