"""Axes of plots: mapping of values to pixels, and round tick values."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


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
        return [Tick(self.to_pixel(value), f"{format_tick(value)}{unit}") for value in self.tick_values()]

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
    """Return an axis from `low` to `high`."""
    return Axis(low, high if high > low else low + 1, start, end)


def format_tick(value: float) -> str:
    """Format a number in a few characters: 12, 1.5k, 2M, 3e-05."""
    size = abs(value)
    if size == 0:
        return "0"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit and (limit > 1e3 or size >= 1e4 or value % 1000 == 0):
            return f"{value / limit:.3g}{unit}" if size < 1e15 else f"{value:.1e}"
    if size < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.4g}"


def _multiples(interval: float, low: float, high: float) -> list[float]:
    first, last = math.ceil(low / interval - 1e-9), math.floor(high / interval + 1e-9)
    return [factor * interval for factor in range(first, last + 1)]


def _round_interval(low: float, high: float, count: int) -> float:
    """Return 1, 2 or 5 times a power of ten, so that about `count` intervals fit."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5) if rough <= factor * power), 10 * power)
