"""Paired tests: what brute force and sacreBLEU itself find."""

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest as Sacrebleus

from nmt_cli.evaluation.metrics import build_metrics, measure, score
from nmt_cli.evaluation.metrics.contract import Measured, Texts
from nmt_cli.evaluation.trust.paired import (
    Method,
    PairedTest,
    approximate_randomisation,
    difference,
    is_better,
    paired_bootstrap,
)
from nmt_cli.recipe.evaluation import Evaluation

SETTINGS = Evaluation(metrics=["bleu", "chrf", "ter"])
WORDS = ["der", "Hund", "läuft", "über", "das", "grüne", "Gras", "."]


each_pair = pytest.mark.parametrize(
    ("right", "seed"),
    [(0.8, 1), (0.82, 3), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in [(0.8, 2), (0.85, 4), (0.9, 5)])],
)
"""From hardly any difference to a clear one."""


def references(sentences: int) -> list[str]:
    chance = random.Random(0)
    return [" ".join(chance.choices(WORDS, k=chance.randrange(3, 12))) for _ in range(sentences)]


def translated(sentences: int, right: float, seed: int) -> list[str]:
    """Hypotheses of which so large a share of words is right, and others by chance."""
    chance = random.Random(seed)
    return [
        " ".join(word if chance.random() < right else chance.choice(WORDS) for word in line.split())
        for line in references(sentences)
    ]


def measured(hypotheses: Sequence[str]) -> list[Measured]:
    return measure(Texts(hypotheses, [references(len(hypotheses))]), build_metrics(SETTINGS))


@each_pair
def test_the_paired_bootstrap_is_sacrebleus(right: float, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    first, second = translated(200, 0.8, 0), translated(200, right, seed)
    metrics = {"BLEU": BLEU(force=True), "chrF2": CHRF(), "TER": TER()}
    _, expected = Sacrebleus([("a", first), ("b", second)], metrics, [references(200)], "bs", 300)()
    for a, b in zip(measured(first), measured(second), strict=True):
        p = paired_bootstrap([a], [b], 300, 12345)
        assert p == pytest.approx(expected[a.metric.name][1].p_value, abs=2 / 301)  # it sums in single precision


@each_pair
def test_approximate_randomisation_is_sacrebleus_within_noise(right: float, seed: int) -> None:
    first, second = translated(200, 0.8, 0), translated(200, right, seed)
    metrics = {"BLEU": BLEU(force=True), "chrF2": CHRF(), "TER": TER()}
    _, expected = Sacrebleus([("a", first), ("b", second)], metrics, [references(200)], "ar", 500)()
    for a, b in zip(measured(first), measured(second), strict=True):
        p = approximate_randomisation([a], [b], 500, 1)
        theirs = expected[a.metric.name][1].p_value
        assert abs(p - theirs) <= 4 * np.sqrt(2 * max(theirs, 1 / 500) / 500)  # four standard errors


def test_the_paired_bootstrap_is_what_brute_force_finds() -> None:
    first, second, expected = translated(6, 0.5, 1), translated(6, 0.9, 2), references(6)
    chosen = np.random.default_rng(5).integers(0, 6, (40, 6))

    def values(hypotheses: list[str], lines: Sequence[int]) -> np.ndarray:
        drawn = [hypotheses[line] for line in lines], [[expected[line] for line in lines]]
        return np.array([each.value for each in score(*drawn, SETTINGS)])

    apart = np.abs([values(second, lines) - values(first, lines) for lines in chosen])
    seen = np.abs(values(second, range(6)) - values(first, range(6)))
    by_hand = (np.count_nonzero(apart - apart.mean(axis=0) > seen, axis=0) + 1) / 41
    found = [paired_bootstrap([a], [b], 40, 5) for a, b in zip(measured(first), measured(second), strict=True)]
    assert found == pytest.approx(by_hand)


def test_approximate_randomisation_nears_the_share_of_all_exchanges() -> None:
    first, second, expected = translated(6, 0.5, 1), translated(6, 0.8, 2), references(6)
    a, b = measured(first)[1], measured(second)[1]
    chrf = SETTINGS.model_copy(update={"metrics": ["chrf"]})
    seen, as_far = abs(difference([a], [b])), 0
    for swapped in itertools.product([False, True], repeat=6):
        one = [y if swap else x for x, y, swap in zip(first, second, swapped, strict=True)]
        other = [x if swap else y for x, y, swap in zip(first, second, swapped, strict=True)]
        apart = score(one, [expected], chrf)[0].value - score(other, [expected], chrf)[0].value
        as_far += abs(apart) >= seen - 1e-9
    found = approximate_randomisation([a], [b], 20_000, 1)
    assert found == pytest.approx(as_far / 2**6, abs=0.02)


@pytest.mark.parametrize("method", ["bootstrap", "randomisation"])
def test_a_system_is_no_better_than_itself(method: Method) -> None:
    same = measured(translated(20, 0.8, 1))
    p = PairedTest(method, 100, 1).p([same[0]], [same[0]])
    assert p == 1.0
    assert is_better([same[0]], [same[0]], p) is None


@pytest.mark.slow
def test_systems_that_differ_on_few_sentences_are_not_told_apart() -> None:
    first = references(1000)
    for changed in range(1, 5):
        second = ["Hund"] * changed + first[changed:]
        for a, b in zip(measured(first), measured(second), strict=True):
            p = approximate_randomisation([a], [b], 2000, 1)
            assert p == pytest.approx(2 / 2**changed, abs=0.05)
            assert is_better([a], [b], p) is None


@pytest.mark.parametrize("method", ["bootstrap", "randomisation"])
@pytest.mark.parametrize("sentences", [1, 2, 5])
def test_a_handful_of_sentences_shows_no_difference(method: Method, sentences: int) -> None:
    good, poor = measured(references(sentences)), measured(["x"] * sentences)
    for a, b in zip(good, poor, strict=True):
        assert is_better([a], [b], PairedTest(method, 1000, 1).p([a], [b])) is None


@pytest.mark.parametrize("method", ["bootstrap", "randomisation"])
def test_a_much_better_system_is_shown_to_be_by_errors_too(method: Method) -> None:
    worse, better = measured(translated(100, 0.3, 1)), measured(translated(100, 0.95, 2))
    for a, b in zip(worse, better, strict=True):
        p = PairedTest(method, 200, 1).p([a], [b])
        assert p == pytest.approx(1 / 201)
        assert is_better([a], [b], p) is True
        assert is_better([b], [a], p) is False


def test_chance_is_rarely_taken_for_a_difference_by_randomisation() -> None:
    shown, chance = 0, np.random.default_rng(1)
    a, b = (measured(translated(40, 0.8, seed))[1] for seed in (1, 2))
    for seed in range(100):
        swapped = chance.integers(0, 2, (40, 1)).astype(bool)
        one, other = (Measured(a.metric, np.where(swapped, *rows), "") for rows in ((a.rows, b.rows), (b.rows, a.rows)))
        shown += approximate_randomisation([one], [other], 200, seed) < 0.05
    assert shown <= 12  # 5 are expected; more come less than once in a thousand times


@pytest.mark.parametrize("method", ["bootstrap", "randomisation"])
def test_seeds_of_a_system_count_together(method: Method) -> None:
    first = [measured(translated(60, 0.7, seed))[1] for seed in range(3)]
    second = [measured(translated(60, 0.9, seed))[1] for seed in range(10, 12)]
    test = PairedTest(method, 200, 1)
    assert difference(first, second) == pytest.approx(
        np.mean([each.value for each in second]) - np.mean([each.value for each in first])
    )
    assert test.p(first, second) < 0.05
    assert test.p(first, [first[1], first[0], first[2]]) == 1.0


def test_more_seeds_that_are_the_same_change_nothing() -> None:
    a, b = measured(translated(50, 0.8, 1))[1], measured(translated(50, 0.84, 2))[1]
    assert paired_bootstrap([a, a], [b, b, b], 200, 1) == paired_bootstrap([a], [b], 200, 1)
