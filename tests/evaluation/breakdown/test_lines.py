"""Worst lines, and lines that change most between two systems."""

from nmt_cli.evaluation.breakdown.lines import changed_lines, sort_metric, worst_lines
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MetricStatistics
from nmt_cli.recipe.evaluation import Evaluation

REFERENCES = ["Ein Hund läuft.", "Zwei Kinder spielen.", "Drei Frauen singen."]
SOURCES = ["A dog runs.", "Two children play.", "Three women sing."]
GOOD = EvaluationTexts(REFERENCES, [REFERENCES], SOURCES)
MIXED = EvaluationTexts(["Ein Hund rennt.", "Zwei Kinder spielen.", "Lieder."], [REFERENCES], SOURCES)


def statistics(texts: EvaluationTexts, key: str) -> MetricStatistics:
    return compute_statistics(texts, build_metrics(Evaluation(metrics=[key])))[0]


def test_worst_lines_sorts_worst_first() -> None:
    for key in ("chrf", "ter"):
        found = worst_lines(MIXED, statistics(MIXED, key), 2)
        assert [(line.line, line.hypothesis) for line in found] == [(3, "Lieder."), (1, "Ein Hund rennt.")]
    assert (found[0].source, found[0].references) == ("Three women sing.", ["Drei Frauen singen."])


def test_changed_lines_separates_improved_and_worsened_without_unchanged() -> None:
    for key in ("chrf", "ter"):
        improved, worsened = changed_lines(MIXED, statistics(MIXED, key), GOOD, statistics(GOOD, key), 5)
        assert ([change.line for change in improved], worsened) == ([3, 1], [])
        improved, worsened = changed_lines(GOOD, statistics(GOOD, key), MIXED, statistics(MIXED, key), 1)
        assert (improved, [change.line for change in worsened]) == ([], [3])
    assert (worsened[0].first, worsened[0].second) == ("Drei Frauen singen.", "Lieder.")


def test_sort_metric_prefers_chrf() -> None:
    metrics = build_metrics(Evaluation(metrics=["ter", "bleu", "chrf"]))
    assert sort_metric(compute_statistics(GOOD, metrics)).metric.key == "chrf"
    assert sort_metric(compute_statistics(GOOD, metrics[:1])).metric.key == "ter"
