"""Pictures are well-formed, say what they show, and show nothing else."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from nmt_cli.reporting.plots.heatmap import AttentionMap, draw_attention
from nmt_cli.reporting.plots.histogram import Histogram, draw_histogram
from nmt_cli.reporting.plots.intervals import ScoreInterval, draw_intervals
from nmt_cli.reporting.plots.lines import HEIGHT, WIDTH, Best, Chart, Line, draw_lines

HOSTILE = '<script>"&\x00\u202e'


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?\d+\.\d) (-?\d+\.\d)", path)]


def curves(picture: str) -> list[str]:
    return [
        path.attrib["d"] for path in parsed(picture).iter("path") if path.attrib.get("class", "").startswith("line s")
    ]


def test_a_curve_goes_from_its_first_to_its_last_value() -> None:
    picture = draw_lines(Chart("Loss", [Line("training", [0, 50, 100], [10.0, 5.0, 0.0])]))
    (path,) = curves(picture)
    (x0, y0), (x1, y1), (x2, y2) = places(path)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.1)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.1)
    assert y0 < y2, "pixels count from above"
    assert "Loss by update: training from 10 to 0" in picture


def test_curves_stay_within_their_frame() -> None:
    picture = draw_lines(Chart("x", [Line("a", [0, 1, 2], [-5.0, 1e9, 0.5])], last_step=10))
    for x, y in places(curves(picture)[0]):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_the_best_point_is_marked_and_named() -> None:
    chart = Chart("BLEU", [Line("dev", [1, 2], [10.0, 20.0], dotted=True)], Best(2, 20.0))
    root = parsed(draw_lines(chart))
    assert [circle for circle in root.iter("circle") if circle.attrib["class"] == "best"]
    assert "best 20" in "".join(root.itertext())


def test_where_another_curve_decided_only_the_update_is_marked() -> None:
    root = parsed(draw_lines(Chart("Loss", [Line("dev", [1, 2], [10.0, 20.0])], Best(2, None))))
    assert not [circle for circle in root.iter("circle") if circle.attrib["class"] == "best"]
    assert [path for path in root.iter("path") if path.attrib.get("class") == "best-line"]


def test_values_that_were_no_numbers_are_told() -> None:
    picture = draw_lines(Chart("Loss", [Line("a", [1, 2, 3], [1.0, None, 2.0])]))
    assert "1 value was no number" in picture
    assert curves(picture)[0].count("M") == 2


@pytest.mark.parametrize("values", [[], [None, None], [3.0], [0.0, 0.0]])
def test_curves_of_little_or_nothing_are_drawn(values: list[float | None]) -> None:
    parsed(draw_lines(Chart("x", [Line("a", list(range(len(values))), values)])))


def test_a_steep_curve_has_a_scale_of_powers_of_ten() -> None:
    values = [1.0, 1.1, 0.9, 1000.0]
    chart = Chart("Gradient norm", [Line("norm", [1, 2, 3, 4], values)], may_be_logarithmic=True)
    assert "powers of ten" in draw_lines(chart)


def test_many_validations_are_not_dotted() -> None:
    chart = Chart("BLEU", [Line("dev", list(range(500)), [1.0] * 500, dotted=True)])
    assert not list(parsed(draw_lines(chart)).iter("circle"))


def test_a_histogram_tells_its_numbers() -> None:
    picture = draw_histogram(Histogram("Lengths", "subwords", {"source": {1: 1, 3: 3}, "target": {2: 4}}))
    parsed(picture)
    assert "source: 4 lines, mean 2.5, median 3, longest 3" in picture


def test_a_histogram_names_the_lines_it_does_not_draw() -> None:
    picture = draw_histogram(Histogram("Lengths", "subwords", {"source": {10: 100_000, 5000: 7}}))
    assert "7 longer than" in picture


@pytest.mark.parametrize("lengths", [{}, {"source": {}}, {"source": {0: 3}}])
def test_histograms_of_little_or_nothing_are_drawn(lengths: dict[str, dict[int, int]]) -> None:
    parsed(draw_histogram(Histogram("Lengths", "subwords", lengths)))


def test_attention_has_a_cell_for_each_weight_that_can_be_seen() -> None:
    picture = draw_attention(AttentionMap(3, ["▁a", "▁b"], ["▁c", "</s>"], [[0.9, 0.1], [0.001, 0.999]]))
    cells = [(rect.attrib["fill-opacity"], rect[0].text) for rect in parsed(picture).iter("rect")]
    assert cells == [("0.90", "▁c ← ▁a: 0.90"), ("0.10", "▁c ← ▁b: 0.10"), ("1.00", "</s> ← ▁b: 1.00")]


def test_intervals_name_score_and_bounds() -> None:
    picture = draw_intervals("BLEU", [ScoreInterval("a", 37.2, 35.6, 38.8), ScoreInterval("b", 0.5, 0.25, 0.75)])
    parsed(picture)
    assert "a: 37.20 (35.60 to 38.80)" in picture
    assert "b: 0.5000 (0.2500 to 0.7500)" in picture


def test_no_text_of_others_is_obeyed() -> None:
    pictures = [
        draw_lines(Chart(HOSTILE, [Line(HOSTILE, [1], [1.0], dotted=True), Line("b", [1], [1.0])], note=HOSTILE)),
        draw_histogram(Histogram(HOSTILE, HOSTILE, {HOSTILE: {1: 1}})),
        draw_attention(AttentionMap(1, [HOSTILE], [HOSTILE], [[1.0]])),
        draw_intervals(HOSTILE, [ScoreInterval(HOSTILE, 1, 0, 2)], HOSTILE),
    ]
    for picture in pictures:
        assert not list(parsed(picture).iter("script"))
        assert "<script" not in picture
        assert "\u202e" not in picture
