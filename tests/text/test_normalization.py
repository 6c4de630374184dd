"""Normalisations follow their rules and are idempotent."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.text.normalization import NORMALIZATIONS, is_blank, one_line

lines = st.text(st.characters(exclude_categories=["Cs"]))
whitespace, nfc, nfkc, none = (NORMALIZATIONS[name] for name in ("whitespace", "nfc", "nfkc", "none"))


@pytest.mark.parametrize("space", "\t\x00\x01\x0b\x0c\r\x1c\x1f\x7f\x85\u2028\u2029 ")
def test_whitespace_collapses_spaces_and_control_characters(space: str) -> None:
    assert whitespace(f"{space}a{space} {space}b{space}") == "a b"


@pytest.mark.parametrize("mark", "\t\xa0\u3000\u200b\ufeff")
def test_whitespace_strips_invisible_ends(mark: str) -> None:
    assert whitespace(f"{mark} a{mark}{mark}") == "a"


@pytest.mark.parametrize(
    "text", ["10²", "2½", "，", "กำ", "ລຳ", "e\u0301", "\u09dc", "\ufb2a", "ﬁ", "a\xa0b", "a\u200bb", "\x84a\x94", "ﷺ"]
)
def test_default_normalization_keeps_what_is_visible(text: str) -> None:
    default = NORMALIZATIONS[TokenizerSettings().normalization]
    assert default(f" {text}\t") == text


@given(lines)
def test_nfc_is_the_canonical_form_of_whitespace(line: str) -> None:
    assert nfc(line) == unicodedata.normalize("NFC", whitespace(line))


@pytest.mark.parametrize("space", "\t\x00\x0b\x0c\r\x1c\x1f\x85\xa0\u1680\u2003\u200b\u2028\u2029\u202f\u3000")
def test_nfkc_collapses_separators(space: str) -> None:
    assert nfkc(f"{space}a{space}{space} b{space}") == "a b"


@pytest.mark.parametrize(("line", "expected"), [("ﬁ", "fi"), ("①", "1"), ("e\u0301", "é"), ("Ａ", "A"), ("…", "...")])
def test_nfkc_composes(line: str, expected: str) -> None:
    assert nfkc(line) == expected


@pytest.mark.parametrize("mark", "\x00\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029")
def test_line_breaks_become_spaces(mark: str) -> None:
    assert one_line(f"a{mark}{mark}b") == none(f"a{mark}{mark}b") == "a  b"


def test_nfkc_removes_byte_order_mark_within_line() -> None:
    assert nfkc("a\ufeffb") == "ab"


def test_none_keeps_spaces_and_compatibility_characters() -> None:
    line = "  ﬁ\t\xa0①  e\u0301\u200b "
    assert none(line) == line


@given(lines)
def test_none_changes_only_what_cannot_be_represented(line: str) -> None:
    kept = [(a, b) for a, b in zip(line.lstrip("\ufeff"), none(line), strict=True) if a != b]
    assert all((a == "▁" and b == "_") or one_line(a) == b == " " for a, b in kept)


@given(lines)
@pytest.mark.parametrize("name", list(NORMALIZATIONS))
def test_normalization_is_idempotent(name: str, line: str) -> None:
    normalize = NORMALIZATIONS[name]
    assert normalize(normalize(line)) == normalize(line)


@given(lines)
@pytest.mark.parametrize("normalize", [*NORMALIZATIONS.values(), one_line])
def test_result_has_no_line_breaks(normalize: object, line: str) -> None:
    assert callable(normalize)
    assert len((normalize(line) + "x").splitlines()) == 1
    assert "\x00" not in normalize(line)


@pytest.mark.parametrize("line", ["", " ", "\xa0", "\u200b", "\x0c", "\t\u3000", "\ufeff", "\u2028", "\x00\u200d"])
def test_is_blank_ignores_invisible_characters(line: str) -> None:
    assert is_blank(line)


@pytest.mark.parametrize("line", ["a", " .", "0", "⁇", "\u0301"])
def test_is_blank_notices_visible_characters(line: str) -> None:
    assert not is_blank(line)
