"""Exact match, error rates, ROUGE and METEOR."""

import importlib.util
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nmt_cli.errors import RecipeError
from nmt_cli.evaluation.metrics import build_metrics, compute_statistics, score, sentence_metrics
from nmt_cli.evaluation.metrics.metric import EvaluationTexts
from nmt_cli.evaluation.metrics.sentence_metrics import edit_distance
from nmt_cli.recipe.evaluation import Evaluation

RATES = Evaluation(metrics=["exact_match", "wer", "per"])
SYMBOLS = some.text("abc", max_size=6)
ROUGE = Evaluation(metrics=["rouge1", "rouge2", "rougeL"])
needs_rouge = pytest.mark.skipif(importlib.util.find_spec("rouge_score") is None, reason="rouge-score is not installed")
needs_nltk = pytest.mark.skipif(importlib.util.find_spec("nltk") is None, reason="nltk is not installed")


def values(hypotheses: list[str], *references: list[str]) -> list[float]:
    return [found.value for found in score(hypotheses, references, RATES)]


def test_error_rates_of_a_small_example() -> None:
    hypotheses = ["a p s ɑ̃ t e", "a b e", "x"]
    references = ["a p s ɑ̃ t e", "a b e s e", "y z"]
    # one of three lines is right; 0 + 2 + 2 edits for 6 + 5 + 2 symbols
    assert values(hypotheses, references) == pytest.approx([100 / 3, 200 / 3, 100 * 4 / 13])


def test_exact_match_and_wer_sum_to_a_hundred() -> None:
    exact, wrong, _ = values(["a", "b", "c", "d"], ["a", "x", "c", "y"])
    assert exact + wrong == 100


def test_error_rates_accept_any_reference() -> None:
    assert values(["a b c"], ["x y"], ["a b c"]) == [100, 0, 0]


def test_per_uses_the_reference_with_fewest_edits_per_symbol() -> None:
    assert values(["a b c d"], ["a b"], ["a b c x"])[2] == 25  # 2 edits for 2 symbols, or 1 for 4
    assert values(["a b"], ["a"], ["a b c d"])[2] == 50  # 1 edit for 1 symbol, or 2 for 4


def test_error_rates_of_empty_lines() -> None:
    assert values([""], [""]) == [100, 0, 0]
    assert values(["a"], [""]) == [0, 100, 100]


def test_signatures_contain_the_unit() -> None:
    signatures = {found.key: found.signature for found in score(["a"], [["a"]], RATES)}
    assert "unit:line" in signatures["wer"]
    assert "unit:symbol" in signatures["per"]


def recursive_edit_distance(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """The definition of the Levenshtein distance."""

    @cache
    def between(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        substituted = between(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(substituted, between(i - 1, j) + 1, between(i, j - 1) + 1)

    return between(len(first), len(second))


@given(SYMBOLS, SYMBOLS)
def test_edit_distance_equals_its_definition(first: str, second: str) -> None:
    assert edit_distance(first, second) == recursive_edit_distance(tuple(first), tuple(second))


class NoSynonyms:
    """A WordNet without words."""

    def synsets(self, word: str) -> list[Any]:
        return []


@pytest.mark.parametrize(("key", "package"), [("rouge1", "rouge-score"), ("rougeL", "rouge-score"), ("meteor", "nltk")])
def test_build_metrics_names_a_missing_package(monkeypatch: pytest.MonkeyPatch, key: str, package: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=rf"{key} .*{package}.*'nmt-cli\[metrics\]'"):
        build_metrics(Evaluation(metrics=[key]))


def test_lowercase_words_of_any_script() -> None:
    assert sentence_metrics.lowercase_words("Über 10,5 Hunde_läufe…") == ["über", "10", "5", "hunde", "läufe"]


@needs_rouge
def test_rouge_equals_rouge_score_on_english() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    hypotheses, references = (
        ["The cat sat there on the mat.", "Nobody, ever!"],
        ["The cat sat on a mat.", "ever nobody"],
    )
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])
    found = {each.key: each.value for each in score(hypotheses, [references], ROUGE)}
    pairs = list(zip(references, hypotheses, strict=True))
    for key, value in found.items():
        expected = [scorer.score(*pair)[key].fmeasure for pair in pairs]
        assert value == pytest.approx(100 * sum(expected) / 2, abs=1e-9)


@needs_rouge
def test_rouge_counts_non_ascii_letters() -> None:
    [found, *_] = score(["Über Öl"], [["Über Äcker"]], ROUGE)
    assert found.value == pytest.approx(50)


@needs_rouge
def test_rouge_uses_the_best_reference() -> None:
    assert [found.value for found in score(["a b c"], [["x"], ["a b c"]], ROUGE)] == [100, 100, 100]


@needs_nltk
def test_meteor_of_equal_lines() -> None:
    same = ["a", "cat", "sat", "on", "the", "mat"]
    metric = sentence_metrics.meteor_with(NoSynonyms())
    [found] = compute_statistics(EvaluationTexts([" ".join(same), "x"], [[" ".join(same), "y"]]), [metric])
    assert found.value == pytest.approx((100 * (1 - 0.5 / len(same) ** 3) + 0) / 2)
    assert "synonyms:wordnet" in found.signature


@needs_rouge
@pytest.mark.parametrize(("hypothesis", "reference"), [("लड़का", "लड़की"), ("กำ", "กั"), ("मैं", "में")])
def test_rouge_distinguishes_words_that_differ_in_a_mark(hypothesis: str, reference: str) -> None:
    assert [each.value for each in score([hypothesis], [[reference]], Evaluation(metrics=["rouge1"]))] == [0]
    assert [each.value for each in score([hypothesis], [[hypothesis]], Evaluation(metrics=["rouge1"]))] == [100]


@needs_nltk
def test_meteor_distinguishes_words_that_differ_in_a_mark() -> None:
    metric = sentence_metrics.meteor_with(NoSynonyms())
    assert metric.score_sentences(EvaluationTexts(["लड़का गया"], [["लड़की गया"]]))[0] < 60
