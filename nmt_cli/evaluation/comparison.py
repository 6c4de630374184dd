"""Several systems on one test set: how good each is, which is better, and where they differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from nmt_cli.evaluation.analysis import SHOWN
from nmt_cli.evaluation.metrics import build_metrics, measure
from nmt_cli.evaluation.metrics.contract import Interval, Metric, Texts
from nmt_cli.evaluation.trust.bootstrap import interval_of, resampled_scores
from nmt_cli.evaluation.trust.paired import PairedTest, Trained, difference, is_better
from nmt_cli.evaluation.where.ngrams import Ngrams, ngrams
from nmt_cli.evaluation.where.single_lines import LineChange, changed_lines, telling
from nmt_cli.evaluation.where.slices import slices
from nmt_cli.evaluation.where.words import splitter
from nmt_cli.recipe.evaluation import Evaluation

_RESAMPLES = 1000
"""For intervals, where the settings want none: a comparison without them would mislead."""


@dataclass(frozen=True)
class System:
    """One system's translations of a test set; several if it was trained with several seeds."""

    name: str
    trainings: tuple[str, ...]
    """What each came from, such as its run; as many as there are sets of hypotheses."""
    hypotheses: tuple[Sequence[str], ...]


@dataclass(frozen=True)
class CommonSet:
    """What all systems were given, and what they are judged by."""

    name: str
    references: Sequence[Sequence[str]]
    sources: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    seen: Mapping[str, int] | None = None
    """How often each word stands in the training text."""


@dataclass(frozen=True)
class SystemScore:
    """One system by one metric."""

    system: str
    metric: str
    """Its key."""
    name: str
    signature: str
    lower_is_better: bool
    value: float
    """Of several seeds, their mean."""
    seeds: dict[str, float]
    """The score of each training; one if there are no seeds to tell apart."""
    spread: float | None
    """Standard deviation over seeds; None for a single one."""
    interval: Interval | None
    """Over sentences; None of a single one."""


@dataclass(frozen=True)
class Result:
    """Is a system better than another, by one metric?"""

    metric: str
    first: str
    second: str
    difference: float
    """The second's score less the first's."""
    p: float
    """How often chance alone does as much."""
    second_is_better: bool | None
    """None if no difference can be shown."""
    verdict: str
    """The same in a sentence."""


@dataclass(frozen=True)
class SliceComparison:
    """Sentences of one kind."""

    kind: str
    name: str
    sentences: int
    scores: dict[str, dict[str, float]]
    """By the metric's key, each system's score."""


@dataclass(frozen=True)
class PairOfSystems:
    """Where the second of two systems differs from the first; of several seeds the first is shown."""

    first: str
    second: str
    lines_by: str
    """Name of the metric by which lines are put in order."""
    gained: list[LineChange]
    lost: list[LineChange]


@dataclass(frozen=True)
class Comparison:
    """All that is told of several systems on one test set."""

    test_set: str
    sentences: int
    test: PairedTest
    systems: list[SystemScore]
    results: list[Result]
    """Every later system against the first."""
    slices: list[SliceComparison]
    pairs: list[PairOfSystems]
    ngrams: dict[str, Ngrams]
    """Of each system."""


def compare(systems: Sequence[System], test_set: CommonSet, settings: Evaluation, test: PairedTest) -> Comparison:
    """Score all systems, and test each against the first."""
    metrics = build_metrics(settings)
    first, *others = scored = [_Scored.of(system, test_set, metrics) for system in systems]
    split = splitter(settings)
    return Comparison(
        test_set=test_set.name,
        sentences=len(test_set.references[0]),
        test=test,
        systems=[score for each in scored for score in _system_scores(each, settings)],
        results=[result for other in others for result in _results(first, other, test)],
        slices=_slices(scored, test_set, settings),
        pairs=[_pair(first, other) for other in others],
        ngrams={each.system.name: ngrams(each.texts[0], split, SHOWN) for each in scored},
    )


def verdict(metric: str, first: str, second: str, better: bool | None, p: float, sentences: int) -> str:
    """What a test says, in one sentence."""
    if better is None:
        return (
            f"{metric}: no difference between {first} and {second}"
            f" can be shown with {counted_sentences(sentences)} ({told_p(p)})"
        )
    winner, loser = (second, first) if better else (first, second)
    return f"{metric}: {winner} is better than {loser} ({told_p(p)})"


def counted_sentences(count: int) -> str:
    """Such as 1,000 sentences."""
    return f"{count:,} sentence{'s' if count != 1 else ''}"


def told_p(p: float) -> str:
    """Such as p = 0.023; three digits are all that resampling gives."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


@dataclass(frozen=True)
class _Scored:
    """A system and what every metric found in the translations of each of its trainings."""

    system: System
    texts: list[Texts]
    by_metric: list[Trained]

    @staticmethod
    def of(system: System, test_set: CommonSet, metrics: Sequence[Metric]) -> "_Scored":
        texts = [Texts(hypotheses, test_set.references, test_set.sources) for hypotheses in system.hypotheses]
        measured = [measure(each, metrics) for each in texts]
        return _Scored(system, texts, list(zip(*measured, strict=True)))


def _system_scores(scored: _Scored, settings: Evaluation) -> Iterator[SystemScore]:
    for trainings in scored.by_metric:
        metric, values = trainings[0].metric, [each.value for each in trainings]
        count = settings.resamples or _RESAMPLES
        resampled = [resampled_scores(each, count, settings.seed) for each in trainings]
        yield SystemScore(
            system=scored.system.name,
            metric=metric.key,
            name=metric.name,
            signature=trainings[0].signature,
            lower_is_better=metric.lower_is_better,
            value=fmean(values),
            seeds=dict(zip(scored.system.trainings, values, strict=True)),
            spread=stdev(values) if len(values) > 1 else None,
            interval=interval_of(np.mean(resampled, axis=0), settings.seed) if len(trainings[0].rows) > 1 else None,
        )


def _results(first: _Scored, second: _Scored, test: PairedTest) -> Iterator[Result]:
    for before, after in zip(first.by_metric, second.by_metric, strict=True):
        p = test.p(before, after)
        better, metric = is_better(before, after, p), before[0].metric
        names = first.system.name, second.system.name
        told = verdict(metric.name, *names, better, p, len(before[0].rows))
        yield Result(metric.key, *names, difference(before, after), p, better, told)


def _slices(scored: Sequence[_Scored], test_set: CommonSet, settings: Evaluation) -> list[SliceComparison]:
    """The scores of all systems, of several seeds their mean, on every kind of sentence."""
    found = []
    for part in slices(scored[0].texts[0], splitter(settings), test_set.seen, test_set.tags):
        scores: dict[str, dict[str, float]] = {}
        for each in scored:
            for trainings in each.by_metric:
                mean = fmean(measured.value_of(part.lines) for measured in trainings)
                scores.setdefault(trainings[0].metric.key, {})[each.system.name] = mean
        found.append(SliceComparison(part.kind, part.name, len(part.lines), scores))
    return found


def _pair(first: _Scored, second: _Scored) -> PairOfSystems:
    before, after = (telling([trainings[0] for trainings in each.by_metric]) for each in (first, second))
    gained, lost = changed_lines(first.texts[0], before, second.texts[0], after, SHOWN)
    return PairOfSystems(first.system.name, second.system.name, before.metric.name, gained, lost)
