"""Figures: length histograms, confidence intervals, attention maps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from nmt_cli.reporting.plots.axes import Axis, exact_axis, fit_axis
from nmt_cli.reporting.rendering import render_html

if TYPE_CHECKING:
    from nmt_cli.evaluation.system_comparison import SystemScore

_WIDTH = 420
"""Width in pixels of histograms and interval figures."""
_HISTOGRAM_HEIGHT = 228
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 408, 12, 180
_MAX_BINS = 40
_SHOWN_QUANTILE = 0.999
"""Lengths up to this quantile are drawn; the note gives the number of longer ones."""
_INTERVAL_LEFT, _INTERVAL_TOP, _ROW_HEIGHT = 12, 10, 42
_CELL_SIZE = 18
_LETTER_WIDTH = 7.2
"""Approximate pixels of a letter of the labels."""
MAX_LABEL_LENGTH, _MAX_SYSTEM_LENGTH = 16, 28
_MIN_OPACITY = 0.08
"""Of the smallest weight that is drawn, which can still be seen."""
_MIN_FRACTION = 1 / 32
"""Weights below this fraction of the largest are not drawn."""


def draw_histogram(title: str, unit: str, lengths: Mapping[str, Mapping[int, int]]) -> Markup:
    """Draw a histogram with one outline per series, such as source and target, in percent of the lines of the series.

    Args:
        unit: Unit of length, such as subwords.
        lengths: Number of lines by label of the series and by length.
    """
    non_empty = {label: counts for label, counts in lengths.items() if counts}
    longest = max((_quantile(counts, _SHOWN_QUANTILE) for counts in non_empty.values()), default=1)
    width = max(1, math.ceil((longest + 1) / _MAX_BINS))
    bins = longest // width + 1
    percentages = {label: _percentages(counts, width, bins) for label, counts in non_empty.items()}
    x = exact_axis(0, bins * width, _LEFT, _RIGHT)
    y = fit_axis([value for row in percentages.values() for value in row], _BOTTOM, _TOP, from_zero=True)
    series = [(name, _outline(row, x, y, width), _describe(non_empty[name])) for name, row in percentages.items()]
    longer = sum(count for counts in non_empty.values() for length, count in counts.items() if length >= bins * width)
    return render_html(
        "histogram.svg.j2",
        title=title,
        unit=unit,
        width=_WIDTH,
        height=_HISTOGRAM_HEIGHT,
        frame=(_LEFT, _RIGHT, _TOP, _BOTTOM),
        columns=x.ticks(),
        rows=y.ticks("%"),
        x_title=f"length in {unit}",
        y_title="lines",
        series=series,
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


def _describe(counts: Mapping[int, int]) -> str:
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


def draw_intervals(scores: Sequence["SystemScore"], colors: Mapping[str, int]) -> Markup:
    """Draw a row per system: a dot for the score, whiskers for the interval. All scores are by one metric.

    Args:
        colors: Index of the colour of each system.
    """
    intervals = [score.interval for score in scores if score.interval]
    x = fit_axis(
        [*(score.value for score in scores), *(end for each in intervals for end in (each.low, each.high))],
        _INTERVAL_LEFT,
        _RIGHT,
    )
    bottom = _INTERVAL_TOP + _ROW_HEIGHT * len(scores)
    return render_html(
        "intervals.svg.j2",
        scores=scores,
        labels=[shorten(score.system, _MAX_SYSTEM_LENGTH) for score in scores],
        colors=[colors[score.system] for score in scores],
        width=_WIDTH,
        height=bottom + 26,
        frame=(_INTERVAL_LEFT, _RIGHT, _INTERVAL_TOP, bottom),
        row_height=_ROW_HEIGHT,
        x=x,
    )


@dataclass(frozen=True)
class AttentionMap:
    """Attention of each target subword to each source subword."""

    line: int
    """1-based line of the test set."""
    source: Sequence[str]
    target: Sequence[str]
    weights: Sequence[Sequence[float]]
    """[T,S]; each row sums to 1."""
    copy_probabilities: Sequence[float] | None = None
    """[T], of copying a source subword for each target subword; None if the model never does."""


def draw_attention(attention: AttentionMap) -> Markup:
    """Draw a figure with source subwords from left to right and target subwords from top to bottom."""
    source, target = (
        [shorten(piece, MAX_LABEL_LENGTH) for piece in side] for side in (attention.source, attention.target)
    )
    if attention.copy_probabilities is not None:
        target = [f"{piece} {each:.0%}" for piece, each in zip(target, attention.copy_probabilities, strict=True)]
    left, top = (round(_LETTER_WIDTH * max(map(len, side), default=0)) + 10 for side in (target, source))
    max_weight = max((weight for row in attention.weights for weight in row), default=0.0) or 1.0
    return render_html(
        "heatmap.svg.j2",
        attention=attention,
        source=source,
        target=target,
        left=left,
        top=top,
        cell=_CELL_SIZE,
        max_weight=max_weight,
        opacity=lambda weight: _MIN_OPACITY + (1 - _MIN_OPACITY) * weight / max_weight,
        min_weight=_MIN_FRACTION * max_weight,
        width=left + _CELL_SIZE * len(source) + 4,
        height=top + _CELL_SIZE * len(target) + 4,
    )


def shorten(text: str, max_length: int) -> str:
    """Return a label of at most `max_length` characters; … stands for what is left out."""
    return text if len(text) <= max_length else text[: max_length - 1] + "…"
