"""normalize_lines equals line-by-line normalisation; quotes and punctuation follow their rules."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.alignments import normalized_indices, words_of
from nmt_cli.text.normalization import NORMALIZATIONS, normalize_lines

SIGNS = "ab Ä5-'\"`´()%:;?!.,…“”„«»‘’‚‹›–—―−″‴\xa0\u00ad\u200b\ufeff\u2581\u0301\t\n\u2028ﬁ①\ud7a3\u1161\u3000\u0338"
lines = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from(SIGNS)),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    st.sampled_from(["", " ", "clean", "two words", "für alle"]),
)
quotes, punctuation = NORMALIZATIONS["quotes"], NORMALIZATIONS["punctuation"]

each_name = pytest.mark.parametrize("name", list(NORMALIZATIONS))


@each_name
@settings(max_examples=100)
@given(st.lists(lines, max_size=40))
def test_normalize_lines_equals_single_lines(name: str, some: list[str]) -> None:
    assert normalize_lines(name, some) == [NORMALIZATIONS[name](line) for line in some]


@each_name
def test_normalize_lines_detects_every_character(name: str) -> None:
    characters = [chr(point) for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF]
    sample = characters[:0x3400] + characters[0x3400::97]
    some = ["clean line", *(f"a {character}b" for character in sample), *sample]
    assert normalize_lines(name, some) == [NORMALIZATIONS[name](line) for line in some]


@each_name
@settings(max_examples=100)
@given(st.text(st.sampled_from(SIGNS)))
def test_sign_normalization_is_idempotent(name: str, line: str) -> None:
    once = NORMALIZATIONS[name](line)
    assert NORMALIZATIONS[name](once) == once


@each_name
@settings(max_examples=100)
@given(st.text(st.sampled_from(SIGNS.replace("\n", ""))))
def test_normalized_word_occurs_in_normalized_line(name: str, line: str) -> None:
    normalize = NORMALIZATIONS[name]
    assert len(normalized_indices(line, normalize(line), normalize)) == len(words_of(line))


@each_name
@settings(max_examples=100)
@given(lines)
def test_double_spaces_remain_only_with_none(name: str, line: str) -> None:
    normal = NORMALIZATIONS[name](line)
    if name == "opus":
        assert normal == re.sub("  +", " ", normal).strip(" ")
        return
    keeps_other_spaces = name in ("whitespace", "nfc")
    assert name == "none" or normal == " ".join(normal.split(" ") if keeps_other_spaces else normal.split()).strip()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("„Gut“, sagte er.", '"Gut", sagte er.'),
        ("« Oui », l’ami", '" Oui ", l\'ami'),
        ("It´s ‘so’", "It's 'so'"),
        ("5′ 3″", "5' 3\""),
        ("1990–1995 — ja", "1990-1995 - ja"),
        ("−3", "-3"),
        ("Donau\u00addampfer", "Donaudampfer"),
        ("a\xa0b", "a b"),
        ("(so)  %", "(so) %"),
    ],
)
def test_quotes_replaces_quotes_and_dashes_with_ascii(line: str, expected: str) -> None:
    assert quotes(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Ja(nein)vielleicht", "Ja (nein) vielleicht"),
        ("( so ) .", "(so)."),
        ("((a) b)!", "((a) b)!"),
        ("100 %", "100%"),
        ("Quoi ?! Non : oui ; si", "Quoi?! Non: oui; si"),
        ("ja—nein", "ja - nein"),
        ("ja–nein", "ja-nein"),
        ("''so''", '"so"'),
        ("`so'", "'so'"),
        ("Warte…", "Warte..."),
    ],
)
def test_punctuation_spaces_equal_moses(line: str, expected: str) -> None:
    assert punctuation(line) == expected


@given(st.text(st.characters(categories=["L", "Nd"], max_codepoint=0x24F)))
def test_letters_and_digits_equal_nfkc(line: str) -> None:
    assert punctuation(line) == quotes(line) == NORMALIZATIONS["nfkc"](line)


@given(lines)
def test_quotes_leaves_only_ascii_quotes(line: str) -> None:
    assert not re.search("[“”„‟«»‘’‚‛‹›´‐‑‒–—―−\u00ad]", quotes(line))
