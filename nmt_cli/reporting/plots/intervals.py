"""Scores with confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nmt_cli.reporting.plots.axes import fit_axis, format_tick
from nmt_cli.reporting.rendering import format_score, render_html

WIDTH = 420
_LEFT, _RIGHT, _TOP, _ROW = 12, 408, 10, 42


@dataclass(frozen=True)
class ScoreInterval:
    """A score and its confidence interval."""

    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class _Row:
    label: str
    y: int
    value: float
    x: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class _Tick:
    x: float
    text: str


def draw_intervals(title: str, scores: Sequence[ScoreInterval], note: str = "") -> Markup:
    """Draw a figure with one row per score: a dot with whiskers."""
    x = fit_axis([end for score in scores for end in (score.low, score.high, score.value)], _LEFT, _RIGHT)
    rows = [
        _Row(
            score.label,
            _TOP + _ROW * index + 26,
            score.value,
            x.to_pixel(score.value),
            x.to_pixel(score.low),
            x.to_pixel(score.high),
            f"{format_score(score.value)} ({format_score(score.low)} to {format_score(score.high)})",
        )
        for index, score in enumerate(scores)
    ]
    bottom = _TOP + _ROW * len(scores)
    return render_html(
        "intervals.svg.j2",
        title=title,
        note=note,
        width=WIDTH,
        height=bottom + 26,
        frame=(_LEFT, _RIGHT, _TOP, bottom),
        columns=[_Tick(x.to_pixel(tick), format_tick(tick)) for tick in x.ticks()],
        rows=rows,
    )
