"""Names in a column beside a panel, each near the end of its line, where a legend of so many would send the eye to and fro."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prompt_lab.reporting.labels import Label
from prompt_lab.reporting.points import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = 0.15
"""From one name to the next."""
FONT = 8
AWAY = 1.1
"""Where their markers stand, in widths of the panel."""


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near to the wanted ones as they can be with a gap between them, in the same order from the top.

    Args:
        wanted: from the highest to the lowest.
        gap: the least distance of two.
        low: no place lies below, as long as there is room for all.
        high: no place lies above.
    """
    from scipy.optimize import isotonic_regression

    if not wanted:
        return []
    down = [gap * i for i in range(len(wanted))]
    fitted = isotonic_regression([place + by for place, by in zip(wanted, down, strict=True)], increasing=False).x
    floor = min(low + down[-1], high)
    return [min(max(float(place), floor), high) - by for place, by in zip(fitted, down, strict=True)]


def write(axis: "Axes", labels: Sequence[Label], looks: Mapping[str, Look], inches: float) -> None:
    """Write names to the right of a panel whose limits are final, with its marker and a thin line to what each names.

    Args:
        axis: the panel.
        labels: in any order.
        looks: by name.
        inches: the panel's height.
    """
    low, high = axis.get_ylim()
    ordered = sorted(labels, key=lambda label: -label.y)
    places = spread([label.y for label in ordered], INCHES / inches * (high - low), low, high)
    for label, place in zip(ordered, places, strict=True):
        at, colour = (AWAY, (place - low) / (high - low)), label.colour
        line: dict[str, Any] = {
            "arrowstyle": "-",
            "color": colour,
            "linewidth": 0.5,
            "alpha": 0.7,
            "shrinkA": 0,
            "shrinkB": 3,
        }
        axis.annotate("", (label.x, label.y), at, textcoords=axis.transAxes, annotation_clip=False, arrowprops=line)
        marker = looks[label.text].marker
        axis.plot(*at, color=colour, marker=marker, markersize=4, transform=axis.transAxes, clip_on=False)
        axis.text(at[0] + 0.02, at[1], label.text, transform=axis.transAxes, va="center", fontsize=FONT, color=colour)
