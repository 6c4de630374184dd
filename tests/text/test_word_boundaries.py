"""Text is split into words as readers see them, in any script and spelling."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.text.word_boundaries import character_class, split_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A  dog, two dogs.", ["A", "dog", ",", "two", "dogs", "."]),
        ("it's 3.5 %", ["it", "'", "s", "3", ".", "5", "%"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("我爱ABC。", ["我", "爱", "ABC", "。"]),
        ("cafe\u0301 ﬁn", ["café", "fin"]),
        ("a\u00a0b\tc", ["a", "b", "c"]),
        ("", []),
    ],
)
def test_split_words_separates_words_and_signs(text: str, expected: list[str]) -> None:
    assert [word.text for word in split_words(text)] == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_words_cover_everything_but_spaces(text: str) -> None:
    found = split_words(text)

    assert "".join(text[word.start : word.end] for word in found) == "".join(
        c for c in text if character_class(c) != "space"
    )
    assert all(one.end <= other.start for one, other in pairwise(found))
