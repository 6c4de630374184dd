"""Word-level differences of two sentences."""

from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.reporting.text_diff import DiffSpan, diff_words

TEXT = st.text(alphabet="ab c.,ä我们\u3000", max_size=40)


def unmatched(spans: list[DiffSpan]) -> list[str]:
    return [span.text for span in spans if not span.is_common]


@given(TEXT, TEXT)
def test_diff_words_keeps_the_text(hypothesis: str, reference: str) -> None:
    found = diff_words(hypothesis, reference)
    assert "".join(span.text for span in found.hypothesis) == hypothesis
    assert "".join(span.text for span in found.reference) == reference


@given(TEXT)
def test_diff_words_of_equal_sentences(text: str) -> None:
    found = diff_words(text, text)
    assert unmatched(found.hypothesis) == unmatched(found.reference) == []


def test_diff_words_marks_words_on_both_sides() -> None:
    found = diff_words("Ein Mann mit blauem Hut rennt.", "Ein Mann mit einem roten Hut läuft.")
    assert unmatched(found.hypothesis) == ["blauem", "rennt"]
    assert unmatched(found.reference) == ["einem roten", "läuft"]


def test_diff_words_compares_unspaced_scripts_by_character() -> None:
    found = diff_words("我们走了", "我们来了")
    assert unmatched(found.hypothesis) == ["走"]
    assert unmatched(found.reference) == ["来"]


def test_diff_words_depends_on_the_order() -> None:
    assert unmatched(diff_words("a b", "b a").hypothesis) != []


def test_diff_words_does_not_compare_very_long_lines() -> None:
    assert unmatched(diff_words("a " * 5000, "b " * 5000).hypothesis) == []


def test_diff_words_keeps_marks_with_their_letters() -> None:
    found = diff_words("वह लड़का है", "वह लड़की है")
    assert (unmatched(found.hypothesis), unmatched(found.reference)) == (["लड़का"], ["लड़की"])
    assert unmatched(diff_words("cafe\u0301", "café").hypothesis) == []
