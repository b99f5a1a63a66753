"""A machine without a network is told so at once."""

import os
import socket

import pytest
from huggingface_hub import constants

from prompt_lab import hub


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Addresses that were tried; none answers."""
    tried: list[tuple[str, int]] = []

    def refuse(address: tuple[str, int], timeout: float) -> None:
        tried.append(address)
        raise OSError("no network")

    for name in ("HF_HUB_OFFLINE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    hub.go_offline_if_unreachable.cache_clear()
    yield tried
    hub.go_offline_if_unreachable.cache_clear()


def test_no_answer_means_offline_and_is_asked_once(asked: list[tuple[str, int]]) -> None:
    hub.go_offline_if_unreachable()
    hub.go_offline_if_unreachable()
    assert len(asked) == 1
    assert constants.HF_HUB_OFFLINE is True
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_behind_a_proxy_nothing_is_asked(asked: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    hub.go_offline_if_unreachable()
    assert asked == []
    assert constants.HF_HUB_OFFLINE is False


def test_an_answer_leaves_everything_as_it_is(asked: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    class Answering:
        def close(self) -> None:
            asked.append(("closed", 0))

    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: Answering())
    hub.go_offline_if_unreachable()
    assert asked == [("closed", 0)]
    assert constants.HF_HUB_OFFLINE is False
