"""Phrases produced too often and too rarely."""

import pytest

from nmt_cli.evaluation.metrics.contract import Texts
from nmt_cli.evaluation.where.ngrams import Ngram, ngrams


def test_what_is_repeated_and_what_is_missing_is_found() -> None:
    found = ngrams(Texts(["a dog a dog runs"] * 3, [["a dog runs fast"] * 3]), str.split, 10)
    assert found.too_often == [Ngram("a dog a dog", 3, 0.0, 3.0), Ngram("dog a dog runs", 3, 0.0, 3.0)]
    assert found.too_rarely == [Ngram("a dog runs fast", 0, 3.0, -3.0)]


def test_parts_of_a_longer_phrase_are_not_told_again() -> None:
    found = ngrams(Texts(["x"], [["in front of"]]), str.split, 10)
    assert [phrase.words for phrase in found.too_rarely] == ["in front of"]


def test_a_word_that_stands_elsewhere_too_is_told() -> None:
    found = ngrams(Texts(["x", "x"], [["the dog", "the cat"]]), str.split, 10)
    assert [(phrase.words, phrase.surplus) for phrase in found.too_rarely] == [
        ("the", -2.0),
        ("the cat", -1.0),
        ("the dog", -1.0),
    ]


def test_several_references_are_averaged() -> None:
    found = ngrams(Texts(["a"], [["a"], ["b"]]), str.split, 10)
    assert found.too_often == [Ngram("a", 1, 0.5, 0.5)]
    assert found.too_rarely == [Ngram("b", 0, 0.5, -0.5)]


@pytest.mark.parametrize("shown", [0, 2])
def test_no_more_are_told_than_wanted(shown: int) -> None:
    found = ngrams(Texts(["a", "b", "c"], [["d", "e", "f"]]), str.split, shown)
    assert (len(found.too_often), len(found.too_rarely)) == (shown, shown)


def test_the_same_text_holds_nothing_too_often() -> None:
    found = ngrams(Texts(["a b"], [["a b"]]), str.split, 10)
    assert (found.too_often, found.too_rarely) == ([], [])
