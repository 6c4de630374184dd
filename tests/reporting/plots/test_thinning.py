"""A thinned curve looks as the whole one does."""

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.reporting.plots.thinning import thin

VALUES = st.lists(st.none() | st.integers(-1000, 1000).map(float), max_size=200)


def extremes(points: list[tuple[float, float]], columns: int) -> dict[int, tuple[float, float, float, float]]:
    """What a column of pixels shows: where the line comes in, its lowest and highest point, where it goes out."""
    found: dict[int, list[float]] = {}
    for place, value in points:
        found.setdefault(int(place / columns), []).append(value)
    return {column: (some[0], min(some), max(some), some[-1]) for column, some in found.items()}


@given(VALUES, st.integers(1, 40))
def test_each_column_keeps_its_ends_and_extremes(values: list[float | None], columns: int) -> None:
    points = [(float(step), value) for step, value in enumerate(values)]

    thinned = [point for stretch in thin(points, lambda step: int(step / columns)) for point in stretch]

    whole = [(step, value) for step, value in points if value is not None]
    assert extremes(thinned, columns) == extremes(whole, columns)
    assert set(thinned) <= set(whole)
    assert thinned == sorted(thinned)


def test_few_points_are_all_kept_and_broken_where_there_is_no_number() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 4.0)]
    assert thin(points, int) == [[(0.0, 1.0), (1.0, 2.0)], [(3.0, 4.0)]]


def test_a_hundred_thousand_points_become_few_and_the_peak_stays() -> None:
    generator = random.Random(1)
    points: list[tuple[float, float | None]] = [(float(step), generator.random()) for step in range(100_000)]
    points[77_777] = (77_777.0, 50.0)
    began = time.process_time()

    (stretch,) = thin(points, lambda step: int(step / 300))

    assert time.process_time() - began < 2
    assert len(stretch) <= 4 * 334
    assert max(value for _, value in stretch) == 50.0
