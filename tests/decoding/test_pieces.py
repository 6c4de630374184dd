"""Long lines fall into pieces that lose nothing, at the best places."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.decoding.pieces import Limits, Piece, is_blank, join, pieces

TEXTS = st.text(
    st.sampled_from("aab .,!?\u3002\u0301\u200d\u3000\u2028\t-\U0001f600\x00我") | st.characters(), max_size=60
)


def characters(text: str) -> list[int]:
    return [ord(character) for character in text]


def fall(text: str, longest: int, sentences: int | None = None) -> list[Piece]:
    return pieces(text, characters(text), characters, Limits(longest, sentences))


def cut(text: str, longest: int, sentences: int | None = None) -> list[str]:
    return [text[piece.start : piece.end] for piece in fall(text, longest, sentences)]


@settings(max_examples=200)
@given(TEXTS, st.integers(1, 20), st.integers(0, 30) | st.none())
def test_between_pieces_stands_nothing_that_can_be_seen(text: str, longest: int, sentences: int | None) -> None:
    found = fall(text, longest, sentences)

    assert all(1 <= len(piece.tokens) <= longest for piece in found)
    assert all(piece.tokens == characters(text[piece.start : piece.end]) for piece in found)
    ends = [0, *(place for piece in found for place in (piece.start, piece.end)), len(text)]
    assert ends == sorted(ends)
    assert all(is_blank(text[start:end]) for start, end in zip(ends[::2], ends[1::2], strict=True))


@settings(max_examples=200)
@given(TEXTS, st.integers(1, 20))
def test_pieces_that_are_echoed_give_the_line_on_one_line(text: str, longest: int) -> None:
    found = fall(text, longest, 0)

    joined = join(text, found, [text[piece.start : piece.end] for piece in found])

    visible, expected = ("".join(each for each in some if not is_blank(each)) for some in (joined, text))
    assert visible == expected
    if not is_blank(text):
        assert len(joined) == found[-1].end - found[0].start


@pytest.mark.parametrize("text", ["One. Two.", "  spaces at the ends "])
def test_a_text_that_fits_is_one_piece_as_it_is(text: str) -> None:
    assert cut(text, len(text), len(text)) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two three. Be one.", ["One two three.", "Be one."]),
        ("„Was?“ Sie ging! „Nein…“ Ach so.", ["„Was?“", "Sie ging!", "„Nein…“", "Ach so."]),
        ("我们去那里。他们也去。“走！”他说", ["我们去那里。", "他们也去。", "“走！”", "他说"]),
        ("هل ذهبت؟ نعم.", ["هل ذهبت؟", "نعم."]),
        ("राम गया। सीता आई।", ["राम गया।", "सीता आई।"]),
        ("Dr. Smith met J. R. Miller, z. B. Nr. 5.", ["Dr. Smith met J. R. Miller, z. B. Nr. 5."]),
        ("He said no. because", ["He said no. because"]),
        ("It costs 3.50 today... or not", ["It costs 3.50 today... or not"]),
    ],
)
def test_sentences_of_a_long_line_stand_apart(text: str, expected: list[str]) -> None:
    assert cut(text, 100, 5) == expected
    assert not any(piece.cut for piece in fall(text, 100, 5))


@pytest.mark.parametrize(
    ("text", "longest", "expected"),
    [
        ("one two three, four five six", 20, ["one two three,", "four five six"]),
        ("one two three four five six", 20, ["one two three", "four five six"]),
        ("我们去那里，他们也去那里", 8, ["我们去那里，", "他们也去那里"]),
        ("onetwothreefour", 10, ["onetwoth", "reefour"]),
        ("aaa bbb ccc ddd eee fff", 8, ["aaa bbb", "ccc ddd", "eee fff"]),
        ("ae\u0301" * 4, 7, ["ae\u0301" * 2] * 2),
    ],
)
def test_a_sentence_that_is_too_long_is_cut_evenly(text: str, longest: int, expected: list[str]) -> None:
    assert cut(text, longest) == expected
    assert all(piece.cut for piece in fall(text, longest))


def test_what_is_too_long_falls_into_sentences_before_they_are_cut() -> None:
    assert cut("One. Two and three are.", 19, 30) == ["One.", "Two and three are."]


@pytest.mark.parametrize(("text", "blank"), [("\u200b\ufeff", True), (" \u2028\x00\u3000", True), ("\u0301", False)])
def test_a_text_of_nothing_to_see_is_blank(text: str, blank: bool) -> None:
    assert is_blank(text) == blank


@pytest.mark.parametrize(("text", "gap"), [("Ja.  \u3000Nein.", "  \u3000"), ("去。来。", ""), ("A!\x85 B.", "  ")])
def test_what_stood_between_pieces_comes_back(text: str, gap: str) -> None:
    assert join(text, fall(text, 100, 0), ["x", "y"]) == f"x{gap}y"
