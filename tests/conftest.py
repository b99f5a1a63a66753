"""Every test runs offline, on one thread, without an account."""

import gc
import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest

collect_ignore_glob = [] if os.environ["CUDA_VISIBLE_DEVICES"] else ["gpu/*"]

ROOT = Path(__file__).parent.parent


def pytest_collection_finish() -> None:
    """Runs look for garbage; what has been imported and collected up to now is none, and need not be gone through each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def experiments() -> Path:
    """The folder of experiment files."""
    return ROOT / "experiments"
