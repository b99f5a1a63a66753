"""Items that all miss, and items that divide methods."""

import numpy as np
import pytest

from prompt_lab.errors import LabError
from prompt_lab.statistics.agreement import agreement


def test_by_hand() -> None:
    found = agreement(
        {
            "one": np.array([[1.0, 0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0, 1.0]]),
            "other": np.array([[0.0, 0.0, 1.0, 0.0, 1.0]]),
        }
    )
    assert found.methods == ("one", "other")
    assert found.share_MN.tolist() == [[1.0, 0.0, 0.5, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0, 1.0]]
    assert found.missed.tolist() == [1, 3]
    assert found.disputed.tolist() == [0, 2]
    assert found.spread_N.tolist() == [0.5, 0.0, 0.25, 0.0, 0.0]


def test_equally_disputed_items_keep_their_order() -> None:
    found = agreement({"a": np.array([[1.0, 0.0, 1.0]]), "b": np.array([[0.0, 1.0, 0.0]])})
    assert found.disputed.tolist() == [0, 1, 2]


def test_unlike_items_are_refused() -> None:
    with pytest.raises(LabError, match=r"'a': 3, 'b': 2"):
        agreement({"a": np.zeros((1, 3)), "b": np.zeros((1, 2))})
    with pytest.raises(LabError, match="same items"):
        agreement({})
