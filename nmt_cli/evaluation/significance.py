"""Confidence intervals by bootstrap resampling, and paired significance tests.

Sentence statistics are computed once; the score of a resample follows from a sum of them (Koehn 2004).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmt_cli.evaluation.metrics.metric import ConfidenceInterval, MetricScore, MetricStatistics
from nmt_cli.recipe.evaluation import Evaluation

SignificanceMethod = Literal["bootstrap", "randomisation"]
SystemRuns = Sequence[MetricStatistics]
"""Statistics of one metric for the training runs (seeds) of one system; a system trained once has one."""

SIGNIFICANCE_LEVEL = 0.05
"""A difference with a p below this counts as significant."""

_MIN_SENTENCES = 6
"""With fewer, 2 of the 2^n exchanges reproduce any difference, so p cannot fall below the significance level."""
_MAX_DRAWN = 4_000_000
"""Sentences drawn at once, over all resamples; bounds memory."""


def confidence_interval(statistics: MetricStatistics, resamples: int, seed: int) -> ConfidenceInterval:
    """Return the 95 % interval of a corpus score. With sacreBLEU's seed, the draws equal sacreBLEU's."""
    return interval_of(resampled_scores(statistics, resamples, seed), seed)


def with_intervals(statistics: Sequence[MetricStatistics], settings: Evaluation) -> list[MetricScore]:
    """Return corpus scores with confidence intervals, except for a single sentence or if the settings disable them."""
    if settings.resamples is None or len(statistics[0].rows) == 1:
        return [each.score() for each in statistics]
    return [each.score(confidence_interval(each, settings.resamples, settings.seed)) for each in statistics]


def interval_of(scores: NDArray[np.float64], seed: int) -> ConfidenceInterval:
    """Return the interval that contains 95 % of the resampled scores [r]."""
    ordered = np.sort(scores)
    outside = len(ordered) // 40
    low, high = ordered[outside], ordered[len(ordered) - outside - 1]
    return ConfidenceInterval(float(ordered.mean()), float(low), float(high), len(ordered), seed)


def resampled_scores(statistics: MetricStatistics, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return the scores [r] of resamples of the sentences; equal seeds draw the same sentences for every system."""
    sums = [counts @ statistics.rows for counts in draw_counts(len(statistics.rows), resamples, seed)]
    return _scores_of(statistics, np.concatenate(sums))


def draw_counts(sentences: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each sentence is drawn, in chunks [r,n] of `resamples` rows in total."""
    rng = np.random.default_rng(seed)
    for rows in chunk_sizes(resamples, sentences):
        drawn = rng.integers(0, sentences, (rows, sentences)) + sentences * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * sentences).reshape(rows, sentences).astype(np.float64)


def score_difference(first: SystemRuns, second: SystemRuns) -> float:
    """Return the second system's mean score minus the first's."""
    return _mean_score(second) - _mean_score(first)


def paired_bootstrap(first: SystemRuns, second: SystemRuns, resamples: int, seed: int) -> float:
    """Return the p-value of the difference by paired bootstrap resampling (Koehn 2004), as in sacreBLEU and Moses.

    p is the share of resamples (add-one smoothed) whose absolute difference exceeds the mean absolute difference by
    more than the observed difference. The test rejects more often than p suggests; `approximate_randomisation` is
    calibrated. All runs of a system share the same resamples and have equal weight. Returns 1.0 for fewer than
    6 sentences or equal scores.
    """
    observed = abs(score_difference(first, second))
    if observed == 0 or len(first[0].rows) < _MIN_SENTENCES:
        return 1.0
    first_scores, second_scores = (
        np.mean([resampled_scores(run, resamples, seed) for run in system], axis=0) for system in (first, second)
    )
    differences = np.abs(second_scores - first_scores)
    return p_value(differences - differences.mean() > observed)


def approximate_randomisation(first: SystemRuns, second: SystemRuns, resamples: int, seed: int) -> float:
    """Return the p-value of the difference by approximate randomisation (Riezler & Maxwell 2005).

    p is the share of random reassignments of the translations of each sentence to the systems (add-one smoothed) whose
    absolute difference is at least the observed one. Runs of both systems are pooled (Clark et al. 2011). Returns 1.0
    for fewer than 6 sentences or equal scores.
    """
    observed = abs(score_difference(first, second))
    if observed == 0 or len(first[0].rows) < _MIN_SENTENCES:
        return 1.0
    pool = [*first, *second]
    permuted = [_scores_of(pool[0], sums) for sums in _permuted_sums(pool, resamples, seed)]
    differences = np.mean(permuted[len(first) :], axis=0) - np.mean(permuted[: len(first)], axis=0)
    # Ties count: if few sentences differ, many permutations equal the observed assignment.
    return p_value(np.abs(differences) >= observed - 1e-9)


SIGNIFICANCE_TESTS: dict[SignificanceMethod, Callable[[SystemRuns, SystemRuns, int, int], float]] = {
    "bootstrap": paired_bootstrap,
    "randomisation": approximate_randomisation,
}
"""From a method to the function that computes p from (first, second, resamples, seed)."""

DEFAULT_RESAMPLES: dict[SignificanceMethod, int] = {"bootstrap": 1000, "randomisation": 10_000}
"""The defaults of sacreBLEU."""


@dataclass(frozen=True)
class PairedTest:
    """A significance test and its parameters."""

    method: SignificanceMethod
    resamples: int
    seed: int

    @property
    def description(self) -> str:
        """Such as paired bootstrap with 1,000 resamples."""
        name = {"bootstrap": "paired bootstrap", "randomisation": "approximate randomisation"}[self.method]
        return f"{name} with {self.resamples:,} resamples"

    def p_value(self, first: SystemRuns, second: SystemRuns) -> float:
        """Return the p-value of the difference between two systems."""
        return SIGNIFICANCE_TESTS[self.method](first, second, self.resamples, self.seed)


def seed_p_value(first: SystemRuns, second: SystemRuns) -> float | None:
    """Return the p-value of the difference over training runs, by Student's t-test with equal variances.

    None if both systems were trained once. A system that was trained once is taken to vary as much as the other.
    """
    scores = [[run.value for run in system] for system in (first, second)]
    freedom = sum(map(len, scores)) - 2
    if not freedom:
        return None
    variance = sum(sum((value - fmean(each)) ** 2 for value in each) for each in scores) / freedom
    error = math.sqrt(variance * sum(1 / len(each) for each in scores))
    difference = abs(score_difference(first, second))
    return _student_p_value(difference / error, freedom) if error else float(not difference)


def _student_p_value(t: float, freedom: int) -> float:
    """Return the two-sided p-value of Student's t distribution, by the finite series for whole degrees of freedom."""
    angle = math.atan(t / math.sqrt(freedom))
    is_odd = freedom % 2
    term, total = (math.cos(angle), 0.0) if is_odd else (1.0, 0.0)
    for k in range(1 + is_odd, freedom, 2):
        total += term
        term *= math.cos(angle) ** 2 * k / (k + 1)
    total *= math.sin(angle)
    return 1 - (2 / math.pi * (angle + total) if is_odd else total)


def is_better(first: SystemRuns, second: SystemRuns, p: float) -> bool | None:
    """Return whether the second system is better than the first.

    None if the difference is not significant, over sentences (`p`) or over the training runs of the systems.
    """
    if max(p, seed_p_value(first, second) or 0.0) >= SIGNIFICANCE_LEVEL:
        return None
    return (score_difference(first, second) > 0) != first[0].metric.lower_is_better


def _permuted_sums(pool: SystemRuns, resamples: int, seed: int) -> list[NDArray[np.float64]]:
    """Permute the runs of the pool for each sentence; return the sums [r,k] of each slot of the pool."""
    rng = np.random.default_rng(seed)
    sentences, slots = len(pool[0].rows), range(len(pool))
    chunks: list[list[NDArray[np.float64]]] = [[] for _ in slots]
    for rows in chunk_sizes(resamples, sentences * len(pool)):
        order = np.argsort(rng.random((rows, sentences, len(pool)), dtype=np.float32), axis=2)
        for slot in slots:
            sums = [(order[:, :, slot] == run).astype(np.float64) @ pool[run].rows for run in slots]
            chunks[slot].append(np.sum(sums, axis=0))
    return [np.concatenate(each) for each in chunks]


def _scores_of(statistics: MetricStatistics, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the metric's scores [r] of the sums [r,k]."""
    return np.array([statistics.metric.value(row) for row in sums.tolist()])


def chunk_sizes(resamples: int, sentences: int) -> Sequence[int]:
    """Split the resamples into chunks whose sentences fit in memory."""
    max_rows = max(1, _MAX_DRAWN // sentences)
    return [min(max_rows, resamples - start) for start in range(0, resamples, max_rows)]


def p_value(exceeds: NDArray[np.bool_]) -> float:
    """Return the add-one smoothed share of resamples that exceed the observed difference."""
    return (int(np.count_nonzero(exceeds)) + 1) / (len(exceeds) + 1)


def _mean_score(system: SystemRuns) -> float:
    return sum(run.value for run in system) / len(system)
