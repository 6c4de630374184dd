"""Charts of training curves: values by optimizer update."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from nmt_cli.reporting.plots.axes import Axis, exact_axis, fit_axis, logarithmic_axis
from nmt_cli.reporting.rendering import render_html

WIDTH, HEIGHT = 420, 248
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 408, 12, 200
_MAX_DOTS = 60
"""Curves with more points are drawn without dots."""
_MIN_LOG_RATIO = 50
"""Ratio of maximum to median above which a logarithmic scale is used."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """A curve of values by update. A value that was not finite is None."""

    label: str
    updates: Sequence[int]
    values: Sequence[float | None]
    has_dots: bool = False
    """Whether to mark the points, if they are few."""
    color: int = 0
    """Index of the colour, the same for the same thing in all charts of a page."""


@dataclass(frozen=True)
class BestMarker:
    """The update with the best validation score."""

    update: int
    value: float | None
    """Best score; None on charts of other quantities, which mark only the update."""


@dataclass(frozen=True)
class CurveChart:
    """Curves with common axes."""

    title: str
    curves: Sequence[Curve]
    best: BestMarker | None = None
    from_zero: bool = False
    """Whether the vertical axis includes 0."""
    may_be_logarithmic: bool = False
    """Whether the vertical axis may be logarithmic if the values are skewed."""
    note: str = ""
    """Text below the figure."""
    has_legend: bool = False
    """Whether to name the curve even if there is only one."""
    unit: str = ""
    """Title of the vertical axis."""


def draw_curves(chart: CurveChart, last_update: int = 0) -> Markup:
    """Draw a figure with title, legend, curves and note.

    Args:
        last_update: The axis extends at least to this update, so that adjacent charts have equal axes.
    """
    values = [value for curve in chart.curves for value in curve.values if value is not None]
    updates = [update for curve in chart.curves for update in curve.updates]
    x = exact_axis(0, max([last_update, *updates]), _LEFT, _RIGHT)
    y = _vertical_axis(chart, values)
    best = chart.best
    return render_html(
        "curves.svg.j2",
        chart=chart,
        width=WIDTH,
        height=HEIGHT,
        frame=(_LEFT, _RIGHT, _TOP, _BOTTOM),
        columns=x.ticks(),
        rows=y.ticks(),
        x_title="update",
        y_title=chart.unit,
        x=x,
        y=y,
        curves=[_draw_curve(curve, x, y) for curve in chart.curves],
        best=best if best and x.low <= best.update <= x.high else None,
        num_missing=sum(value is None for curve in chart.curves for value in curve.values),
        summary=_summarize(chart, values),
    )


def downsample(points: Sequence[tuple[float, float | None]], to_column: Callable[[float], int]) -> list[list[Point]]:
    """Reduce a curve to at most four points per pixel column without changing its appearance.

    The first, lowest, highest and last point of each column are kept; a line through them covers the same pixels as one
    through all points (M4, Jugel et al. 2014).

    Returns:
        Continuous segments; a column without finite values separates two of them.
    """
    segments: list[list[Point]] = [[]]
    for _, group in groupby(points, key=lambda point: to_column(point[0])):
        finite = [(x, value) for x, value in group if value is not None]
        if finite:
            segments[-1] += _extreme_points(finite)
        elif segments[-1]:
            segments.append([])
    return [segment for segment in segments if segment]


def _extreme_points(points: list[Point]) -> Iterator[Point]:
    if len(points) <= 4:
        yield from points
        return
    lowest = min(range(len(points)), key=lambda index: points[index][1])
    highest = max(range(len(points)), key=lambda index: points[index][1])
    for index in sorted({0, lowest, highest, len(points) - 1}):
        yield points[index]


def _svg_path(segments: Sequence[Sequence[Point]]) -> str:
    """Return the `d` attribute of an SVG path through points in pixels; a single point becomes a dot."""
    parts = []
    for segment in segments:
        (first_x, first_y), *rest = segment
        parts.append(f"M{first_x:.1f} {first_y:.1f}" + ("L" if rest else "h0"))
        parts.append(" ".join(f"{px:.1f} {py:.1f}" for px, py in rest))
    return "".join(parts)


def _vertical_axis(chart: CurveChart, values: list[float]) -> Axis:
    ordered = sorted(values)
    is_steep = bool(ordered) and ordered[0] > 0 and ordered[-1] > _MIN_LOG_RATIO * ordered[len(ordered) // 2]
    if chart.may_be_logarithmic and is_steep:
        return logarithmic_axis(values, _BOTTOM, _TOP)
    return fit_axis(values, _BOTTOM, _TOP, chart.from_zero)


def _draw_curve(curve: Curve, x: Axis, y: Axis) -> tuple[Curve, str, list[Point]]:
    """Return a curve, its SVG path, and the points to mark."""
    points = list(zip(curve.updates, curve.values, strict=True))
    segments = downsample(points, lambda update: int(x.to_pixel(update)))
    finite: list[Point] = [(update, value) for update, value in points if value is not None]
    dots = finite if curve.has_dots and len(finite) <= _MAX_DOTS else []
    pixels = [[(x.to_pixel(update), y.to_pixel(value)) for update, value in segment] for segment in segments]
    return curve, _svg_path(pixels), dots


def _summarize(chart: CurveChart, values: list[float]) -> str:
    """Describe the figure for screen readers."""
    if not values:
        return f"{chart.title}: no values."
    ranges = [
        f"{curve.label} from {finite[0]:.4g} to {finite[-1]:.4g}"
        for curve in chart.curves
        if (finite := [value for value in curve.values if value is not None])
    ]
    best = f"; best {chart.best.value:.4g} at update {chart.best.update:,}" if chart.best and chart.best.value else ""
    return f"{chart.title} by update: {', '.join(ranges)}{best}."
