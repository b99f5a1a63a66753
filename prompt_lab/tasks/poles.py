"""Numbers between two poles, each of which is a label with words of its own: regression (Gao et al. 2021, section 4.1).

A number y from v_l to v_u becomes a mixture of the poles, p(y_u | x) = (y - v_l) / (v_u - v_l). A model learns that mixture and says
y = v_l p(y_l | x) + v_u p(y_u | x).
"""

import math
from collections.abc import Sequence
from typing import Any

from prompt_lab.batch import Example
from prompt_lab.errors import LabError

Bounds = tuple[float, float]
"""The numbers of the lower pole, which is the first label, and of the upper one."""


def check(bounds: Bounds, labels: Sequence[str]) -> None:
    """Refuse bounds that enclose nothing, and labels that are not two poles.

    Raises:
        LabError: so it is.
    """
    if len(labels) != 2:
        raise LabError(
            f"a task with bounds has two labels, its lower and its upper pole; it has {len(labels)}: {list(labels)}"
        )
    if len(bounds) != 2 or not all(map(math.isfinite, bounds)) or bounds[0] >= bounds[1]:
        raise LabError(f"bounds are two numbers, the lower one first, such as (0.0, 5.0); they were {bounds!r}")


def placed(given: Any, bounds: Bounds) -> tuple[int, tuple[float, float]]:
    """The nearer pole of a number (the upper one of the middle, as in LM-BFF), and the share of each pole.

    Shares are rounded to a millionth: 3.8 that was kept in 32 bits, as hub data sets do, is the same as 3.8 in a text file.

    Args:
        given: a number, or a number as text.
        bounds: what it lies between.

    Raises:
        LabError: it is no number, or lies outside.
    """
    lower, upper = bounds
    try:
        number = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        raise LabError(f"the label {given!r} is no number; numbers from {lower:g} to {upper:g} are asked for")
    if not lower <= number <= upper:
        raise LabError(f"the label {given!r} lies outside of the bounds, {lower:g} to {upper:g}")
    share = round((number - lower) / (upper - lower), 6)
    return int(share >= 0.5), (round(1 - share, 6), share)


def mixed(share: float, bounds: Bounds) -> float:
    """The number that lies at a share of the way from the lower pole to the upper one."""
    return float(f"{bounds[0] + share * (bounds[1] - bounds[0]):.9g}")


def value(example: Example, bounds: Bounds) -> float:
    """The number of a labelled example; one without shares stands at its pole."""
    return mixed(float(example.label or 0) if example.soft is None else example.soft[1], bounds)
