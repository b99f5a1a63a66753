"""Puts names beside the points of a picture, so that none covers another or what is drawn."""

import math
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DIRECTIONS = tuple(math.radians(d) for d in (0, 180, 90, 270, 30, 150, 330, 210, 60, 120, 300, 240))
DISTANCES = 8, 11, 15, 21, 29, 39, 51, 65, 81, 99, 119
"""In points, from a point to its label; to one further away than the second a line leads."""
_OUTSIDE, _CROSSING, _COVERED, _FAR = 1e9, 1e4, 1e2, 0.025
"""What it costs to stand outside, to cross another label's line, to cover a pixel of another label (of a point it costs 1), and to be
a point away, squared."""

Point = tuple[float, float]


class Box(NamedTuple):
    """A rectangle, in pixels."""

    left: float
    bottom: float
    right: float
    top: float

    def common(self, other: "Box") -> float:
        """The area that it shares with another."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(wide, 0.0) * max(high, 0.0)

    def holds(self, other: "Box") -> bool:
        """Whether the other lies inside."""
        return self.common(other) == (other.right - other.left) * (other.top - other.bottom)

    def nearest(self, point: Point) -> Point:
        """What of it is nearest to a point."""
        return min(max(point[0], self.left), self.right), min(max(point[1], self.bottom), self.top)


class Spot(NamedTuple):
    """Where a label stands: its box, the point that it names, and whether a line leads there."""

    box: Box
    at: Point
    has_line: bool

    @property
    def line(self) -> tuple[Point, Point]:
        """From the point to the label."""
        return self.at, self.box.nearest(self.at)


class Label(NamedTuple):
    """A text, the place that it names, in the panel's coordinates, and its colour."""

    text: str
    x: float
    y: float
    colour: str


def spot(at: Point, size: Point, room: Box, taken: Sequence[Spot], drawn: Sequence[Box], pixels: float = 1.0) -> Spot:
    """Where a label goes: near to its point, and where it disturbs least.

    Args:
        at: the point.
        size: of the label.
        room: to stay inside.
        taken: other labels, which it must not cover, and whose lines its own should not cross.
        drawn: what should stay free.
        pixels: in a point, the unit of ``DISTANCES``.
    """
    best, least = None, math.inf
    places = list(product(range(len(DISTANCES)), DIRECTIONS))
    boxes = [_at(at, size, DISTANCES[number] * pixels, angle) for number, angle in places]
    for (number, _), box, hidden in zip(places, boxes, _covered(boxes, drawn), strict=True):
        found, far = Spot(box, at, number > 1), _FAR * DISTANCES[number] ** 2
        cost = far + _OUTSIDE * (not room.holds(box)) + hidden
        cost += sum(_COVERED * box.common(other.box) + _CROSSING * _meet(found, other) for other in taken)
        if cost < least:
            best, least = found, cost
        if least <= far:
            break  # all others are as far away, or further
    assert best is not None
    return best


def _at(point: Point, size: Point, distance: float, angle: float) -> Box:
    """A label's box in a direction from its point."""
    x = point[0] + math.cos(angle) * (distance + size[0] / 2)
    y = point[1] + math.sin(angle) * (distance + size[1] / 2)
    return Box(x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2)


def _covered(boxes: Sequence[Box], drawn: Sequence[Box]) -> list[float]:
    """The area of what is drawn that each box would hide; in one go, as this is what takes the time."""
    import numpy as np

    if not drawn:
        return [0.0] * len(boxes)
    of_X14, of_1D4 = np.array(boxes)[:, None], np.array(drawn)[None]
    sides = np.minimum(of_X14[..., 2:], of_1D4[..., 2:]) - np.maximum(of_X14[..., :2], of_1D4[..., :2])
    return sides.clip(min=0).prod(-1).sum(-1).tolist()


def drawn(axis: "Axes") -> list[Box]:
    """Boxes around the markers, bars and level lines of a panel whose layout is final."""
    pixels = _pixels(axis)
    found = []
    for line in axis.get_lines():
        ends = line.get_transform().transform(line.get_xydata()).tolist()
        is_marked = line.get_linestyle() == "None"
        half = pixels * (line.get_markersize() / 2 if is_marked else line.get_linewidth())
        found += [_around(piece, half) for piece in ([[end] for end in ends] if is_marked else [ends])]
    for bars in axis.collections:
        found += [_around(axis.transData.transform(path.vertices).tolist(), pixels) for path in bars.get_paths()]
    return found


def write(axis: "Axes", labels: Sequence[Label], drawn: Sequence[Box], fontsize: float = 8) -> None:
    """Write labels into a panel whose layout is final, the most important first, beside what is drawn there."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    figure = axis.get_figure()
    assert isinstance(figure, Figure)
    renderer = FigureCanvasAgg(
        figure
    ).get_renderer()  # one for all letters: each of its own would take as long as the picture
    pixels, room, taken = _pixels(axis), Box(*axis.bbox.extents), list[Spot]()
    halo = [withStroke(linewidth=2, foreground="white")]
    for label in labels:
        at = tuple(axis.transData.transform((label.x, label.y)).tolist())
        text = axis.annotate(
            label.text, (label.x, label.y), (0, 0), textcoords="offset points", ha="center", va="center",
            fontsize=fontsize, color=label.colour, path_effects=halo, zorder=5,
        )  # fmt: skip
        own = text.get_window_extent(renderer)
        found = spot(at, (own.width, own.height), room, taken, drawn, pixels)
        taken.append(found)
        box = found.box
        text.set_position(
            (((box.left + box.right) / 2 - at[0]) / pixels, ((box.bottom + box.top) / 2 - at[1]) / pixels)
        )
        text.set_in_layout(False)
        if found.has_line:
            x, y = zip(*axis.transData.inverted().transform(found.line).tolist(), strict=True)
            axis.plot(x, y, color=label.colour, linewidth=0.6, alpha=0.7)


def _meet(one: Spot, other: Spot) -> bool:
    """Whether the lines of two labels cross, or a line runs through the other label."""
    if one.has_line and (_crosses(*one.line, other.box) or (other.has_line and _cross(*one.line, *other.line))):
        return True
    return other.has_line and _crosses(*other.line, one.box)


def _crosses(start: Point, end: Point, box: Box) -> bool:
    left, bottom, right, top = box
    return _cross(start, end, (left, bottom), (right, top)) or _cross(start, end, (left, top), (right, bottom))


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether the line from a to b and that from c to d have a point in common: each has its ends on both sides of the other."""

    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _around(ends: Sequence[Sequence[float]], half: float) -> Box:
    x, y = zip(*ends, strict=True)
    return Box(min(x) - half, min(y) - half, max(x) + half, max(y) + half)


def _pixels(axis: "Axes") -> float:
    """In a point, the unit of letters and lines."""
    figure = axis.get_figure()
    assert figure is not None
    return figure.dpi / 72
