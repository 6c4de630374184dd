"""All that is told of one system's translations of one test set, beside its scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nmt_cli.evaluation.metrics import build_metrics, measure
from nmt_cli.evaluation.metrics.contract import Measured, Score, Texts
from nmt_cli.evaluation.trust.bootstrap import interval
from nmt_cli.evaluation.trust.paired import RESAMPLES, approximate_randomisation, difference
from nmt_cli.evaluation.where.ngrams import Ngrams, ngrams
from nmt_cli.evaluation.where.robustness import Disturbance, DisturbedLine, Drop, Robustness
from nmt_cli.evaluation.where.single_lines import LineScore, changed_lines, telling, worst_lines
from nmt_cli.evaluation.where.slices import SliceScores, slice_scores, slices
from nmt_cli.evaluation.where.words import WordBand, splitter, word_bands
from nmt_cli.recipe.evaluation import Evaluation

SHOWN = 20
"""Lines and phrases of each kind."""


@dataclass(frozen=True)
class Analysis:
    """Where translations are good and where not."""

    slices: list[SliceScores]
    word_bands: list[WordBand]
    """Words by how often training has seen them; empty if its text is not at hand."""
    ngrams: Ngrams
    lines_by: str
    """Name of the metric by which lines are put in order."""
    worst_lines: list[LineScore]


def with_intervals(measured: Sequence[Measured], settings: Evaluation) -> list[Score]:
    """The corpus scores, each with its interval unless the settings want none, or there is but one sentence to draw."""
    if settings.resamples is None or len(measured[0].rows) == 1:
        return [each.score() for each in measured]
    return [each.score(interval(each, settings.resamples, settings.seed)) for each in measured]


def analyse(
    texts: Texts,
    measured: Sequence[Measured],
    settings: Evaluation,
    seen: Mapping[str, int] | None = None,
    tags: Sequence[str] | None = None,
) -> Analysis:
    """Where the scores come from; `seen` counts the words of the training text, `tags` says what kind each line is."""
    split, by = splitter(settings), telling(measured)
    return Analysis(
        slices=slice_scores(slices(texts, split, seen, tags), measured),
        word_bands=word_bands(texts, seen, split) if seen else [],
        ngrams=ngrams(texts, split, SHOWN),
        lines_by=by.metric.name,
        worst_lines=worst_lines(texts, by, SHOWN),
    )


def robustness(undisturbed: Texts, disturbed: Texts, disturbance: Disturbance, settings: Evaluation) -> Robustness:
    """What a disturbance costs; `disturbed` holds its sources and their translations."""
    metrics = build_metrics(settings)
    before_texts, after_texts = disturbance.judge(undisturbed), disturbance.judge(disturbed)
    before, after = measure(before_texts, metrics), measure(after_texts, metrics)
    drops = [
        Drop(
            first.metric.key,
            first.value,
            second.value,
            difference([first], [second]),
            approximate_randomisation([first], [second], RESAMPLES["randomisation"], settings.seed),
        )
        for first, second in zip(before, after, strict=True)
    ]
    _, lost = changed_lines(before_texts, telling(before), after_texts, telling(after), SHOWN)
    assert undisturbed.sources is not None and disturbed.sources is not None
    pairs = zip(undisturbed.sources, disturbed.sources, strict=True)
    return Robustness(
        name=disturbance.name,
        changed=sum(first != second for first, second in pairs),
        drops=drops,
        examples=[
            DisturbedLine(
                change.line,
                undisturbed.sources[change.line - 1],
                disturbed.sources[change.line - 1],
                undisturbed.hypotheses[change.line - 1],
                disturbed.hypotheses[change.line - 1],
            )
            for change in lost
        ],
    )
