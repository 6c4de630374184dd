"""Lengths are counted in bins; lines that are too long for training, or no sentences, are found."""

import pytest

from nmt_cli.data.checking.lengths import BINS, Histogram, histogram, labels, too_long


def of(lengths: list[int]) -> Histogram:
    return histogram("data.train.news", "source", "tokens", lengths)


def test_each_line_is_in_one_bin() -> None:
    shown = of([1, 4, 5, 9, 10, 19, 20, 160, 1000, 3])
    assert shown.shares == pytest.approx([0.3, 0.2, 0.2, 0.1, 0.0, 0.0, 0.2])
    assert shown.mean == pytest.approx(123.1)


@pytest.mark.parametrize("unit", BINS)
def test_each_bin_has_a_name(unit: str) -> None:
    assert len(labels(unit)) == len(BINS[unit]) == len(histogram("x", "source", unit, [1]).shares)


def test_nothing_has_no_lengths() -> None:
    assert of([]).mean == 0
    assert sum(of([]).shares) == 0


def test_sentences_are_left_alone() -> None:
    assert not too_long([of([20] * 990 + [300] * 10)], max_length=200)


def test_many_lines_that_are_too_long_are_a_warning() -> None:
    (found,) = too_long([of([20] * 95 + [201] * 5)], max_length=200)
    assert "5.0 % of the pairs has more than 200 tokens" in found.what


def test_paragraphs_are_a_warning() -> None:
    (found,) = too_long([of([150] * 100)], max_length=200)
    assert "half of the source lines have more than" in found.what


def test_characters_are_not_compared_with_a_limit_in_tokens() -> None:
    assert not too_long([histogram("x", "source", "characters", [500] * 100)], max_length=200)
