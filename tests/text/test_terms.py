"""Terms that a user brings, in texts of any script."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.errors import DataError
from nmt_cli.text import terms
from nmt_cli.text.terms import TermList, case_variants, read_terms, without_wildcards
from nmt_cli.text.word_boundaries import count_phrase


def found(text: str, *given: str) -> list[str]:
    return [text[each.start : each.end] for each in TermList(given).find(text)]


@pytest.mark.parametrize(
    ("term", "text", "expected"),
    [
        ("rad", "Rad, RAD und Radweg", ["Rad", "RAD"]),
        ("Rad", "rad Rad", ["rad", "Rad"]),
        ("US", "us US Us", ["US"]),
        ("fahrr*", "Fahrräder, Fahrrads, fahren", ["Fahrräder", "Fahrrads"]),
        ("*haus", "Rathaus Haus Hausboot", ["Rathaus", "Haus"]),
        ("*mid*", "pyramids amid mids", ["pyramids", "amid", "mids"]),
        ("böse* wort*", "Böses Wort; böse, Worte; bösen Worten", ["Böses Wort", "bösen Worten"]),
        ("a*b", "a*b ab", ["a*b"]),
        ("f***", "f*** f", ["f***"]),
        ("*", "a * b", ["*"]),
        ("naïf", "nai\u0308f", ["nai\u0308f"]),
        ("ＡＢ", "AB", ["AB"]),
        ("新年", "祝你新年快乐", ["新年"]),
        ("ปีใหม่", "สวัสดีปีใหม่ครับ", ["ปีใหม่"]),
        ("strasse", "Straße", ["Straße"]),
        (" ", "a b", []),
    ],
)
def test_term_matches_whole_words_in_any_case_and_forms_after_a_wildcard(
    term: str, text: str, expected: list[str]
) -> None:
    assert found(text, term) == expected


WORD = st.text("abAB", min_size=1, max_size=4)


@given(phrases=st.lists(st.lists(WORD, min_size=1, max_size=2).map(" ".join)), text=st.lists(WORD).map(" ".join))
def test_terms_without_wildcards_are_found_as_often_as_phrases(phrases: list[str], text: str) -> None:
    counts = dict.fromkeys(phrases, 0)
    for each in TermList(phrases).find(text):
        counts[each.term] += 1
    for phrase, count in counts.items():
        if phrase.isupper() and len(phrase.replace(" ", "")) > 1:
            assert count == count_phrase(phrase, text)
        else:
            assert count == count_phrase(phrase.casefold(), text.casefold())


@given(stem=WORD, kind=st.sampled_from(["{}*", "*{}", "*{}*"]), text=st.lists(WORD).map(" ".join))
def test_wildcards_stand_for_any_letters(stem: str, kind: str, text: str) -> None:
    matches = {"{}*": str.startswith, "*{}": str.endswith, "*{}*": str.__contains__}[kind]
    fold = str if stem.isupper() and len(stem) > 1 else str.casefold
    expected = [word for word in text.split() if matches(fold(word), fold(stem))]
    assert found(text, kind.format(stem)) == expected


def test_occurrences_of_different_terms_may_overlap() -> None:
    assert found("a bad word", "bad", "bad word", "b*") == ["bad", "bad", "bad word"]


def test_helpers_of_forms() -> None:
    assert without_wildcards("*mid* a*b wort*") == "mid a*b wort"
    assert case_variants("fahrr*", "fahrrad") == ["fahrrad", "Fahrrad", "FAHRRAD"]
    assert case_variants("US*", "USA") == ["USA"]


def test_read_terms_skips_comments_and_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "terms"
    path.write_text("# comment\n\n  bad word \nbad word\nfahrr*\n")
    assert read_terms(path) == ("bad word", "fahrr*")


def test_files_that_are_no_lists_of_terms_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "MAX_TERMS", 2)
    path = tmp_path / "terms"
    for content, message in (
        (b"a\nb\xff\n", "line 2: is not UTF-8"),
        (b"a" * 1001, "line 1: is longer than 1,000 characters"),
        (b"a\nb\nc\n", "has more than 2 terms"),
        (b"", r"terms: has no terms"),
        (b"# comment\n\n", r"terms: has no terms"),
        *(
            (f"a*\n{term}\n".encode(), r"line 2: '.*': \*")
            for term in ("**a", "a**", "x*y", "*-1", "*", "a *", "b* x*y")
        ),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=message) as error:
            read_terms(path)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="does not exist"):
        read_terms(tmp_path / "none")
