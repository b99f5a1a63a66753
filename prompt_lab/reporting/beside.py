"""Names in a column beside a panel, each near the end of its line, where a legend of so many would send the eye to and fro."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prompt_lab.reporting.labels import Label
from prompt_lab.reporting.points import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES = 0.15
"""From one name to the next."""
FONT = 8
AWAY = 1.12
"""Where they begin, in widths of the panel."""


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near to the wanted ones as they can be with a gap between them, in the same order from the top.

    Args:
        wanted: from the highest to the lowest.
        gap: the least distance of two.
        low: no place lies below, as long as there is room for all.
        high: no place lies above.
    """
    found: list[float] = []
    for place in wanted:
        found.append(min(place, high if not found else found[-1] - gap))
    floor = min(low, high - gap * (len(found) - 1))
    for i in reversed(range(len(found))):
        found[i] = max(found[i], floor)
        floor = found[i] + gap
    return found


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
        share, colour = (place - low) / (high - low), label.colour
        line = {
            "arrowstyle": "-",
            "color": colour,
            "linewidth": 0.5,
            "alpha": 0.7,
            "shrinkA": 9,
            "shrinkB": 3,
            "relpos": (0, 0.5),
        }
        axis.annotate(
            label.text, (label.x, label.y), (AWAY, share), textcoords=axis.transAxes, ha="left", va="center", fontsize=FONT,
            color=colour, annotation_clip=False, arrowprops=line,
        )  # fmt: skip
        axis.plot(
            AWAY - 0.02,
            share,
            color=colour,
            marker=looks[label.text].marker,
            markersize=4,
            transform=axis.transAxes,
            clip_on=False,
        )
