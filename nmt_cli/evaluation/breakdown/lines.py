"""Single lines: the worst translations, and the lines that change most between two systems."""

from collections.abc import Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MetricStatistics

_SORT_METRICS = ("chrf", "chrf++", "bleu")
"""Metrics that discriminate between single sentences, best first."""


@dataclass(frozen=True)
class LineScore:
    """Score of one line of a test set."""

    line: int
    """1-based."""
    score: float
    source: str | None
    hypothesis: str
    references: list[str]


@dataclass(frozen=True)
class LineChange:
    """Translations of one line by two systems."""

    line: int
    """1-based."""
    first_score: float
    second_score: float
    source: str | None
    first: str
    second: str
    references: list[str]


def sort_metric(statistics: Sequence[MetricStatistics]) -> MetricStatistics:
    """Return the metric to sort lines by: chrF if available, else chrF++, BLEU or the first."""
    by_key = {each.metric.key: each for each in statistics}
    return next((by_key[key] for key in _SORT_METRICS if key in by_key), statistics[0])


def worst_lines(texts: EvaluationTexts, statistics: MetricStatistics, max_lines: int) -> list[LineScore]:
    """Return the lines with the worst scores, worst first."""
    scores = statistics.sentence_scores()
    order = sorted(range(len(scores)), key=lambda line: scores[line], reverse=statistics.metric.lower_is_better)
    return [
        LineScore(
            line + 1,
            scores[line],
            texts.sources[line] if texts.sources is not None else None,
            texts.hypotheses[line],
            [lines[line] for lines in texts.references],
        )
        for line in order[:max_lines]
    ]


def changed_lines(
    first: EvaluationTexts,
    first_statistics: MetricStatistics,
    second: EvaluationTexts,
    second_statistics: MetricStatistics,
    max_lines: int,
) -> tuple[list[LineChange], list[LineChange]]:
    """Return the lines that improve most from the first to the second system, and those that worsen most."""
    before, after = first_statistics.sentence_scores(), second_statistics.sentence_scores()
    sign = -1 if first_statistics.metric.lower_is_better else 1
    gains = [sign * (new - old) for old, new in zip(before, after, strict=True)]
    order = sorted(range(len(gains)), key=lambda line: -gains[line])

    def change(line: int) -> LineChange:
        return LineChange(
            line + 1,
            before[line],
            after[line],
            first.sources[line] if first.sources is not None else None,
            first.hypotheses[line],
            second.hypotheses[line],
            [lines[line] for lines in first.references],
        )

    improved = [change(line) for line in order if gains[line] > 0][:max_lines]
    worsened = [change(line) for line in reversed(order) if gains[line] < 0][:max_lines]
    return improved, worsened
