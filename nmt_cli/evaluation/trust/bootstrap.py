"""Scores of resampled sentences (Koehn 2004): statistics are computed once, and resamples are sums of them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nmt_cli.evaluation.metrics.contract import Interval, Measured

_AT_ONCE = 4_000_000
"""Sentences drawn at once, over all resamples; bounds the memory."""


def interval(measured: Measured, resamples: int, seed: int) -> Interval:
    """The 95 % interval of a corpus score, as sacreBLEU computes it: with its seed, its very draws."""
    return interval_of(resampled_scores(measured, resamples, seed), seed)


def interval_of(scores: NDArray[np.float64], seed: int) -> Interval:
    """The interval that holds 95 % of resampled scores."""
    ordered = np.sort(scores)
    outside = len(ordered) // 40
    low, high = ordered[outside], ordered[len(ordered) - outside - 1]
    return Interval(float(ordered.mean()), float(low), float(high), len(ordered), seed)


def resampled_scores(measured: Measured, resamples: int, seed: int) -> NDArray[np.float64]:
    """[resamples]; the same seed draws the same sentences, whatever is measured."""
    parts = [weights @ measured.rows for weights in draws(len(measured.rows), resamples, seed)]
    return scores_of(measured, np.concatenate(parts))


def scores_of(measured: Measured, sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The metric's scores [r] of many sums [r,k]."""
    return np.array([measured.metric.value(row) for row in sums.tolist()])


def draws(sentences: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each sentence is drawn, [r,n] at a time, until `resamples` rows have come."""
    chance = np.random.default_rng(seed)
    for rows in shares(resamples, sentences):
        drawn = chance.integers(0, sentences, (rows, sentences)) + sentences * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * sentences).reshape(rows, sentences).astype(np.float64)


def shares(resamples: int, sentences: int) -> Sequence[int]:
    """Resamples in parts whose sentences fit in memory."""
    most = max(1, _AT_ONCE // sentences)
    return [min(most, resamples - start) for start in range(0, resamples, most)]
