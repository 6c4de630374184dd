"""Thinned curves look like the full ones."""

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.reporting.plots.curves import thin

VALUES = st.lists(st.none() | st.integers(-1000, 1000).map(float), max_size=200)


def extremes(points: list[tuple[float, float]], columns: int) -> dict[int, tuple[float, float, float, float]]:
    """First, lowest, highest and last value of each pixel column."""
    found: dict[int, list[float]] = {}
    for x, value in points:
        found.setdefault(int(x / columns), []).append(value)
    return {column: (some[0], min(some), max(some), some[-1]) for column, some in found.items()}


@given(VALUES, st.integers(1, 40))
def test_thin_keeps_ends_and_extremes_of_each_column(values: list[float | None], columns: int) -> None:
    points = [(float(step), value) for step, value in enumerate(values)]

    thinned = [point for segment in thin(points, lambda step: int(step / columns)) for point in segment]

    finite = [(step, value) for step, value in points if value is not None]
    assert extremes(thinned, columns) == extremes(finite, columns)
    assert set(thinned) <= set(finite)
    assert thinned == sorted(thinned)


def test_thin_splits_at_values_that_are_not_finite() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 4.0)]
    assert thin(points, int) == [[(0.0, 1.0), (1.0, 2.0)], [(3.0, 4.0)]]


def test_thin_reduces_100_000_points_and_keeps_the_peak() -> None:
    rng = random.Random(1)
    points: list[tuple[float, float | None]] = [(float(step), rng.random()) for step in range(100_000)]
    points[77_777] = (77_777.0, 50.0)
    began = time.process_time()

    (segment,) = thin(points, lambda step: int(step / 300))

    assert time.process_time() - began < 2
    assert len(segment) <= 4 * 334
    assert max(value for _, value in segment) == 50.0
