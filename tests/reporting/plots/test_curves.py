"""Curves are well-formed, labelled and escaped; downsampled curves look like the full ones."""

import random
import re
import time
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.reporting.plots.curves import HEIGHT, WIDTH, BestMarker, Curve, CurveChart, downsample, draw_curves

HOSTILE = '<script>"&\x00\u202e'
VALUES = st.lists(st.none() | st.integers(-1000, 1000).map(float), max_size=200)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?\d+\.\d) (-?\d+\.\d)", path)]


def curves(svg: str) -> list[str]:
    return [path.attrib["d"] for path in parsed(svg).iter("path") if path.attrib.get("class", "").startswith("line s")]


def test_curve_is_linear_between_its_values() -> None:
    svg = draw_curves(CurveChart("Loss", [Curve("training", [0, 50, 100], [10.0, 5.0, 0.0])]))
    (path,) = curves(svg)
    (x0, y0), (x1, y1), (x2, y2) = points(path)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.1)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.1)
    assert y0 < y2, "y grows downwards"
    assert "Loss by update: training from 10 to 0" in svg


def test_curves_stay_within_the_frame() -> None:
    svg = draw_curves(CurveChart("x", [Curve("a", [0, 1, 2], [-5.0, 1e9, 0.5])]), last_update=10)
    for x, y in points(curves(svg)[0]):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_best_point_is_marked_and_labelled() -> None:
    chart = CurveChart("BLEU", [Curve("dev", [1, 2], [10.0, 20.0], has_dots=True)], BestMarker(2, 20.0))
    root = parsed(draw_curves(chart))
    assert [circle for circle in root.iter("circle") if circle.attrib["class"] == "best"]
    assert "best 20" in "".join(root.itertext())


def test_best_update_is_marked_on_charts_of_other_quantities() -> None:
    root = parsed(draw_curves(CurveChart("Loss", [Curve("dev", [1, 2], [10.0, 20.0])], BestMarker(2, None))))
    assert not [circle for circle in root.iter("circle") if circle.attrib["class"] == "best"]
    assert [path for path in root.iter("path") if path.attrib.get("class") == "best-line"]


def test_curve_is_interrupted_at_values_that_are_not_finite() -> None:
    svg = draw_curves(CurveChart("Loss", [Curve("a", [1, 2, 3], [1.0, None, 2.0])]))
    assert "1 value is not finite" in svg
    assert curves(svg)[0].count("M") == 2


@pytest.mark.parametrize("values", [[], [None, None], [3.0], [0.0, 0.0]])
def test_draw_curves_of_few_or_no_values(values: list[float | None]) -> None:
    parsed(draw_curves(CurveChart("x", [Curve("a", list(range(len(values))), values)])))


def test_steep_curve_has_a_logarithmic_axis() -> None:
    values = [1.0, 1.1, 0.9, 1000.0]
    chart = CurveChart("Gradient norm", [Curve("norm", [1, 2, 3, 4], values)], may_be_logarithmic=True)
    assert "(logarithmic)" in draw_curves(chart)


def test_many_points_have_no_dots() -> None:
    chart = CurveChart("BLEU", [Curve("dev", list(range(500)), [1.0] * 500, has_dots=True)])
    assert not list(parsed(draw_curves(chart)).iter("circle"))


def test_curves_escape_untrusted_text() -> None:
    svg = draw_curves(
        CurveChart(HOSTILE, [Curve(HOSTILE, [1], [1.0], has_dots=True), Curve("b", [1], [1.0])], note=HOSTILE)
    )
    assert not list(parsed(svg).iter("script"))
    assert "<script" not in svg
    assert "\u202e" not in svg


def extremes(points: list[tuple[float, float]], columns: int) -> dict[int, tuple[float, float, float, float]]:
    """First, lowest, highest and last value of each pixel column."""
    found: dict[int, list[float]] = {}
    for x, value in points:
        found.setdefault(int(x / columns), []).append(value)
    return {column: (some[0], min(some), max(some), some[-1]) for column, some in found.items()}


@given(VALUES, st.integers(1, 40))
def test_downsample_keeps_ends_and_extremes_of_each_column(values: list[float | None], columns: int) -> None:
    points = [(float(step), value) for step, value in enumerate(values)]

    downsampled = [point for segment in downsample(points, lambda step: int(step / columns)) for point in segment]

    finite = [(step, value) for step, value in points if value is not None]
    assert extremes(downsampled, columns) == extremes(finite, columns)
    assert set(downsampled) <= set(finite)
    assert downsampled == sorted(downsampled)


def test_downsample_splits_at_values_that_are_not_finite() -> None:
    points = [(0.0, 1.0), (1.0, 2.0), (2.0, None), (3.0, 4.0)]
    assert downsample(points, int) == [[(0.0, 1.0), (1.0, 2.0)], [(3.0, 4.0)]]


def test_downsample_reduces_100_000_points_and_keeps_the_peak() -> None:
    rng = random.Random(1)
    points: list[tuple[float, float | None]] = [(float(step), rng.random()) for step in range(100_000)]
    points[77_777] = (77_777.0, 50.0)
    began = time.process_time()

    (segment,) = downsample(points, lambda step: int(step / 300))

    assert time.process_time() - began < 2
    assert len(segment) <= 4 * 334
    assert max(value for _, value in segment) == 50.0
