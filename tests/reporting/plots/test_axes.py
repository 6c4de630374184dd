"""Axes contain all values and have round ticks."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.reporting.plots.axes import exact_axis, fit_axis, format_tick, logarithmic_axis

NUMBERS = st.floats(min_value=-1e12, max_value=1e12, allow_subnormal=False).map(lambda value: round(value, 6))


@given(st.lists(NUMBERS, min_size=1))
def test_fit_axis_contains_every_value(values: list[float]) -> None:
    axis = fit_axis(values, 200, 10)
    assert all(10 - 1e-6 <= axis.to_pixel(value) <= 200 + 1e-6 for value in values)


@given(st.lists(NUMBERS, min_size=1))
def test_fit_axis_has_two_to_nine_ticks(values: list[float]) -> None:
    ticks = fit_axis(values, 200, 10).tick_values()
    assert 2 <= len(ticks) <= 9


def test_ticks_are_round() -> None:
    assert fit_axis([0.3, 41.2], 0, 1).tick_values() == [0, 10, 20, 30, 40, 50]
    assert exact_axis(0, 5000, 0, 1).tick_values() == [0, 1000, 2000, 3000, 4000, 5000]
    assert [format_tick(tick) for tick in fit_axis([0, 0.002], 0, 1).tick_values()] == [
        "0",
        "5e-4",
        "0.001",
        "0.0015",
        "0.002",
    ]


def test_fit_axis_of_no_values_and_equal_values() -> None:
    for values in ([], [0.0], [7.0, 7.0], [-3.0]):
        axis = fit_axis(values, 0, 100)
        assert math.isfinite(axis.to_pixel(values[0] if values else 0.0))


def test_logarithmic_axis_spaces_powers_of_ten_equally() -> None:
    axis = logarithmic_axis([0.01, 100], 0, 100)
    pixels = [axis.to_pixel(value) for value in (0.01, 0.1, 1, 10, 100)]
    gaps = [second - first for first, second in pairwise(pixels)]
    assert max(gaps) - min(gaps) < 1e-9
    assert axis.tick_values() == [0.01, 0.1, 1, 10, 100]


def test_format_tick() -> None:
    shown = {0: "0", 12: "12", 0.25: "0.25", 1000: "1k", 1500: "1500", 15000: "15k", 2_000_000: "2M", 3e-5: "3e-5"}
    assert {value: format_tick(value) for value in shown} == shown
