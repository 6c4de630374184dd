"""Sides of pictures hold all values and are marked with round numbers."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.reporting.plots.axes import exact_axis, fitting_axis, logarithmic_axis, short

NUMBERS = st.floats(min_value=-1e12, max_value=1e12, allow_subnormal=False).map(lambda value: round(value, 6))


@given(st.lists(NUMBERS, min_size=1))
def test_every_value_has_a_place_within(values: list[float]) -> None:
    axis = fitting_axis(values, 200, 10)
    assert all(10 - 1e-6 <= axis.place(value) <= 200 + 1e-6 for value in values)


@given(st.lists(NUMBERS, min_size=1))
def test_there_are_some_marks_but_not_many(values: list[float]) -> None:
    ticks = fitting_axis(values, 200, 10).ticks()
    assert 2 <= len(ticks) <= 9


def test_marks_are_round() -> None:
    assert fitting_axis([0.3, 41.2], 0, 1).ticks() == [0, 10, 20, 30, 40, 50]
    assert exact_axis(0, 5000, 0, 1).ticks() == [0, 1000, 2000, 3000, 4000, 5000]
    assert [short(tick) for tick in fitting_axis([0, 0.002], 0, 1).ticks()] == ["0", "5e-4", "0.001", "0.0015", "0.002"]


def test_no_values_and_equal_values_have_axes_too() -> None:
    for values in ([], [0.0], [7.0, 7.0], [-3.0]):
        axis = fitting_axis(values, 0, 100)
        assert math.isfinite(axis.place(values[0] if values else 0.0))


def test_powers_of_ten_are_as_far_from_each_other() -> None:
    axis = logarithmic_axis([0.01, 100], 0, 100)
    places = [axis.place(value) for value in (0.01, 0.1, 1, 10, 100)]
    gaps = [second - first for first, second in pairwise(places)]
    assert max(gaps) - min(gaps) < 1e-9
    assert axis.ticks() == [0.01, 0.1, 1, 10, 100]


def test_numbers_are_short() -> None:
    shown = {0: "0", 12: "12", 0.25: "0.25", 1000: "1k", 1500: "1500", 15000: "15k", 2_000_000: "2M", 3e-5: "3e-5"}
    assert {value: short(value) for value in shown} == shown
