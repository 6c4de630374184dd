"""SVG plots are well-formed, labelled and escaped."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from nmt_cli.reporting.plots.curves import HEIGHT, WIDTH, BestMarker, Curve, CurveChart, draw_curves
from nmt_cli.reporting.plots.figures import (
    AttentionMap,
    HistogramChart,
    ScoreInterval,
    draw_attention,
    draw_histogram,
    draw_intervals,
)

HOSTILE = '<script>"&\x00\u202e'


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
    svg = draw_curves(CurveChart("x", [Curve("a", [0, 1, 2], [-5.0, 1e9, 0.5])], last_update=10))
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


def test_histogram_shows_statistics() -> None:
    svg = draw_histogram(HistogramChart("Lengths", "subwords", {"source": {1: 1, 3: 3}, "target": {2: 4}}))
    parsed(svg)
    assert "source: 4 lines, mean 2.5, median 3, longest 3" in svg


def test_histogram_counts_lines_that_are_not_drawn() -> None:
    svg = draw_histogram(HistogramChart("Lengths", "subwords", {"source": {10: 100_000, 5000: 7}}))
    assert "7 longer than" in svg


@pytest.mark.parametrize("lengths", [{}, {"source": {}}, {"source": {0: 3}}])
def test_draw_histogram_of_few_or_no_values(lengths: dict[str, dict[int, int]]) -> None:
    parsed(draw_histogram(HistogramChart("Lengths", "subwords", lengths)))


def test_attention_has_a_cell_for_each_visible_weight() -> None:
    svg = draw_attention(AttentionMap(3, ["▁a", "▁b"], ["▁c", "</s>"], [[0.9, 0.1], [0.001, 0.999]]))
    cells = [(rect.attrib["fill-opacity"], rect[0].text) for rect in parsed(svg).iter("rect")]
    assert cells == [("0.90", "▁c ← ▁a: 0.90"), ("0.10", "▁c ← ▁b: 0.10"), ("1.00", "</s> ← ▁b: 1.00")]


def test_intervals_show_score_and_bounds() -> None:
    svg = draw_intervals("BLEU", [ScoreInterval("a", 37.2, 35.6, 38.8), ScoreInterval("b", 0.5, 0.25, 0.75)])
    parsed(svg)
    assert "a: 37.20 (35.60 to 38.80)" in svg
    assert "b: 0.5000 (0.2500 to 0.7500)" in svg


def test_plots_escape_untrusted_text() -> None:
    svgs = [
        draw_curves(
            CurveChart(HOSTILE, [Curve(HOSTILE, [1], [1.0], has_dots=True), Curve("b", [1], [1.0])], note=HOSTILE)
        ),
        draw_histogram(HistogramChart(HOSTILE, HOSTILE, {HOSTILE: {1: 1}})),
        draw_attention(AttentionMap(1, [HOSTILE], [HOSTILE], [[1.0]])),
        draw_intervals(HOSTILE, [ScoreInterval(HOSTILE, 1, 0, 2)], HOSTILE),
    ]
    for svg in svgs:
        assert not list(parsed(svg).iter("script"))
        assert "<script" not in svg
        assert "\u202e" not in svg
