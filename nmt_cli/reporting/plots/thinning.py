"""A curve of any number of points as one that looks the same at a given width.

Of all points in a column of pixels the first, the lowest, the highest and the last are kept; a line through these
fills the same pixels as one through all (M4, Jugel et al. 2014). No peak is lost, none is made up.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

Point = tuple[float, float]


def thin(points: Sequence[tuple[float, float | None]], column: Callable[[float], int]) -> list[list[Point]]:
    """Points in order as unbroken stretches; a column in which no value is a number parts two of them."""
    stretches: list[list[Point]] = [[]]
    for _, together in groupby(points, key=lambda point: column(point[0])):
        known = [(place, value) for place, value in together if value is not None]
        if known:
            stretches[-1] += _extremes(known)
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _extremes(points: list[Point]) -> Iterator[Point]:
    if len(points) <= 4:
        yield from points
        return
    lowest = min(range(len(points)), key=lambda number: points[number][1])
    highest = max(range(len(points)), key=lambda number: points[number][1])
    for number in sorted({0, lowest, highest, len(points) - 1}):
        yield points[number]
