"""Axes of plots: mapping of values to pixels, and round tick values."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_UNITS = [("G", 1e10, 1e9), ("M", 1e7, 1e6), ("k", 1e4, 1e3)]
"""Unit, smallest largest tick for which it is used, and its value."""


@dataclass(frozen=True)
class Tick:
    """A labelled position on an axis."""

    pixel: float
    text: str


@dataclass(frozen=True)
class Axis:
    """One axis of a plot, from `low` at pixel `start` to `high` at pixel `end`."""

    low: float
    high: float
    start: float
    end: float
    is_logarithmic: bool = False
    interval: float | None = None
    """Distance between ticks; None: about five ticks."""

    def to_pixel(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high = self.low, self.high
        if self.is_logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, unit: str = "") -> list[Tick]:
        """Return ticks at round values."""
        values = self.tick_values()
        texts = format_ticks(values) if not self.is_logarithmic else [f"{value:g}" for value in values]
        return [Tick(self.to_pixel(value), f"{text}{unit}") for value, text in zip(values, texts, strict=True)]

    def tick_values(self) -> list[float]:
        """Return three to seven round values along the axis."""
        if not self.is_logarithmic:
            return _multiples(self.interval or _round_interval(self.low, self.high, 5), self.low, self.high)
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        every = max(1, math.ceil((last - first) / 6))
        powers = [10.0**power for power in range(first, last + 1, every)]
        return powers if len(powers) >= 2 else _multiples(_round_interval(self.low, self.high, 4), self.low, self.high)


def fit_axis(values: Iterable[float], start: float, end: float, from_zero: bool = False) -> Axis:
    """Return an axis that contains all values and ends at round numbers."""
    finite = [*values, *([0.0] if from_zero else [])] or [0.0]
    low, high = min(finite), max(finite)
    if low == high:
        low, high = (low, high + 1) if low == 0 else (low - abs(low) / 2, high + abs(high) / 2)
    interval = _round_interval(low, high, 5)
    low, high = math.floor(low / interval + 1e-9) * interval, math.ceil(high / interval - 1e-9) * interval
    return Axis(low, high, start, end, interval=interval)


def logarithmic_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """Return a logarithmic axis that contains all values, which must be positive."""
    positive = list(values)
    return Axis(min(positive) / 1.1, max(positive) * 1.1, start, end, is_logarithmic=True)


def exact_axis(low: float, high: float, start: float, end: float) -> Axis:
    """Return an axis from `low` to `high`, both integers, with ticks at integers."""
    high = high if high > low else low + 1
    return Axis(low, high, start, end, interval=max(1.0, _round_interval(low, high, 5)))


def format_ticks(values: Sequence[float]) -> list[str]:
    """Format the ticks of an axis alike, in one unit and with equally many decimals.

    >>> format_ticks([0, 500, 1000, 1500]), format_ticks([0, 5000, 10000]), format_ticks([0, 0.5, 1])
    (['0', '500', '1,000', '1,500'], ['0', '5k', '10k'], ['0', '0.5', '1.0'])
    """
    largest = max(map(abs, values), default=0.0)
    exponent = math.floor(math.log10(largest)) if largest else 0
    unit, scale = next(((unit, scale) for unit, limit, scale in _UNITS if largest >= limit), ("", 1.0))
    if largest and (largest < 1e-3 or largest >= 1e15):
        unit, scale = f"e{exponent}", 10.0**exponent
    scaled = [value / scale for value in values]
    is_exact = (all(abs(round(each, digits) - each) < 1e-6 * largest / scale for each in scaled) for digits in range(6))
    decimals = next((digits for digits, exact in enumerate(is_exact) if exact), 6)
    return [f"{each:,.{decimals}f}{unit}" if each else "0" for each in scaled]


def _multiples(interval: float, low: float, high: float) -> list[float]:
    first, last = math.ceil(low / interval - 1e-9), math.floor(high / interval + 1e-9)
    return [factor * interval for factor in range(first, last + 1)]


def _round_interval(low: float, high: float, count: int) -> float:
    """Return 1, 2 or 5 times a power of ten, so that about `count` intervals fit."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5) if rough <= factor * power), 10 * power)
