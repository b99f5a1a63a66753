"""Which paradigms no other one beats at their price: the Pareto front of cost and score."""

from collections.abc import Sequence

Point = tuple[float, float]
"""Cost and score."""


def front(points: Sequence[Point]) -> list[int]:
    """Numbers of the points that no other one dominates, the cheapest first.

    A point dominates another if it costs no more and scores no less, and one of both truly so; equal points stand together. Scores
    are taken as they are: that one lies a little higher does not say that the difference is real.
    """
    found: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        best = points[found[-1]] if found else None
        if best is None or points[i][1] > best[1] or points[i] == best:
            found.append(i)
    return found
