"""Histograms of lengths."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nmt_cli.reporting.plots.axes import Axis, exact_axis, fit_axis, format_tick
from nmt_cli.reporting.rendering import render_html

WIDTH, HEIGHT = 420, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 408, 12, 180
_MAX_BINS = 40
_SHOWN_QUANTILE = 0.999
"""Lengths up to this quantile are drawn; the note gives the number of longer ones."""


@dataclass(frozen=True)
class HistogramChart:
    """Lengths of several kinds of lines."""

    title: str
    unit: str
    """Unit of length, such as subwords."""
    lengths: Mapping[str, Mapping[int, int]]
    """Number of lines by kind and length."""


@dataclass(frozen=True)
class _Tick:
    x: float
    y: float
    text: str


@dataclass(frozen=True)
class _Kind:
    label: str
    path: str
    facts: str


def draw_histogram(histogram: HistogramChart) -> Markup:
    """Draw a figure with one outline per kind of lines, in percent of its lines."""
    known = {label: counts for label, counts in histogram.lengths.items() if counts}
    longest = max((_quantile(counts, _SHOWN_QUANTILE) for counts in known.values()), default=1)
    width = max(1, math.ceil((longest + 1) / _MAX_BINS))
    bins = longest // width + 1
    percentages = {label: _percentages(counts, width, bins) for label, counts in known.items()}
    x = exact_axis(0, bins * width, _LEFT, _RIGHT)
    y = fit_axis([value for row in percentages.values() for value in row], _BOTTOM, _TOP, from_zero=True)
    kinds = [_Kind(label, _outline(row, x, y, width), _facts(known[label])) for label, row in percentages.items()]
    longer = sum(count for counts in known.values() for length, count in counts.items() if length >= bins * width)
    return render_html(
        "histogram.svg.j2",
        histogram=histogram,
        width=WIDTH,
        height=HEIGHT,
        frame=(_LEFT, _RIGHT, _TOP, _BOTTOM),
        columns=[_Tick(x.to_pixel(tick), _BOTTOM, format_tick(tick)) for tick in x.ticks()],
        rows=[_Tick(_LEFT, y.to_pixel(tick), f"{format_tick(tick)}%") for tick in y.ticks()],
        kinds=kinds,
        num_longer=longer,
        max_shown=bins * width - 1,
    )


def _percentages(counts: Mapping[int, int], width: int, bins: int) -> list[float]:
    total, row = sum(counts.values()), [0.0] * bins
    for length, count in counts.items():
        if length < bins * width:
            row[length // width] += 100 * count / total
    return row


def _outline(percentages: Sequence[float], x: Axis, y: Axis, width: int) -> str:
    steps = "".join(
        f"V{y.to_pixel(value):.1f}H{x.to_pixel((index + 1) * width):.1f}" for index, value in enumerate(percentages)
    )
    return f"M{_LEFT} {_BOTTOM}{steps}V{_BOTTOM}"


def _facts(counts: Mapping[int, int]) -> str:
    total = sum(counts.values())
    mean = sum(length * count for length, count in counts.items()) / total
    return f"{total:,} lines, mean {mean:.1f}, median {_quantile(counts, 0.5):,}, longest {max(counts):,}"


def _quantile(counts: Mapping[int, int], fraction: float) -> int:
    target, cumulative = fraction * sum(counts.values()), 0
    for length in sorted(counts):
        cumulative += counts[length]
        if cumulative >= target:
            return length
    return 0
