"""Curves by update."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nmt_cli.reporting.plots.axes import Axis, exact_axis, fitting_axis, logarithmic_axis, short
from nmt_cli.reporting.plots.thinning import Point, thin
from nmt_cli.reporting.templates import render_html

WIDTH, HEIGHT = 420, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 408, 12, 200
_MOST_DOTS = 60
_STEEP = 50
"""Where the largest is this many times the median, a scale of powers of ten shows both."""


@dataclass(frozen=True)
class Line:
    """One curve; None where there was no number."""

    label: str
    steps: Sequence[int]
    values: Sequence[float | None]
    dotted: bool = False
    """Whether its points are marked: for few of them, such as validations."""


@dataclass(frozen=True)
class Best:
    """The point that was chosen."""

    step: int
    value: float | None
    """None where the curve that decided is another one; the update is marked all the same."""


@dataclass(frozen=True)
class Chart:
    """Curves that share their axes."""

    title: str
    lines: Sequence[Line]
    best: Best | None = None
    from_zero: bool = False
    may_be_logarithmic: bool = False
    note: str = ""
    last_step: int = 0
    """Where the axis ends at least, so that charts beside each other agree."""


@dataclass(frozen=True)
class _Mark:
    """A point with a text of its own."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class _Drawn:
    """A curve in pixels."""

    label: str
    path: str
    dots: list[_Mark]


def draw_lines(chart: Chart) -> Markup:
    """A figure with title, legend, curves and note."""
    values = [value for line in chart.lines for value in line.values if value is not None]
    steps = [step for line in chart.lines for step in line.steps]
    x = exact_axis(0, max([chart.last_step, *steps]), _LEFT, _RIGHT)
    y = _upright(chart, values)
    return render_html(
        "lines.svg.j2",
        chart=chart,
        width=WIDTH,
        height=HEIGHT,
        frame=(_LEFT, _RIGHT, _TOP, _BOTTOM),
        columns=[_Mark(x.place(tick), _BOTTOM, short(tick)) for tick in x.ticks()],
        rows=[_Mark(_LEFT, y.place(tick), short(tick)) for tick in y.ticks()],
        lines=[_draw(line, x, y) for line in chart.lines],
        best=_best(chart.best, x, y),
        missing=sum(value is None for line in chart.lines for value in line.values),
        logarithmic=y.logarithmic,
        summary=_summary(chart, values),
    )


def path(stretches: Sequence[Sequence[Point]]) -> str:
    """The data of an SVG path through places in pixels; a point alone becomes a dot."""
    parts = []
    for stretch in stretches:
        (first_x, first_y), *rest = stretch
        parts.append(f"M{first_x:.1f} {first_y:.1f}" + ("L" if rest else "h0"))
        parts.append(" ".join(f"{px:.1f} {py:.1f}" for px, py in rest))
    return "".join(parts)


def _upright(chart: Chart, values: list[float]) -> Axis:
    ordered = sorted(values)
    is_steep = bool(ordered) and ordered[0] > 0 and ordered[-1] > _STEEP * ordered[len(ordered) // 2]
    if chart.may_be_logarithmic and is_steep:
        return logarithmic_axis(values, _BOTTOM, _TOP)
    return fitting_axis(values, _BOTTOM, _TOP, chart.from_zero)


def _draw(line: Line, x: Axis, y: Axis) -> _Drawn:
    points = list(zip(line.steps, line.values, strict=True))
    stretches = thin(points, lambda step: int(x.place(step)))
    known = [(step, value) for step, value in points if value is not None]
    dots = known if line.dotted and len(known) <= _MOST_DOTS else []
    return _Drawn(
        line.label,
        path([[(x.place(step), y.place(value)) for step, value in stretch] for stretch in stretches]),
        [_Mark(x.place(step), y.place(value), f"{line.label}, update {step:,}: {value:.5g}") for step, value in dots],
    )


def _best(best: Best | None, x: Axis, y: Axis) -> _Mark | None:
    if best is None or not x.low <= best.step <= x.high:
        return None
    if best.value is None:
        return _Mark(x.place(best.step), _TOP, "")
    return _Mark(x.place(best.step), y.place(best.value), f"{best.value:.4g}")


def _summary(chart: Chart, values: list[float]) -> str:
    """What the picture shows, for those who hear the page."""
    if not values:
        return f"{chart.title}: no values."
    ends = [
        f"{line.label} from {known[0]:.4g} to {known[-1]:.4g}"
        for line in chart.lines
        if (known := [value for value in line.values if value is not None])
    ]
    best = f"; best {chart.best.value:.4g} at update {chart.best.step:,}" if chart.best and chart.best.value else ""
    return f"{chart.title} by update: {', '.join(ends)}{best}."
