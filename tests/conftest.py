"""Every test runs offline, on one thread, without an account."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["WANDB_MODE"] = "offline"
os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest

collect_ignore_glob = [] if os.environ["CUDA_VISIBLE_DEVICES"] else ["gpu/*"]

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def experiments() -> Path:
    """The folder of experiment files."""
    return ROOT / "experiments"
