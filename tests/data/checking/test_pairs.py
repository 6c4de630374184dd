"""Checks of empty, identical, misaligned and long sides."""

import random
import re
from collections.abc import Callable

import pytest

from nmt_cli.data.checking.pairs import (
    BINS,
    LengthHistogram,
    bin_labels,
    check_alignment,
    check_empty_sides,
    check_identical_sides,
    check_lengths,
)
from nmt_cli.data.checking.sampling import CorpusSample, Pair

Make = Callable[..., list[Pair]]
Sampled = Callable[..., CorpusSample]


def test_good_pairs_have_no_findings(pairs: Make, sampled: Sampled) -> None:
    good = sampled(pairs(5000))
    assert not check_empty_sides(good)
    assert not check_identical_sides(good)
    assert not check_alignment(good)


def test_corpus_without_usable_pairs_is_an_error(sampled: Sampled) -> None:
    assert [found.level for found in check_empty_sides(sampled([]))] == ["error"]
    assert [found.level for found in check_empty_sides(sampled([("a", ""), (" ", "b")]))] == ["error"]


def test_many_empty_sides_are_a_warning(pairs: Make, sampled: Sampled) -> None:
    (found,) = check_empty_sides(sampled([*pairs(90), *[("a", "")] * 10]))
    assert found.level == "warning"
    assert "10 %" in found.message


def test_many_identical_sides_are_a_warning(pairs: Make, sampled: Sampled) -> None:
    copied = [(source, source.upper()) for source, _ in pairs(50)]
    (found,) = check_identical_sides(sampled([*pairs(150), *copied]))
    assert "25 %" in found.message


def test_identical_sides_in_one_language_have_no_findings(pairs: Make, sampled: Sampled) -> None:
    assert not check_identical_sides(sampled([(source, source) for source, _ in pairs(200)], ("en", "en-GB")))


def test_identical_numbers_have_no_findings(sampled: Sampled) -> None:
    assert not check_identical_sides(sampled([(str(n), str(n)) for n in range(500)]))


def test_shuffled_side_is_a_warning(pairs: Make, sampled: Sampled) -> None:
    sources, targets = zip(*pairs(5000), strict=True)
    shuffled = random.Random(1).sample(targets, len(targets))
    (found,) = check_alignment(sampled(list(zip(sources, shuffled, strict=True))))
    assert found.level == "warning"


@pytest.mark.parametrize("lag", [1, -2])
def test_shifted_side_is_an_error(lag: int, pairs: Make, sampled: Sampled) -> None:
    sources, targets = zip(*pairs(5000), strict=True)
    shifted = list(zip(sources, targets[-lag:] + targets[:-lag], strict=True))
    (found,) = check_alignment(sampled(shifted))
    assert found.level == "error"
    assert f"n{lag:+}" in found.message


@pytest.mark.parametrize("break_line", [1000, 1390, 2100, 4100])
@pytest.mark.parametrize("side", [0, 1])
def test_missing_line_is_located(break_line: int, side: int, pairs: Make, sampled: Sampled) -> None:
    sides = list(map(list, zip(*pairs(5000), strict=True)))
    del sides[side][break_line]
    (found,) = check_alignment(sampled(list(zip(*sides, strict=False))))
    assert found.level == "error"
    assert ("n+1", "n-1")[side] in found.message
    line = int(re.search(r"line ([\d,]+)", found.message)[1].replace(",", ""))
    assert abs(line - break_line) <= 5


def test_lines_of_another_text_from_some_line_on_are_located(pairs: Make, sampled: Sampled) -> None:
    sources, targets = map(list, zip(*pairs(5000), strict=True))
    shuffled = targets[:3000] + random.Random(1).sample(targets[3000:], 2000)
    (found,) = check_alignment(sampled(list(zip(sources, shuffled, strict=True))))
    line = int(re.search(r"line ([\d,]+)", found.message)[1].replace(",", ""))
    assert abs(line - 3000) <= 10


def test_too_few_pairs_or_constant_lengths_have_no_findings(pairs: Make, sampled: Sampled) -> None:
    sources, targets = zip(*pairs(300), strict=True)
    assert not check_alignment(sampled(list(zip(sources, reversed(targets), strict=True))))
    assert not check_alignment(sampled([("same", "dasselbe")] * 1000))


def histogram_of(lengths: list[int]) -> LengthHistogram:
    return LengthHistogram.of("data.train.news", "source", "tokens", lengths)


def test_histogram_counts_each_line_once() -> None:
    histogram = histogram_of([1, 4, 5, 9, 10, 19, 20, 160, 1000, 3])
    assert histogram.fractions == pytest.approx([0.3, 0.2, 0.2, 0.1, 0.0, 0.0, 0.2])
    assert histogram.mean == pytest.approx(123.1)


@pytest.mark.parametrize("unit", BINS)
def test_each_bin_has_a_label(unit: str) -> None:
    assert len(bin_labels(unit)) == len(BINS[unit]) == len(LengthHistogram.of("x", "source", unit, [1]).fractions)


def test_histogram_of_no_lines() -> None:
    assert histogram_of([]).mean == 0
    assert sum(histogram_of([]).fractions) == 0


def test_pairs_that_are_too_long_are_counted_once() -> None:
    (found,) = check_lengths("data.train.news", [], [20] * 990 + [300] * 10, max_length=200)
    assert found.level == "fact"
    assert "1.0 %" in found.message
    assert not check_lengths("data.train.news", [histogram_of([20] * 100)], [20] * 100, max_length=200)


def test_many_pairs_that_are_too_long_are_a_warning() -> None:
    (found,) = check_lengths("data.train.news", [], [20] * 95 + [201] * 5, max_length=200)
    assert found.level == "warning"
    assert re.search(r"5\.0 %.* 200 ", found.message)


def test_paragraphs_are_a_warning() -> None:
    (found,) = check_lengths("data.train.news", [histogram_of([150] * 100)], [150] * 100, max_length=200)
    assert "source" in found.message
