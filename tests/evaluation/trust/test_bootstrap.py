"""Intervals: what brute force and sacreBLEU itself find."""

import random

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER

from nmt_cli.evaluation.metrics import build_metrics, measure, score
from nmt_cli.evaluation.metrics.contract import Measured, Texts
from nmt_cli.evaluation.trust import bootstrap
from nmt_cli.evaluation.trust.bootstrap import draws, interval, resampled_scores
from nmt_cli.recipe.evaluation import Evaluation

SETTINGS = Evaluation(metrics=["bleu", "chrf", "ter", "exact_match", "per"])
WORDS = ["der", "Hund", "läuft", "über", "das", "grüne", "Gras", "."]


def corpus(sentences: int, seed: int = 1) -> tuple[list[str], list[str]]:
    """References, and hypotheses that share most words with them."""
    chance = random.Random(seed)
    references = [" ".join(chance.choices(WORDS, k=chance.randrange(3, 12))) for _ in range(sentences)]
    hypotheses = [
        " ".join(word if chance.random() < 0.8 else chance.choice(WORDS) for word in line.split())
        for line in references
    ]
    return hypotheses, references


def measured(sentences: int) -> list[Measured]:
    hypotheses, references = corpus(sentences)
    return measure(Texts(hypotheses, [references]), build_metrics(SETTINGS))


def test_resampled_scores_are_those_of_the_texts_drawn() -> None:
    hypotheses, references = corpus(5)
    chosen = np.random.default_rng(7).integers(0, 5, (20, 5))
    found = [resampled_scores(each, 20, 7) for each in measured(5)]
    for resample, lines in enumerate(chosen):
        drawn = score([hypotheses[line] for line in lines], [[references[line] for line in lines]], SETTINGS)
        assert [scores[resample] for scores in found] == pytest.approx([each.value for each in drawn], abs=1e-9)


def test_intervals_are_sacrebleus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    hypotheses, references = corpus(100)
    for each, theirs in zip(measured(100), [BLEU(force=True), CHRF(), TER()], strict=False):
        expected = theirs.corpus_score(hypotheses, [references], n_bootstrap=200)
        found = interval(each, 200, 12345)
        assert found.mean == pytest.approx(expected._mean, abs=1e-4)  # it sums in single precision
        assert found.half_width == pytest.approx(expected._ci, abs=1e-4)


def test_the_same_seed_draws_the_same_and_another_draws_others() -> None:
    [bleu, *_] = measured(30)
    assert interval(bleu, 50, 3) == interval(bleu, 50, 3)
    assert interval(bleu, 50, 3) != interval(bleu, 50, 4)


def test_large_sets_are_drawn_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(draws(31, 20, 1)))
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 70)
    parts = list(draws(31, 20, 1))
    assert [len(part) for part in parts] == [2] * 10
    assert np.array_equal(np.concatenate(parts), whole)
    assert set(whole.sum(axis=1)) == {31.0}


def test_an_interval_holds_its_score_and_narrows_with_more_sentences() -> None:
    few, many = (interval(measured(count)[1], 300, 1) for count in (20, 500))
    value = measured(500)[1].value
    assert many.low < value < many.high
    assert many.half_width < few.half_width / 2


def test_one_sentence_has_an_interval_without_width() -> None:
    found = interval(measured(1)[1], 10, 1)
    assert found.low == found.high == found.mean
