"""Axes contain all values and have round ticks."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.reporting.plots.axes import exact_axis, fit_axis, format_ticks, logarithmic_axis

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
    assert format_ticks(fit_axis([0, 0.002], 0, 1).tick_values()) == ["0", "0.0005", "0.0010", "0.0015", "0.0020"]


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


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0, 12], "0 12"),
        ([0, 0.25, 0.5], "0 0.25 0.50"),
        ([0, 500, 1000, 1500], "0 500 1,000 1,500"),
        ([0, 5000, 10000, 12500], "0 5.0k 10.0k 12.5k"),
        ([0, 1e7, 2e7], "0 10M 20M"),
        ([-5, 0, 5], "-5 0 5"),
        ([0, 5e-5, 1e-4], "0 0.5e-4 1.0e-4"),
        ([1e20, 2e20], "1e20 2e20"),
        ([], ""),
    ],
)
def test_ticks_of_an_axis_have_one_form(values: list[float], shown: str) -> None:
    assert " ".join(format_ticks(values)) == shown
