"""Scores by kind of sentence and of single lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nmt_cli.evaluation.breakdown.slices import (
    Slice,
    find_slices,
    most_changed_lines,
    score_slices,
    sort_metric,
    worst_lines,
)
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics, score
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MetricStatistics
from nmt_cli.recipe.evaluation import Evaluation

SETTINGS = Evaluation()
SOURCES = [
    "In Berlin it rains.",
    "Radio plays.",
    "Three dogs.",
    "It costs 10 euros today in the shop.",
    "Then Anna runs",
]
REFERENCES = ["In Berlin regnet es.", "Radio läuft.", "Drei Hunde.", "Es kostet heute 10 Euro.", "Dann läuft Anna"]
LINE_REFERENCES = ["Ein Hund läuft.", "Zwei Kinder spielen.", "Drei Frauen singen."]
LINE_SOURCES = ["A dog runs.", "Two children play.", "Three women sing."]
GOOD = EvaluationTexts(LINE_REFERENCES, [LINE_REFERENCES], LINE_SOURCES)
MIXED = EvaluationTexts(["Ein Hund rennt.", "Zwei Kinder spielen.", "Lieder."], [LINE_REFERENCES], LINE_SOURCES)


def by_kind(found: list[Slice], kind: str) -> dict[str, tuple[int, ...]]:
    return {part.name: part.lines for part in found if part.kind == kind}


def test_find_slices_by_numbers_and_names() -> None:
    found = find_slices(EvaluationTexts(REFERENCES, [REFERENCES], SOURCES))
    assert by_kind(found, "numbers") == {"with": (3,), "without": (0, 1, 2, 4)}
    assert by_kind(found, "names") == {"with": (0, 4), "without": (1, 2, 3)}


def test_find_slices_omits_a_kind_with_one_group() -> None:
    assert by_kind(find_slices(EvaluationTexts(["a"], [["a"]], ["a"])), "numbers") == {}


@given(some.lists(some.integers(0, 30), min_size=1, max_size=40))
def test_find_slices_puts_every_line_in_one_length_group(lengths: list[int]) -> None:
    sources = [" ".join(["words"] * length) for length in lengths]
    found = by_kind(find_slices(EvaluationTexts(sources, [sources], sources)), "source length")
    assert sorted(line for lines in found.values() for line in lines) == list(range(len(lengths)))
    assert 1 <= len(found) <= 4


def test_find_slices_makes_four_groups_of_equal_size_by_length() -> None:
    sources = [" ".join(["words"] * length) for length in range(1, 9)]
    found = by_kind(find_slices(EvaluationTexts(sources, [sources], sources)), "source length")
    assert found == {"1-2 words": (0, 1), "3-4 words": (2, 3), "5-6 words": (4, 5), "7-8 words": (6, 7)}


def test_find_slices_measures_unspaced_scripts_in_characters() -> None:
    sources = ["我们今天去公园散步,然后回家。", "好的。"]
    found = by_kind(find_slices(EvaluationTexts(sources, [sources], sources)), "source length")
    assert found == {"2 characters": (1,), "3-13 characters": (0,)}


def test_find_slices_by_rarest_word() -> None:
    word_counts = {"Radio": 50, "läuft": 700, "Drei": 3, "Hunde": 20}
    found = by_kind(find_slices(EvaluationTexts(REFERENCES, [REFERENCES], SOURCES), word_counts), "rarest target word")
    assert found == {"never": (0, 3, 4), "1-9": (2,), "10-99": (1,)}


def test_find_slices_by_tag() -> None:
    found = find_slices(EvaluationTexts(REFERENCES, [REFERENCES]), tags=["news", "chat", "chat", "news", "chat"])
    assert found == [Slice("tag", "chat", (1, 2, 4)), Slice("tag", "news", (0, 3))]


def test_score_slices_equals_the_corpus_score_of_the_lines() -> None:
    hypotheses = [line.replace("läuft", "rennt") for line in REFERENCES]
    texts = EvaluationTexts(hypotheses, [REFERENCES], SOURCES)
    [found] = score_slices([Slice("tag", "x", (1, 3, 4))], compute_statistics(texts, build_metrics(SETTINGS)))
    alone = score([hypotheses[i] for i in (1, 3, 4)], [[REFERENCES[i] for i in (1, 3, 4)]], SETTINGS)
    assert found.sentences == 3
    assert found.scores == pytest.approx({each.key: each.value for each in alone})


def statistics(texts: EvaluationTexts, key: str) -> MetricStatistics:
    return compute_statistics(texts, build_metrics(Evaluation(metrics=[key])))[0]


def test_worst_lines_sorts_worst_first() -> None:
    for key in ("chrf", "ter"):
        found = worst_lines(MIXED, statistics(MIXED, key), 2)
        assert [(line.line, line.hypothesis) for line in found] == [(3, "Lieder."), (1, "Ein Hund rennt.")]
    assert (found[0].source, found[0].references) == ("Three women sing.", ["Drei Frauen singen."])


def test_most_changed_lines_separates_improved_and_worsened_without_unchanged() -> None:
    for key in ("chrf", "ter"):
        improved, worsened = most_changed_lines(MIXED, statistics(MIXED, key), GOOD, statistics(GOOD, key), 5)
        assert ([change.line for change in improved], worsened) == ([3, 1], [])
        improved, worsened = most_changed_lines(GOOD, statistics(GOOD, key), MIXED, statistics(MIXED, key), 1)
        assert (improved, [change.line for change in worsened]) == ([], [3])
    assert (worsened[0].first, worsened[0].second) == ("Drei Frauen singen.", "Lieder.")


def test_sort_metric_prefers_chrf() -> None:
    metrics = build_metrics(Evaluation(metrics=["ter", "bleu", "chrf"]))
    assert sort_metric(compute_statistics(GOOD, metrics)).metric.key == "chrf"
    assert sort_metric(compute_statistics(GOOD, metrics[:1])).metric.key == "ter"
