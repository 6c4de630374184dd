"""Breakdown of scores: by kind of sentence, word frequency, n-gram, line, and perturbation of the source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.breakdown.slices import (
    MAX_EXAMPLES,
    LineScore,
    SliceScores,
    find_slices,
    score_slices,
    sort_metric,
    worst_lines,
)
from nmt_cli.evaluation.breakdown.words import NgramDifferences, WordBand, compare_ngrams, word_bands
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MetricStatistics


@dataclass(frozen=True)
class Analysis:
    """Breakdown of the scores of one system on one test set."""

    slices: list[SliceScores]
    word_bands: list[WordBand]
    """By word frequency in the training text; empty if that text is not available."""
    ngrams: NgramDifferences
    sort_metric: str
    """Name of the metric that lines are sorted by."""
    worst_lines: list[LineScore]


def analyse(
    texts: EvaluationTexts,
    statistics: Sequence[MetricStatistics],
    word_counts: Mapping[str, int] | None = None,
    tags: Sequence[str] | None = None,
) -> Analysis:
    """Break down the scores of a system.

    Args:
        word_counts: Count of each word in the training text.
        tags: Tag of each line.
    """
    sorted_by = sort_metric(statistics)
    return Analysis(
        slices=score_slices(find_slices(texts, word_counts, tags), statistics),
        word_bands=word_bands(texts, word_counts) if word_counts else [],
        ngrams=compare_ngrams(texts, MAX_EXAMPLES),
        sort_metric=sorted_by.metric.name,
        worst_lines=worst_lines(texts, sorted_by, MAX_EXAMPLES),
    )
