"""Long lines are split at the best positions, and nothing is lost."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.decoding.segments import Segment, SegmentLimits, join_segments, split_line
from nmt_cli.text.normalization import is_blank

TEXTS = st.text(
    st.sampled_from("aab .,!?\u3002\u0301\u200d\u3000\u2028\t-\U0001f600\x00我") | st.characters(), max_size=60
)


def characters(text: str) -> list[int]:
    return [ord(character) for character in text]


def split(text: str, longest: int, sentences: int | None = None) -> list[Segment]:
    return split_line(text, characters(text), characters, SegmentLimits(longest, sentences))


def texts(text: str, longest: int, sentences: int | None = None) -> list[str]:
    return [text[segment.start : segment.end] for segment in split(text, longest, sentences)]


@settings(max_examples=200)
@given(TEXTS, st.integers(1, 20), st.integers(0, 30) | st.none())
def test_split_line_drops_only_blank_text(text: str, longest: int, sentences: int | None) -> None:
    found = split(text, longest, sentences)

    assert all(1 <= len(segment.tokens) <= longest for segment in found)
    assert all(segment.tokens == characters(text[segment.start : segment.end]) for segment in found)
    ends = [0, *(place for segment in found for place in (segment.start, segment.end)), len(text)]
    assert ends == sorted(ends)
    assert all(is_blank(text[start:end]) for start, end in zip(ends[::2], ends[1::2], strict=True))


@settings(max_examples=200)
@given(TEXTS, st.integers(1, 20))
def test_join_segments_restores_the_line(text: str, longest: int) -> None:
    found = split(text, longest, 0)

    joined = join_segments(text, found, [text[segment.start : segment.end] for segment in found])

    visible, expected = ("".join(each for each in some if not is_blank(each)) for some in (joined, text))
    assert visible == expected
    if not is_blank(text):
        assert len(joined) == found[-1].end - found[0].start


@pytest.mark.parametrize("text", ["One. Two.", "  spaces at the ends "])
def test_split_line_keeps_a_line_that_fits(text: str) -> None:
    assert texts(text, len(text), len(text)) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two three. Be one.", ["One two three.", "Be one."]),
        ("„Was?“ Sie ging! „Nein…“ Ach so.", ["„Was?“", "Sie ging!", "„Nein…“", "Ach so."]),
        ("我们去那里。他们也去。“走！”他说", ["我们去那里。", "他们也去。", "“走！”", "他说"]),
        ("هل ذهبت؟ نعم.", ["هل ذهبت؟", "نعم."]),
        ("राम गया। सीता आई।", ["राम गया।", "सीता आई।"]),
        ("Նա եկավ։ Նա գնաց։", ["Նա եկավ։", "Նա գնաց։"]),
        ("ሰላም ነው፡፡ እሺ፡፡", ["ሰላም ነው፡፡", "እሺ፡፡"]),
        ("ලංකාවයි. ඔහු යයි.", ["ලංකාවයි.", "ඔහු යයි."]),
        ("Dr. Smith met J. R. Miller, z. B. Nr. 5.", ["Dr. Smith met J. R. Miller, z. B. Nr. 5."]),
        ("He said no. because", ["He said no. because"]),
        ("It costs 3.50 today... or not", ["It costs 3.50 today... or not"]),
    ],
)
def test_split_line_splits_a_long_line_into_sentences(text: str, expected: list[str]) -> None:
    assert texts(text, 100, 5) == expected
    assert not any(segment.is_partial for segment in split(text, 100, 5))


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
def test_split_line_splits_a_long_sentence_evenly(text: str, longest: int, expected: list[str]) -> None:
    assert texts(text, longest) == expected
    assert all(segment.is_partial for segment in split(text, longest))


def test_split_line_prefers_sentences_to_parts_of_them() -> None:
    assert texts("One. Two and three are.", 19, 30) == ["One.", "Two and three are."]


@pytest.mark.parametrize(("text", "gap"), [("Ja.  \u3000Nein.", "  \u3000"), ("去。来。", ""), ("A!\x85 B.", "  ")])
def test_join_segments_restores_white_space(text: str, gap: str) -> None:
    assert join_segments(text, split(text, 100, 0), ["x", "y"]) == f"x{gap}y"
