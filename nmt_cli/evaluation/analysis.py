"""Analysis of one system on one test set: confidence intervals, breakdowns and robustness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.breakdown.lines import LineScore, changed_lines, sort_metric, worst_lines
from nmt_cli.evaluation.breakdown.perturbations import Perturbation, PerturbedLine, Robustness, ScoreDrop
from nmt_cli.evaluation.breakdown.slices import SliceScores, find_slices, score_slices
from nmt_cli.evaluation.breakdown.words import NgramDifferences, WordBand, compare_ngrams, word_bands, word_tokenizer
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MetricScore, MetricStatistics
from nmt_cli.evaluation.significance import (
    DEFAULT_RESAMPLES,
    approximate_randomisation,
    confidence_interval,
    score_difference,
)
from nmt_cli.recipe.evaluation import Evaluation

MAX_EXAMPLES = 20
"""Lines and n-grams of each kind."""


@dataclass(frozen=True)
class Analysis:
    """Breakdown of the scores of one system on one test set."""

    slices: list[SliceScores]
    word_bands: list[WordBand]
    """By frequency in the training text; empty if that text is not available."""
    ngrams: NgramDifferences
    sort_metric: str
    """Name of the metric that lines are sorted by."""
    worst_lines: list[LineScore]


def with_intervals(statistics: Sequence[MetricStatistics], settings: Evaluation) -> list[MetricScore]:
    """Return corpus scores with confidence intervals, except for a single sentence or if the settings disable them."""
    if settings.resamples is None or len(statistics[0].rows) == 1:
        return [each.score() for each in statistics]
    return [each.score(confidence_interval(each, settings.resamples, settings.seed)) for each in statistics]


def analyse(
    texts: EvaluationTexts,
    statistics: Sequence[MetricStatistics],
    settings: Evaluation,
    word_counts: Mapping[str, int] | None = None,
    tags: Sequence[str] | None = None,
) -> Analysis:
    """Break down the scores of a system.

    Args:
        word_counts: Count of each word in the training text.
        tags: Tag of each line.
    """
    tokenize, sorted_by = word_tokenizer(settings), sort_metric(statistics)
    return Analysis(
        slices=score_slices(find_slices(texts, tokenize, word_counts, tags), statistics),
        word_bands=word_bands(texts, word_counts, tokenize) if word_counts else [],
        ngrams=compare_ngrams(texts, tokenize, MAX_EXAMPLES),
        sort_metric=sorted_by.metric.name,
        worst_lines=worst_lines(texts, sorted_by, MAX_EXAMPLES),
    )


def measure_robustness(
    original: EvaluationTexts, perturbed: EvaluationTexts, perturbation: Perturbation, settings: Evaluation
) -> Robustness:
    """Measure the effect of a perturbation. `perturbed` has the perturbed sources and their translations."""
    metrics = build_metrics(settings)
    before_texts, after_texts = perturbation.normalize_texts(original), perturbation.normalize_texts(perturbed)
    before, after = compute_statistics(before_texts, metrics), compute_statistics(after_texts, metrics)
    drops = [
        ScoreDrop(
            first.metric.key,
            first.value,
            second.value,
            score_difference([first], [second]),
            approximate_randomisation([first], [second], DEFAULT_RESAMPLES["randomisation"], settings.seed),
        )
        for first, second in zip(before, after, strict=True)
    ]
    _, worsened = changed_lines(before_texts, sort_metric(before), after_texts, sort_metric(after), MAX_EXAMPLES)
    assert original.sources is not None and perturbed.sources is not None
    pairs = zip(original.sources, perturbed.sources, strict=True)
    return Robustness(
        perturbation=perturbation.name,
        changed_lines=sum(first != second for first, second in pairs),
        drops=drops,
        examples=[
            PerturbedLine(
                change.line,
                original.sources[change.line - 1],
                perturbed.sources[change.line - 1],
                original.hypotheses[change.line - 1],
                perturbed.hypotheses[change.line - 1],
            )
            for change in worsened
        ],
    )
