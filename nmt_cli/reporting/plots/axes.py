"""Values → places in a picture, and the round numbers along its sides."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """One side of a picture: from `low` at pixel `start` to `high` at pixel `end`."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False
    gap: float | None = None
    """Between marks, if that is settled."""

    def place(self, value: float) -> float:
        """The pixel of a value."""
        low, high, at = (
            (math.log10(part) for part in (self.low, self.high, value))
            if self.logarithmic
            else (
                self.low,
                self.high,
                value,
            )
        )
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers along the side, three to seven."""
        if not self.logarithmic:
            return _multiples(self.gap or _gap(self.low, self.high, 5), self.low, self.high)
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        every = max(1, math.ceil((last - first) / 6))
        powers = [10.0**power for power in range(first, last + 1, every)]
        return powers if len(powers) >= 2 else _multiples(_gap(self.low, self.high, 4), self.low, self.high)


def fitting_axis(values: Iterable[float], start: float, end: float, from_zero: bool = False) -> Axis:
    """An axis that holds all values and ends at round numbers."""
    known = [*values, *([0.0] if from_zero else [])] or [0.0]
    low, high = min(known), max(known)
    if low == high:
        low, high = (low, high + 1) if low == 0 else (low - abs(low) / 2, high + abs(high) / 2)
    gap = _gap(low, high, 5)
    return Axis(math.floor(low / gap + 1e-9) * gap, math.ceil(high / gap - 1e-9) * gap, start, end, gap=gap)


def logarithmic_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """The same by powers of ten; all values must be above zero."""
    known = list(values)
    low, high = min(known), max(known)
    return Axis(low / 1.1, high * 1.1, start, end, logarithmic=True)


def exact_axis(low: float, high: float, start: float, end: float) -> Axis:
    """An axis that ends where the values do."""
    return Axis(low, high if high > low else low + 1, start, end)


def short(value: float) -> str:
    """A number in a few characters: 12, 1.5k, 2M, 3e-05."""
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


def _multiples(gap: float, low: float, high: float) -> list[float]:
    first, last = math.ceil(low / gap - 1e-9), math.floor(high / gap + 1e-9)
    return [number * gap for number in range(first, last + 1)]


def _gap(low: float, high: float, wanted: int) -> float:
    """1, 2 or 5 times a power of ten, so that about `wanted` of them fit between."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5) if rough <= factor * power), 10 * power)
