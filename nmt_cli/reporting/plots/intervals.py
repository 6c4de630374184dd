"""Scores beside each other, with the intervals they lie in."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nmt_cli.reporting.plots.axes import fitting_axis, short
from nmt_cli.reporting.templates import render_html, score_text

WIDTH = 420
_LEFT, _RIGHT, _TOP, _ROW = 12, 408, 10, 42


@dataclass(frozen=True)
class ScoreInterval:
    """One score and where it would lie for other sentences."""

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
    """A figure: one row for each score, a dot with whiskers."""
    x = fitting_axis([end for score in scores for end in (score.low, score.high, score.value)], _LEFT, _RIGHT)
    rows = [
        _Row(
            score.label,
            _TOP + _ROW * number + 26,
            score.value,
            x.place(score.value),
            x.place(score.low),
            x.place(score.high),
            f"{score_text(score.value)} ({score_text(score.low)} to {score_text(score.high)})",
        )
        for number, score in enumerate(scores)
    ]
    bottom = _TOP + _ROW * len(scores)
    return render_html(
        "intervals.svg.j2",
        title=title,
        note=note,
        width=WIDTH,
        height=bottom + 26,
        frame=(_LEFT, _RIGHT, _TOP, bottom),
        columns=[_Tick(x.place(tick), short(tick)) for tick in x.ticks()],
        rows=rows,
    )
