"""How often each length occurs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nmt_cli.reporting.plots.axes import Axis, exact_axis, fitting_axis, short
from nmt_cli.reporting.templates import render_html

WIDTH, HEIGHT = 420, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 408, 12, 180
_MOST_BINS = 40
_SHOWN = 0.999
"""Lengths up to this quantile fill the picture; longer ones are counted in words."""


@dataclass(frozen=True)
class Histogram:
    """Lengths of several kinds of lines."""

    title: str
    unit: str
    """What is counted, such as subwords."""
    lengths: Mapping[str, Mapping[int, int]]
    """For each kind: how many lines there are of each length."""


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


def draw_histogram(histogram: Histogram) -> Markup:
    """A figure with one outline for each kind of lines, in per cent of its lines."""
    known = {label: counts for label, counts in histogram.lengths.items() if counts}
    longest = max((_quantile(counts, _SHOWN) for counts in known.values()), default=1)
    width = max(1, math.ceil((longest + 1) / _MOST_BINS))
    bins = longest // width + 1
    shares = {label: _shares(counts, width, bins) for label, counts in known.items()}
    x = exact_axis(0, bins * width, _LEFT, _RIGHT)
    y = fitting_axis([share for row in shares.values() for share in row], _BOTTOM, _TOP, from_zero=True)
    facts = [_Kind(label, _outline(row, x, y, width), _facts(known[label])) for label, row in shares.items()]
    beyond = sum(count for counts in known.values() for length, count in counts.items() if length >= bins * width)
    return render_html(
        "histogram.svg.j2",
        histogram=histogram,
        width=WIDTH,
        height=HEIGHT,
        frame=(_LEFT, _RIGHT, _TOP, _BOTTOM),
        columns=[_Tick(x.place(tick), _BOTTOM, short(tick)) for tick in x.ticks()],
        rows=[_Tick(_LEFT, y.place(tick), f"{short(tick)}%") for tick in y.ticks()],
        kinds=facts,
        beyond=beyond,
        edge=bins * width - 1,
    )


def _shares(counts: Mapping[int, int], width: int, bins: int) -> list[float]:
    total, row = sum(counts.values()), [0.0] * bins
    for length, count in counts.items():
        if length < bins * width:
            row[length // width] += 100 * count / total
    return row


def _outline(shares: Sequence[float], x: Axis, y: Axis, width: int) -> str:
    steps = "".join(f"V{y.place(share):.1f}H{x.place((place + 1) * width):.1f}" for place, share in enumerate(shares))
    return f"M{_LEFT} {_BOTTOM}{steps}V{_BOTTOM}"


def _facts(counts: Mapping[int, int]) -> str:
    total = sum(counts.values())
    mean = sum(length * count for length, count in counts.items()) / total
    return f"{total:,} lines, mean {mean:.1f}, median {_quantile(counts, 0.5):,}, longest {max(counts):,}"


def _quantile(counts: Mapping[int, int], share: float) -> int:
    wanted, seen = share * sum(counts.values()), 0
    for length in sorted(counts):
        seen += counts[length]
        if seen >= wanted:
            return length
    return 0
