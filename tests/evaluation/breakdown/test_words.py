"""Word frequency bands and n-gram differences."""

import pytest

from nmt_cli.evaluation.breakdown.words import (
    NgramCount,
    WordBand,
    compare_ngrams,
    count_words,
    frequency_band,
    min_word_count,
    word_bands,
)
from nmt_cli.evaluation.metrics.metric import EvaluationTexts


def test_count_words_counts_every_occurrence() -> None:
    assert count_words(["a b a", "", "a, b"]) == {"a": 3, "b": 2, ",": 1}


@pytest.mark.parametrize(
    ("count", "name"), [(0, "never"), (1, "1-9"), (9, "1-9"), (10, "10-99"), (999, "100-999"), (1000, "1000+")]
)
def test_frequency_band_at_the_limits(count: int, name: str) -> None:
    assert frequency_band(count) == name


def test_min_word_count_ignores_numbers_and_punctuation() -> None:
    word_counts = {"Hund": 50, "läuft": 7}
    assert min_word_count("Hund läuft 3.141 , …", word_counts) == 7
    assert min_word_count("Hund bellt", word_counts) == 0
    assert min_word_count("10 %", word_counts) is None


def test_word_bands_match_words_line_by_line() -> None:
    texts = EvaluationTexts(["a a b", "c"], [["a b x", "a"]])
    bands = {found.band: found for found in word_bands(texts, {"a": 5, "b": 20})}
    assert bands["1-9"] == WordBand("1-9", expected=2, produced=2, matched=1, f1=50.0)
    assert bands["10-99"] == WordBand("10-99", expected=1, produced=1, matched=1, f1=100.0)
    assert bands["never"] == WordBand("never", expected=1, produced=1, matched=0, f1=0.0)
    assert bands["1000+"].f1 is None


@pytest.mark.parametrize("reference", ["लड़का घर में है", "น้ำตกสวย", "cafe\u0301 là"])
def test_word_bands_and_rarest_word_keep_marks_with_their_letters(reference: str) -> None:
    word_counts = count_words([reference] * 5)
    bands = {found.band: found for found in word_bands(EvaluationTexts([reference], [[reference]]), word_counts)}
    assert bands["1-9"].matched == bands["1-9"].expected > 0
    assert min_word_count(reference, word_counts) == 5
    assert min_word_count(f"{reference} ไป", word_counts) == 0


def test_compare_ngrams_finds_repeated_and_missing_ngrams() -> None:
    found = compare_ngrams(EvaluationTexts(["a dog a dog runs"] * 3, [["a dog runs fast"] * 3]), 10)
    assert found.overproduced == [NgramCount("a dog a dog", 3, 0.0, 3.0), NgramCount("dog a dog runs", 3, 0.0, 3.0)]
    assert found.underproduced == [NgramCount("a dog runs fast", 0, 3.0, -3.0)]


def test_compare_ngrams_omits_parts_of_a_longer_ngram() -> None:
    found = compare_ngrams(EvaluationTexts(["x"], [["in front of"]]), 10)
    assert [each.ngram for each in found.underproduced] == ["in front of"]


def test_compare_ngrams_keeps_a_part_with_a_larger_surplus() -> None:
    found = compare_ngrams(EvaluationTexts(["x", "x"], [["the dog", "the cat"]]), 10)
    assert [(each.ngram, each.surplus) for each in found.underproduced] == [
        ("the", -2.0),
        ("the cat", -1.0),
        ("the dog", -1.0),
    ]


def test_compare_ngrams_averages_references() -> None:
    found = compare_ngrams(EvaluationTexts(["a"], [["a"], ["b"]]), 10)
    assert found.overproduced == [NgramCount("a", 1, 0.5, 0.5)]
    assert found.underproduced == [NgramCount("b", 0, 0.5, -0.5)]


@pytest.mark.parametrize("max_ngrams", [0, 2])
def test_compare_ngrams_returns_at_most_max_ngrams(max_ngrams: int) -> None:
    found = compare_ngrams(EvaluationTexts(["a", "b", "c"], [["d", "e", "f"]]), max_ngrams)
    assert (len(found.overproduced), len(found.underproduced)) == (max_ngrams, max_ngrams)


def test_compare_ngrams_of_equal_texts_is_empty() -> None:
    found = compare_ngrams(EvaluationTexts(["a b"], [["a b"]]), 10)
    assert (found.overproduced, found.underproduced) == ([], [])
