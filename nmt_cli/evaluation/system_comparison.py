"""Comparison of several systems on one test set: scores, significance, and where they differ."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

import numpy as np

from nmt_cli.evaluation.breakdown.slices import MAX_EXAMPLES, LineChange, find_slices, most_changed_lines, sort_metric
from nmt_cli.evaluation.breakdown.words import NgramDifferences, compare_ngrams
from nmt_cli.evaluation.human_agreement import human_agreement
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics
from nmt_cli.evaluation.metrics.metric import ConfidenceInterval, EvaluationTexts, Metric
from nmt_cli.evaluation.significance import (
    PairedTest,
    SystemRuns,
    interval_of,
    is_better,
    resampled_scores,
    score_difference,
    seed_p_value,
)
from nmt_cli.recipe.evaluation import Evaluation
from nmt_cli.recipe.schema import SettingChange

_DEFAULT_RESAMPLES = 1000
"""For intervals if the settings disable them: a comparison without intervals would mislead."""


@dataclass(frozen=True)
class SystemOutput:
    """One system's translations of a test set; several if it was trained with several seeds."""

    name: str
    runs: tuple[str, ...]
    """Name of the training run of each element of `hypotheses`."""
    hypotheses: tuple[Sequence[str], ...]
    changes: Sequence[SettingChange] = ()
    """Settings in which its recipe differs from that of the first system; empty without recipes."""


@dataclass(frozen=True)
class ComparedTestSet:
    """References and further information that all compared systems share."""

    name: str
    references: Sequence[Sequence[str]]
    sources: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    word_counts: Mapping[str, int] | None = None
    """Count of each word in the training text."""


@dataclass(frozen=True)
class SystemScore:
    """Score of one system by one metric."""

    system: str
    metric: str
    """Key of the metric, such as bleu."""
    name: str
    """Display name of the metric, such as BLEU."""
    signature: str
    lower_is_better: bool
    value: float
    """Mean over runs."""
    run_scores: dict[str, float]
    """Score of each training run."""
    stdev: float | None
    """Standard deviation over runs; None for a single one."""
    interval: ConfidenceInterval | None
    """Over sentences; None for a single one."""


@dataclass(frozen=True)
class PairwiseResult:
    """Result of a significance test of two systems by one metric."""

    metric: str
    first: str
    second: str
    difference: float
    """The second system's score minus the first's."""
    p: float
    """Over sentences."""
    seed_p: float | None
    """Over training runs; None if both systems were trained once."""
    second_is_better: bool | None
    """None if the difference is not significant, by either p."""
    verdict: str = ""
    """The result as a sentence."""
    human_agreement: float | None = None
    """Percentage of differences of this size whose sign agrees with human judgement; None if it is unknown."""


@dataclass(frozen=True)
class SliceComparison:
    """Scores of all systems on sentences of one kind."""

    kind: str
    name: str
    sentences: int
    scores: dict[str, dict[str, float]]
    """Score by metric key and system."""


@dataclass(frozen=True)
class SystemPair:
    """Lines that change most from the first to the second system. Only the first run of each is compared."""

    first: str
    second: str
    sort_metric: str
    """Name of the metric that lines are sorted by."""
    improved: list[LineChange]
    worsened: list[LineChange]


@dataclass(frozen=True)
class Comparison:
    """Comparison of several systems on one test set."""

    test_set: str
    sentences: int
    test: PairedTest
    scores: list[SystemScore]
    results: list[PairwiseResult]
    """Every later system against the first."""
    slices: list[SliceComparison]
    pairs: list[SystemPair]
    ngrams: dict[str, NgramDifferences]
    """By system."""
    changes: dict[str, list[SettingChange]] = field(default_factory=dict)
    """Settings of each system that differ from those of the first."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Of the lines of the source, if it is known, and of each set of references, each line with its line break."""

    @property
    def systems(self) -> list[str]:
        """Names of the systems, in order."""
        return list(dict.fromkeys(score.system for score in self.scores))


def compare(
    systems: Sequence[SystemOutput], test_set: ComparedTestSet, settings: Evaluation, test: PairedTest
) -> Comparison:
    """Score all systems and test each against the first."""
    metrics = build_metrics(settings)
    first, *others = scored = [_ScoredSystem.build(system, test_set, metrics) for system in systems]
    return Comparison(
        test_set=test_set.name,
        sentences=len(test_set.references[0]),
        test=test,
        scores=[score for each in scored for score in _system_scores(each, settings)],
        results=[result for other in others for result in _pairwise_results(first, other, test, settings)],
        slices=_compare_slices(scored, test_set),
        pairs=[_compare_lines(first, other) for other in others],
        ngrams={each.system.name: compare_ngrams(each.texts[0], MAX_EXAMPLES) for each in scored},
        changes={each.name: list(each.changes) for each in systems},
        sha256=dict(_hashes(test_set)),
    )


def describe_result(result: PairwiseResult, metric: str, sentences: int) -> str:
    """Return the result of a significance test as a sentence."""
    first, second, better, p = result.first, result.second, result.second_is_better, format_p_value(result.p)
    if result.seed_p is not None:
        p = f"{p} over sentences, {format_p_value(result.seed_p)} over seeds"
    if better is None:
        count = format_sentence_count(sentences)
        return f"{metric}: no significant difference between {first} and {second} on {count} ({p})"
    winner, loser = (second, first) if better else (first, second)
    if result.human_agreement is not None:
        p += f"; human judges agree with {result.human_agreement:.0f} % of such differences"
    return f"{metric}: {winner} is better than {loser} ({p})"


def format_sentence_count(count: int) -> str:
    """Format a count such as 1,000 sentences."""
    return f"{count:,} sentence{'s' if count != 1 else ''}"


def format_p_value(p: float) -> str:
    """Format a p-value with three digits, the precision of resampling, such as p = 0.023."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


@dataclass(frozen=True)
class _ScoredSystem:
    """A system with the texts and statistics of each of its runs."""

    system: SystemOutput
    texts: list[EvaluationTexts]
    by_metric: list[SystemRuns]

    @staticmethod
    def build(system: SystemOutput, test_set: ComparedTestSet, metrics: Sequence[Metric]) -> "_ScoredSystem":
        texts = [EvaluationTexts(hypotheses, test_set.references, test_set.sources) for hypotheses in system.hypotheses]
        by_run = [compute_statistics(each, metrics) for each in texts]
        return _ScoredSystem(system, texts, list(zip(*by_run, strict=True)))


def _system_scores(scored: _ScoredSystem, settings: Evaluation) -> Iterator[SystemScore]:
    for runs in scored.by_metric:
        metric, values = runs[0].metric, [run.value for run in runs]
        count = settings.resamples or _DEFAULT_RESAMPLES
        resampled = [resampled_scores(run, count, settings.seed) for run in runs]
        yield SystemScore(
            system=scored.system.name,
            metric=metric.key,
            name=metric.name,
            signature=runs[0].signature,
            lower_is_better=metric.lower_is_better,
            value=fmean(values),
            run_scores=dict(zip(scored.system.runs, values, strict=True)),
            stdev=stdev(values) if len(values) > 1 else None,
            interval=interval_of(np.mean(resampled, axis=0), settings.seed) if len(runs[0].rows) > 1 else None,
        )


def _hashes(test_set: ComparedTestSet) -> Iterator[tuple[str, str]]:
    numbers = range(1, len(test_set.references) + 1)
    names = ["reference"] if len(test_set.references) == 1 else [f"reference {number}" for number in numbers]
    texts = [("source", test_set.sources), *zip(names, test_set.references, strict=True)]
    for name, lines in texts:
        if lines is not None:
            yield name, hashlib.sha256("".join(f"{line}\n" for line in lines).encode(errors="replace")).hexdigest()


def _pairwise_results(
    first: _ScoredSystem, second: _ScoredSystem, test: PairedTest, settings: Evaluation
) -> Iterator[PairwiseResult]:
    for before, after in zip(first.by_metric, second.by_metric, strict=True):
        p = test.p_value(before, after)
        metric, names = before[0].metric, (first.system.name, second.system.name)
        difference, better = score_difference(before, after), is_better(before, after, p)
        seed_p, agreement = seed_p_value(before, after), human_agreement(metric.key, difference, settings)
        result = PairwiseResult(metric.key, *names, difference, p, seed_p, better, human_agreement=agreement)
        yield replace(result, verdict=describe_result(result, metric.name, len(before[0].rows)))


def _compare_slices(scored: Sequence[_ScoredSystem], test_set: ComparedTestSet) -> list[SliceComparison]:
    """Score all systems, by the mean over their runs, on every kind of sentence."""
    found = []
    for part in find_slices(scored[0].texts[0], test_set.word_counts, test_set.tags):
        scores: dict[str, dict[str, float]] = {}
        for each in scored:
            for runs in each.by_metric:
                mean = fmean(run.value_of(part.lines) for run in runs)
                scores.setdefault(runs[0].metric.key, {})[each.system.name] = mean
        found.append(SliceComparison(part.kind, part.name, len(part.lines), scores))
    return found


def _compare_lines(first: _ScoredSystem, second: _ScoredSystem) -> SystemPair:
    before, after = (sort_metric([runs[0] for runs in each.by_metric]) for each in (first, second))
    improved, worsened = most_changed_lines(first.texts[0], before, second.texts[0], after, MAX_EXAMPLES)
    return SystemPair(first.system.name, second.system.name, before.metric.name, improved, worsened)
