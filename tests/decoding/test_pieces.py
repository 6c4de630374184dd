"""Long lines fall into pieces that lose nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.decoding.pieces import pieces


def characters(text: str) -> list[int]:
    return [ord(character) for character in text]


def cut(text: str, longest: int) -> list[str]:
    return ["".join(map(chr, piece)) for piece in pieces(text, characters, longest)]


@settings(max_examples=50)
@given(st.text(max_size=60), st.integers(1, 20))
def test_pieces_joined_are_the_text_and_fit(text: str, longest: int) -> None:
    found = cut(text, longest)

    assert "".join(found) == text
    assert all(1 <= len(piece) <= longest for piece in found)


def test_a_text_that_fits_is_one_piece() -> None:
    assert cut("One. Two.", 9) == ["One. Two."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two three. Be one four five six.", ["One two three. ", "Be one four five six."]),
        ("one two three four five six", ["one two three ", "four five six"]),
        ("我们去那里。他们也去那里。", ["我们去那里。", "他们也去那里。"]),
        ("onetwothreefour", ["onetwot", "hreefour"]),
    ],
)
def test_sentences_and_then_words_stay_whole(text: str, expected: list[str]) -> None:
    assert cut(text, len(text) * 2 // 3) == expected
