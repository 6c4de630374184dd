"""Exact matches and the error rates of grapheme-to-phoneme conversion."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nmt_cli.evaluation.metrics import score
from nmt_cli.evaluation.metrics.matching import edits
from nmt_cli.recipe.evaluation import Evaluation

RATES = Evaluation(metrics=["exact_match", "wer", "per"])
SYMBOLS = some.text("abc", max_size=6)


def values(hypotheses: list[str], *references: list[str]) -> list[float]:
    return [found.value for found in score(hypotheses, references, RATES)]


def test_rates_are_counted_by_hand() -> None:
    hypotheses = ["a p s ɑ̃ t e", "a b e", "x"]
    references = ["a p s ɑ̃ t e", "a b e s e", "y z"]
    # one of three is right; 0 + 2 + 2 edits for 6 + 5 + 2 symbols
    assert values(hypotheses, references) == pytest.approx([100 / 3, 200 / 3, 100 * 4 / 13])


def test_word_errors_and_exact_matches_are_a_hundred_together() -> None:
    exact, wrong, _ = values(["a", "b", "c", "d"], ["a", "x", "c", "y"])
    assert exact + wrong == 100


def test_any_one_reference_will_do() -> None:
    assert values(["a b c"], ["x y"], ["a b c"]) == [100, 0, 0]


def test_the_closest_reference_counts_for_its_own_length() -> None:
    assert values(["a b c d"], ["a b"], ["a b c x"])[2] == 25  # 2 edits for 2 symbols, or 1 for 4
    assert values(["a b"], ["a"], ["a b c d"])[2] == 50  # 1 edit for 1 symbol, or 2 for 4


def test_nothing_expected_and_nothing_produced_is_no_error() -> None:
    assert values([""], [""]) == [100, 0, 0]
    assert values(["a"], [""]) == [0, 100, 100]


def test_signatures_tell_the_unit() -> None:
    signatures = {found.key: found.signature for found in score(["a"], [["a"]], RATES)}
    assert "unit:line" in signatures["wer"]
    assert "unit:symbol" in signatures["per"]


def slow_edits(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Levenshtein's distance as it is defined."""

    @cache
    def between(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        substituted = between(i - 1, j - 1) + (first[i - 1] != second[j - 1])
        return min(substituted, between(i - 1, j) + 1, between(i, j - 1) + 1)

    return between(len(first), len(second))


@given(SYMBOLS, SYMBOLS)
def test_edits_are_those_of_the_definition(first: str, second: str) -> None:
    assert edits(first, second) == slow_edits(tuple(first), tuple(second))
