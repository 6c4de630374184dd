"""Is one system better than another on the same sentences? Two tests that ask how often chance does as much."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nmt_cli.evaluation.metrics.contract import Measured
from nmt_cli.evaluation.trust.bootstrap import resampled_scores, scores_of, shares

Method = Literal["bootstrap", "randomisation"]
Trained = Sequence[Measured]
"""What one metric found in the translations of one system, by each of its seeds; a system trained once has one."""

SIGNIFICANT = 0.05
"""Below this p, a difference counts as shown."""

_FEWEST = 6
"""Sentences: of fewer, 2 in 2^n exchanges make any difference, which is too often for one to be shown."""


def difference(first: Trained, second: Trained) -> float:
    """The second system's mean score less the first's."""
    return _mean(second) - _mean(first)


def paired_bootstrap(first: Trained, second: Trained, resamples: int, seed: int) -> float:
    """p of the difference by paired bootstrap resampling (Koehn 2004), as sacreBLEU and Moses compute it.

    How often do resampled differences exceed their mean by more than the difference that was seen? As signs are left
    out before the mean is taken, this calls more differences shown than its p says; the other test does not.
    Every seed of a system is scored on the same draws, and counts as much as the others.
    """
    seen = abs(difference(first, second))
    if seen == 0 or len(first[0].rows) < _FEWEST:
        return 1.0
    first_scores, second_scores = (
        np.mean([resampled_scores(measured, resamples, seed) for measured in system], axis=0)
        for system in (first, second)
    )
    differences = np.abs(second_scores - first_scores)
    return _p(differences - differences.mean() > seen)


def approximate_randomisation(first: Trained, second: Trained, resamples: int, seed: int) -> float:
    """p of the difference by approximate randomisation (Riezler & Maxwell 2005; over seeds Clark et al. 2011).

    Were the systems one, each sentence's translations could be dealt out anew: how often are they as far apart then?
    """
    seen = abs(difference(first, second))
    if seen == 0 or len(first[0].rows) < _FEWEST:
        return 1.0
    pool = [*first, *second]
    dealt = [scores_of(pool[0], sums) for sums in _dealt_sums(pool, resamples, seed)]
    apart = np.mean(dealt[len(first) :], axis=0) - np.mean(dealt[: len(first)], axis=0)
    as_far = np.abs(apart) >= seen - 1e-9  # ties count: where few sentences differ, many deals are the one seen
    return _p(as_far)


TESTS: dict[Method, Callable[[Trained, Trained, int, int], float]] = {
    "bootstrap": paired_bootstrap,
    "randomisation": approximate_randomisation,
}
"""From a name to what computes p of (first, second, resamples, seed)."""

RESAMPLES: dict[Method, int] = {"bootstrap": 1000, "randomisation": 10_000}
"""How many are usual; sacreBLEU's, too."""


@dataclass(frozen=True)
class PairedTest:
    """How systems are tested."""

    method: Method
    resamples: int
    seed: int

    def p(self, first: Trained, second: Trained) -> float:
        """How likely chance alone makes as large a difference."""
        return TESTS[self.method](first, second, self.resamples, self.seed)


def is_better(first: Trained, second: Trained, p: float) -> bool | None:
    """Whether the second system is better than the first (or worse); None if neither can be shown."""
    if p >= SIGNIFICANT:
        return None
    return (difference(first, second) > 0) != first[0].metric.lower_is_better


def _dealt_sums(pool: Trained, resamples: int, seed: int) -> list[NDArray[np.float64]]:
    """For each place in the pool, the sums [resamples,k] of what is dealt to it, sentence by sentence."""
    chance = np.random.default_rng(seed)
    sentences, places = len(pool[0].rows), range(len(pool))
    parts: list[list[NDArray[np.float64]]] = [[] for _ in places]
    for rows in shares(resamples, sentences * len(pool)):
        order = np.argsort(chance.random((rows, sentences, len(pool)), dtype=np.float32), axis=2)
        for place in places:
            given = [(order[:, :, place] == giver).astype(np.float64) @ pool[giver].rows for giver in places]
            parts[place].append(np.sum(given, axis=0))
    return [np.concatenate(part) for part in parts]


def _p(by_chance: NDArray[np.bool_]) -> float:
    """The share of resamples that did it by chance; what was seen is itself counted among them."""
    return (int(np.count_nonzero(by_chance)) + 1) / (len(by_chance) + 1)


def _mean(system: Trained) -> float:
    return sum(measured.value for measured in system) / len(system)
