"""Confidence intervals and paired tests agree with brute force and with sacreBLEU."""

import itertools
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest as SacrebleuPairedTest

from nmt_cli.evaluation import significance
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics, score
from nmt_cli.evaluation.metrics.metric import EvaluationTexts, MeanMetric, MetricStatistics
from nmt_cli.evaluation.significance import (
    PairedTest,
    SignificanceMethod,
    approximate_randomisation,
    confidence_interval,
    draw_counts,
    is_better,
    paired_bootstrap,
    resampled_scores,
    score_difference,
    seed_p_value,
    with_intervals,
)
from nmt_cli.recipe.evaluation import Evaluation

ALL_METRICS = Evaluation(metrics=["bleu", "chrf", "ter", "exact_match", "per"])
SETTINGS = Evaluation(metrics=["bleu", "chrf", "ter"])
WORDS = ["der", "Hund", "läuft", "über", "das", "grüne", "Gras", "."]


def corpus(sentences: int, seed: int = 1) -> tuple[list[str], list[str]]:
    """Hypotheses and references that have most words in common."""
    rng = random.Random(seed)
    references = [" ".join(rng.choices(WORDS, k=rng.randrange(3, 12))) for _ in range(sentences)]
    hypotheses = [
        " ".join(word if rng.random() < 0.8 else rng.choice(WORDS) for word in line.split()) for line in references
    ]
    return hypotheses, references


def corpus_statistics(sentences: int) -> list[MetricStatistics]:
    hypotheses, references = corpus(sentences)
    return compute_statistics(EvaluationTexts(hypotheses, [references]), build_metrics(ALL_METRICS))


def test_resampled_scores_equal_scores_of_drawn_texts() -> None:
    hypotheses, references = corpus(5)
    chosen = np.random.default_rng(7).integers(0, 5, (20, 5))
    found = [resampled_scores(each, 20, 7) for each in corpus_statistics(5)]
    for resample, lines in enumerate(chosen):
        drawn = score([hypotheses[line] for line in lines], [[references[line] for line in lines]], ALL_METRICS)
        assert [scores[resample] for scores in found] == pytest.approx([each.value for each in drawn], abs=1e-9)


def test_confidence_interval_equals_sacrebleu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    hypotheses, references = corpus(100)
    for each, theirs in zip(corpus_statistics(100), [BLEU(force=True), CHRF(), TER()], strict=False):
        expected = theirs.corpus_score(hypotheses, [references], n_bootstrap=200)
        found = confidence_interval(each, 200, 12345)
        assert found.mean == pytest.approx(expected._mean, abs=1e-4)  # it sums in single precision
        assert found.half_width == pytest.approx(expected._ci, abs=1e-4)


def test_confidence_interval_depends_only_on_the_seed() -> None:
    [bleu, *_] = corpus_statistics(30)
    assert confidence_interval(bleu, 50, 3) == confidence_interval(bleu, 50, 3)
    assert confidence_interval(bleu, 50, 3) != confidence_interval(bleu, 50, 4)


def test_draw_counts_does_not_depend_on_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = np.concatenate(list(draw_counts(31, 20, 1)))
    monkeypatch.setattr(significance, "_MAX_DRAWN", 70)
    chunks = list(draw_counts(31, 20, 1))
    assert [len(chunk) for chunk in chunks] == [2] * 10
    assert np.array_equal(np.concatenate(chunks), expected)
    assert set(expected.sum(axis=1)) == {31.0}


def test_confidence_interval_contains_the_score_and_narrows_with_more_sentences() -> None:
    few, many = (confidence_interval(corpus_statistics(count)[1], 300, 1) for count in (20, 500))
    value = corpus_statistics(500)[1].value
    assert many.low < value < many.high
    assert many.half_width < few.half_width / 2


def test_confidence_interval_of_one_sentence_has_no_width() -> None:
    found = confidence_interval(corpus_statistics(1)[1], 10, 1)
    assert found.low == found.high == found.mean


def test_with_intervals_adds_intervals_unless_disabled() -> None:
    settings = SETTINGS.model_copy(update={"resamples": 20})
    statistics = corpus_statistics(30)[:3]
    for found in with_intervals(statistics, settings):
        assert found.interval is not None
        assert found.interval.low <= found.value <= found.interval.high
        assert found.as_sacrebleu()["bs"] == "20"
    plain = with_intervals(statistics, settings.model_copy(update={"resamples": None}))
    assert [found.interval for found in plain] == [None, None, None]
    assert "bs" not in plain[0].as_sacrebleu()
    [alone, *_] = with_intervals(corpus_statistics(1), settings)
    assert alone.interval is None


each_pair = pytest.mark.parametrize(
    ("accuracy", "seed"),
    [(0.8, 1), (0.82, 3), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in [(0.8, 2), (0.85, 4), (0.9, 5)])],
)
"""From a tiny to a clear difference."""


def references(sentences: int) -> list[str]:
    rng = random.Random(0)
    return [" ".join(rng.choices(WORDS, k=rng.randrange(3, 12))) for _ in range(sentences)]


def translated(sentences: int, accuracy: float, seed: int) -> list[str]:
    """Hypotheses with this share of correct words; the others are random."""
    rng = random.Random(seed)
    return [
        " ".join(word if rng.random() < accuracy else rng.choice(WORDS) for word in line.split())
        for line in references(sentences)
    ]


def system_statistics(hypotheses: Sequence[str]) -> list[MetricStatistics]:
    return compute_statistics(EvaluationTexts(hypotheses, [references(len(hypotheses))]), build_metrics(SETTINGS))


@each_pair
def test_paired_bootstrap_equals_sacrebleu(accuracy: float, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    first, second = translated(200, 0.8, 0), translated(200, accuracy, seed)
    metrics = {"BLEU": BLEU(force=True), "chrF2": CHRF(), "TER": TER()}
    _, expected = SacrebleuPairedTest([("a", first), ("b", second)], metrics, [references(200)], "bs", 300)()
    for a, b in zip(system_statistics(first), system_statistics(second), strict=True):
        p = paired_bootstrap([a], [b], 300, 12345)
        assert p == pytest.approx(expected[a.metric.name][1].p_value, abs=2 / 301)  # it sums in single precision


@each_pair
def test_approximate_randomisation_equals_sacrebleu_within_noise(accuracy: float, seed: int) -> None:
    first, second = translated(200, 0.8, 0), translated(200, accuracy, seed)
    metrics = {"BLEU": BLEU(force=True), "chrF2": CHRF(), "TER": TER()}
    _, expected = SacrebleuPairedTest([("a", first), ("b", second)], metrics, [references(200)], "ar", 500)()
    for a, b in zip(system_statistics(first), system_statistics(second), strict=True):
        p = approximate_randomisation([a], [b], 500, 1)
        theirs = expected[a.metric.name][1].p_value
        assert abs(p - theirs) <= 4 * np.sqrt(2 * max(theirs, 1 / 500) / 500)  # four standard errors


def test_paired_bootstrap_equals_brute_force() -> None:
    first, second, expected = translated(6, 0.5, 1), translated(6, 0.9, 2), references(6)
    chosen = np.random.default_rng(5).integers(0, 6, (40, 6))

    def values(hypotheses: list[str], lines: Sequence[int]) -> np.ndarray:
        drawn = [hypotheses[line] for line in lines], [[expected[line] for line in lines]]
        return np.array([each.value for each in score(*drawn, SETTINGS)])

    differences = np.abs([values(second, lines) - values(first, lines) for lines in chosen])
    observed = np.abs(values(second, range(6)) - values(first, range(6)))
    by_hand = (np.count_nonzero(differences - differences.mean(axis=0) > observed, axis=0) + 1) / 41
    pairs = zip(system_statistics(first), system_statistics(second), strict=True)
    found = [paired_bootstrap([a], [b], 40, 5) for a, b in pairs]
    assert found == pytest.approx(by_hand)


def test_approximate_randomisation_approaches_the_exact_test() -> None:
    first, second, expected = translated(6, 0.5, 1), translated(6, 0.8, 2), references(6)
    a, b = system_statistics(first)[1], system_statistics(second)[1]
    chrf = SETTINGS.model_copy(update={"metrics": ["chrf"]})
    observed, as_far = abs(score_difference([a], [b])), 0
    for swapped in itertools.product([False, True], repeat=6):
        one = [y if swap else x for x, y, swap in zip(first, second, swapped, strict=True)]
        other = [x if swap else y for x, y, swap in zip(first, second, swapped, strict=True)]
        differences = score(one, [expected], chrf)[0].value - score(other, [expected], chrf)[0].value
        as_far += abs(differences) >= observed - 1e-9
    found = approximate_randomisation([a], [b], 20_000, 1)
    assert found == pytest.approx(as_far / 2**6, abs=0.02)


@pytest.mark.parametrize("method", ["bootstrap", "randomisation"])
def test_p_value_of_equal_systems_is_one(method: SignificanceMethod) -> None:
    same = system_statistics(translated(20, 0.8, 1))
    p = PairedTest(method, 100, 1).p_value([same[0]], [same[0]])
    assert p == 1.0
    assert is_better([same[0]], [same[0]], p) is None


@pytest.mark.slow
def test_few_different_sentences_are_not_significant() -> None:
    first = references(1000)
    for changed in range(1, 5):
        second = ["Hund"] * changed + first[changed:]
        for a, b in zip(system_statistics(first), system_statistics(second), strict=True):
            p = approximate_randomisation([a], [b], 2000, 1)
            assert p == pytest.approx(2 / 2**changed, abs=0.05)
            assert is_better([a], [b], p) is None


@pytest.mark.parametrize("method", ["bootstrap", "randomisation"])
@pytest.mark.parametrize("sentences", [1, 2, 5])
def test_fewer_than_six_sentences_are_never_significant(method: SignificanceMethod, sentences: int) -> None:
    good, poor = system_statistics(references(sentences)), system_statistics(["x"] * sentences)
    for a, b in zip(good, poor, strict=True):
        assert is_better([a], [b], PairedTest(method, 1000, 1).p_value([a], [b])) is None


@pytest.mark.parametrize("method", ["bootstrap", "randomisation"])
def test_is_better_for_higher_and_lower_is_better_metrics(method: SignificanceMethod) -> None:
    worse, better = system_statistics(translated(100, 0.3, 1)), system_statistics(translated(100, 0.95, 2))
    for a, b in zip(worse, better, strict=True):
        p = PairedTest(method, 200, 1).p_value([a], [b])
        assert p == pytest.approx(1 / 201)
        assert is_better([a], [b], p) is True
        assert is_better([b], [a], p) is False
        assert is_better([a], [b], 0.0499) is True
        assert is_better([a], [b], 0.05) is None


def test_approximate_randomisation_rarely_rejects_equal_systems() -> None:
    rejected, rng = 0, np.random.default_rng(1)
    a, b = (system_statistics(translated(40, 0.8, seed))[1] for seed in (1, 2))
    for seed in range(100):
        swapped = rng.integers(0, 2, (40, 1)).astype(bool)
        exchanged = np.where(swapped, a.rows, b.rows), np.where(swapped, b.rows, a.rows)
        one, other = (MetricStatistics(a.metric, rows, "") for rows in exchanged)
        rejected += approximate_randomisation([one], [other], 200, seed) < 0.05
    assert rejected <= 12  # 5 are expected; more than 12 occur with p < 0.001


@pytest.mark.parametrize("method", ["bootstrap", "randomisation"])
def test_p_value_uses_all_runs_of_a_system(method: SignificanceMethod) -> None:
    first = [system_statistics(translated(60, 0.7, seed))[1] for seed in range(3)]
    second = [system_statistics(translated(60, 0.9, seed))[1] for seed in range(10, 12)]
    test = PairedTest(method, 200, 1)
    assert score_difference(first, second) == pytest.approx(
        np.mean([each.value for each in second]) - np.mean([each.value for each in first])
    )
    assert test.p_value(first, second) < 0.05
    assert test.p_value(first, [first[1], first[0], first[2]]) == 1.0


def test_paired_bootstrap_is_unchanged_by_identical_runs() -> None:
    a, b = system_statistics(translated(50, 0.8, 1))[1], system_statistics(translated(50, 0.84, 2))[1]
    assert paired_bootstrap([a, a], [b, b, b], 200, 1) == paired_bootstrap([a], [b], 200, 1)


def runs(*scores: float) -> list[MetricStatistics]:
    """Training runs of a system whose every sentence has the score of the run."""
    metric = MeanMetric("x", "X", lambda texts: [0.0], "x:x")
    return [MetricStatistics(metric, np.array([[score, 1.0]] * 100), "x:x") for score in scores]


@pytest.mark.parametrize("sizes", [(2, 1), (2, 2), (3, 1), (3, 3), (5, 2), (9, 1), (12, 12)])
def test_seed_p_value_equals_the_integral_of_students_t(sizes: tuple[int, int]) -> None:
    rng = random.Random(sum(sizes))
    first, second = ([rng.gauss(mean, 1) for _ in range(size)] for mean, size in zip((0, 1), sizes, strict=True))
    freedom = sum(sizes) - 2
    squares = sum((value - np.mean(each)) ** 2 for each in (first, second) for value in each)
    error = np.sqrt(squares / freedom * sum(1 / size for size in sizes))
    t = abs(np.mean(second) - np.mean(first)) / error
    x = np.linspace(0, t, 100_001)
    factor = math.gamma((freedom + 1) / 2) / math.sqrt(freedom * math.pi) / math.gamma(freedom / 2)
    inside = 2 * np.trapezoid(factor * (1 + x**2 / freedom) ** (-(freedom + 1) / 2), x)
    assert seed_p_value(runs(*first), runs(*second)) == pytest.approx(1 - inside, abs=1e-6)


def test_seed_p_value_of_single_or_identical_runs() -> None:
    assert seed_p_value(runs(1.0), runs(2.0)) is None
    assert seed_p_value(runs(1.0, 1.0), runs(2.0)) == 0
    assert seed_p_value(runs(1.0, 1.0), runs(1.0)) == 1


def test_a_difference_within_the_spread_over_seeds_is_not_significant() -> None:
    assert is_better(runs(7.0), runs(13.1, 7.0, 7.0), p=0.0005) is None
    assert is_better(runs(7.0), runs(13.1), p=0.0005) is True
    assert is_better(runs(37.2, 37.3, 37.1), runs(39.4, 39.6, 39.5), p=0.0005) is True
    assert is_better(runs(39.5), runs(37.2, 37.3, 37.1), p=0.0005) is False
