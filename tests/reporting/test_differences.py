"""Words of two sentences are told apart, and no character is lost."""

from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.reporting.differences import Part, difference

TEXT = st.text(alphabet="ab c.,ä我们\u3000", max_size=40)


def own(parts: list[Part]) -> list[str]:
    return [part.text for part in parts if not part.is_shared]


@given(TEXT, TEXT)
def test_the_parts_are_the_text(hypothesis: str, reference: str) -> None:
    found = difference(hypothesis, reference)
    assert "".join(part.text for part in found.hypothesis) == hypothesis
    assert "".join(part.text for part in found.reference) == reference


@given(TEXT)
def test_equal_sentences_share_all(text: str) -> None:
    found = difference(text, text)
    assert own(found.hypothesis) == own(found.reference) == []


def test_words_that_differ_are_marked_on_both_sides() -> None:
    found = difference("Ein Mann mit blauem Hut rennt.", "Ein Mann mit einem roten Hut läuft.")
    assert own(found.hypothesis) == ["blauem", "rennt"]
    assert own(found.reference) == ["einem roten", "läuft"]


def test_sentences_without_spaces_are_compared_by_character() -> None:
    found = difference("我们走了", "我们来了")
    assert own(found.hypothesis) == ["走"]
    assert own(found.reference) == ["来"]


def test_the_order_counts() -> None:
    assert own(difference("a b", "b a").hypothesis) != []


def test_very_long_lines_are_shown_without_marks() -> None:
    assert own(difference("a " * 5000, "b " * 5000).hypothesis) == []
