"""Text is split into words as readers see them, in any script and spelling."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.text.word_boundaries import (
    character_class,
    graphemes,
    has_spaces_between_words,
    split_words,
    words,
    words_and_signs,
)

TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aé\u0301กำัដ្កी\u200c\u200b 中ー")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A  dog, two dogs.", ["A", "dog", ",", "two", "dogs", "."]),
        ("it's 3.5 %", ["it", "'", "s", "3", ".", "5", "%"]),
        ("l’homme foo_bar", ["l", "’", "homme", "foo", "_", "bar"]),
        ("10² 2½", ["10²", "2½"]),
        ("a\u00a0b\tc", ["a", "b", "c"]),
        ("लड़का और लड़की।", ["लड\u093cका", "और", "लड\u093cकी", "।"]),
        ("தமிழில்", ["தமிழில்"]),
        ("שָׁלוֹם", ["ש\u05b8\u05c1לו\u05b9ם"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("한국어는", ["한국어는"]),
        ("cafe\u0301 ﬁn", ["café", "ﬁn"]),
        ("我爱ABC。", ["我", "爱", "ABC", "。"]),
        ("コーヒー々ＡＢ", ["コ", "ー", "ヒ", "ー", "々", "ＡＢ"]),
        ("กำลัง ๑๒", ["กำ", "ลั", "ง", "๑๒"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("ខ្មែរ\u200bភាសា", ["ខ្មែ", "រ", "ភា", "សា"]),
        ("བོད་ཡིག", ["བོད", "་", "ཡིག"]),
        ("👩\u200d👧 🇩🇪!", ["👩\u200d👧", "🇩🇪", "!"]),
        ("", []),
    ],
)
def test_split_words_separates_words_and_signs(text: str, expected: list[str]) -> None:
    assert [word.text for word in split_words(text)] == expected == words_and_signs(text)
    assert words(text) == [word for word in expected if character_class(word[0]) != "sign"]


@given(TEXT)
def test_words_and_signs_cover_everything_visible(text: str) -> None:
    found = split_words(text)
    covered = "".join(text[word.start : word.end] for word in found)

    assert all(one.end <= other.start for one, other in pairwise(found))
    assert [c for c in covered if unicodedata.category(c)[0] not in "ZC"] == [
        c for c in text if unicodedata.category(c)[0] not in "ZC"
    ]


@given(TEXT)
def test_words_do_not_depend_on_canonical_form(text: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))

    assert words_and_signs(composed) == words_and_signs(decomposed) == words_and_signs(text)
    assert words(composed) == words(decomposed) == words(text)


@given(TEXT)
def test_graphemes_joined_are_the_text(text: str) -> None:
    assert "".join(graphemes(text)) == text


@pytest.mark.parametrize("line", ["Ein Hund läuft.", "हिन्दी में", "한국어", "1 + 1", ""])
def test_has_spaces_between_words_in_most_scripts(line: str) -> None:
    assert has_spaces_between_words([line])


@pytest.mark.parametrize(
    "line", ["我们今天去公园", "コーヒー", "น้ำ ตก", "ខ្មែរ", "မြန်မာ", "ລາວ", "བོད་ཡིག", "iPhone 手机很好"]
)
def test_has_spaces_between_words_is_false_for_unspaced_scripts(line: str) -> None:
    assert not has_spaces_between_words([line] if "Phone" not in line else [line * 2, "我们今天去公园"])


@given(st.text(st.characters(max_codepoint=127)))
def test_words_of_ascii_text_are_its_words_and_signs_without_signs(text: str) -> None:
    assert words(text) == [word for word in words_and_signs(text) if word[0].isalnum()]
