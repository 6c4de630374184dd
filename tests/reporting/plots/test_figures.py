"""Histograms, intervals and attention maps are well-formed, labelled and escaped."""

import xml.etree.ElementTree as ElementTree

import pytest

from nmt_cli.evaluation.metrics.metric import ConfidenceInterval
from nmt_cli.evaluation.system_comparison import SystemScore
from nmt_cli.reporting.plots.figures import AttentionMap, draw_attention, draw_histogram, draw_intervals

HOSTILE = '<script>"&\x00\u202e'


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def make_score(system: str, value: float, low: float, high: float, metric: str = "BLEU") -> SystemScore:
    interval = ConfidenceInterval(value, low, high, 1000, 1)
    return SystemScore(system, "bleu", metric, metric, False, value, {system: value}, None, interval)


def test_histogram_shows_statistics() -> None:
    svg = draw_histogram("Lengths", "subwords", {"source": {1: 1, 3: 3}, "target": {2: 4}})
    parsed(svg)
    assert "source: 4 lines, mean 2.5, median 3, longest 3" in svg


def test_histogram_counts_lines_that_are_not_drawn() -> None:
    svg = draw_histogram("Lengths", "subwords", {"source": {10: 100_000, 5000: 7}})
    assert "7 longer than" in svg


@pytest.mark.parametrize("lengths", [{}, {"source": {}}, {"source": {0: 3}}])
def test_draw_histogram_of_few_or_no_values(lengths: dict[str, dict[int, int]]) -> None:
    parsed(draw_histogram("Lengths", "subwords", lengths))


def test_attention_has_a_cell_for_each_visible_weight() -> None:
    svg = draw_attention(AttentionMap(3, ["▁a", "▁b"], ["▁c", "</s>"], [[0.9, 0.1], [0.001, 0.999]]))
    cells = [(rect.attrib["fill-opacity"], rect[0].text) for rect in parsed(svg).iter("rect")]
    assert cells == [("0.91", "▁c ← ▁a: 0.90"), ("0.17", "▁c ← ▁b: 0.10"), ("1.00", "</s> ← ▁b: 1.00")]


def test_intervals_show_score_and_bounds() -> None:
    svg = draw_intervals([make_score("a", 37.2, 35.6, 38.8), make_score("b", 0.5, 0.25, 0.75)], {"a": 0, "b": 1})
    parsed(svg)
    assert "a: 37.20 (35.60 to 38.80)" in svg
    assert "b: 0.5000 (0.2500 to 0.7500)" in svg


def test_figures_escape_untrusted_text() -> None:
    svgs = [
        draw_histogram(HOSTILE, HOSTILE, {HOSTILE: {1: 1}}),
        draw_attention(AttentionMap(1, [HOSTILE], [HOSTILE], [[1.0]])),
        draw_intervals([make_score(HOSTILE, 1, 0, 2, HOSTILE)], {HOSTILE: 0}),
    ]
    for svg in svgs:
        assert not list(parsed(svg).iter("script"))
        assert "<script" not in svg
        assert "\u202e" not in svg
