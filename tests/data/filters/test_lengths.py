"""Sides that are empty, too short, too long, or too long for the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.data.filters import HeldOut, Rows, build_filters
from nmt_cli.data.filters.lengths import Length, Ratio
from nmt_cli.recipe.data.filters import LengthFilter, RatioFilter
from nmt_cli.text.checks.checker import is_far_longer
from nmt_cli.text.lines import is_blank

NONE = HeldOut.of()
texts = st.lists(st.text(st.sampled_from("ab 漢語ü7\u200b\xa0"), max_size=40), min_size=1, max_size=20)


@given(texts)
def test_pairs_with_a_blank_side_are_dropped(lines: list[str]) -> None:
    (empty,) = build_filters([], ("en", "de"), NONE)
    rows = Rows(lines, lines[::-1])

    assert empty(rows).tolist() == [
        not any(map(is_blank, pair)) for pair in zip(rows.sources, rows.targets, strict=True)
    ]


@pytest.mark.parametrize(
    ("source", "target", "is_kept"),
    [
        ("abc", "abcde", True),
        ("ab", "abcd", False),
        ("abcd", "ab", False),
        ("abcdef", "abc", False),
        ("äöü", "äöü", True),
    ],
)
def test_either_side_may_be_too_short_or_too_long(source: str, target: str, is_kept: bool) -> None:
    length = Length(LengthFilter(fewest=3, most=5), ("en", "de"), NONE)

    assert length(Rows([source], [target])).tolist() == [is_kept]


@pytest.mark.parametrize("most", [1.0, 1.7, 3.0])
@pytest.mark.parametrize("slack", [0, 5, 20])
@given(lines=texts, others=texts)
def test_the_ratio_is_judged_as_that_of_translations(
    most: float, slack: int, lines: list[str], others: list[str]
) -> None:
    ratio = Ratio(RatioFilter(most=most, slack=slack), ("en", "zh"), NONE)
    pairs = [(line, other) for line in lines for other in others]

    kept = ratio(Rows([line for line, _ in pairs], [other for _, other in pairs]))

    assert kept.tolist() == [
        not is_far_longer(line, other, most, slack) and not is_far_longer(other, line, most, slack)
        for line, other in pairs
    ]


def test_chinese_says_more_with_each_character() -> None:
    ratio = Ratio(RatioFilter(most=2, slack=0), ("en", "zh"), NONE)

    assert ratio(Rows(["one two three fo"] * 2, ["一二三四", "abcd"])).tolist() == [True, False]
