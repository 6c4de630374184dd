"""Glossaries find terms in text, and malformed files are reported by line."""

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.decoding.constraints.glossary import (
    Glossary,
    GlossaryEntry,
    assign_targets,
    glossary_entries,
    read_glossary,
)
from nmt_cli.errors import DataError


def found(text: str, *terms: str) -> list[str]:
    """Each place that is found, with its term."""
    glossary = Glossary([GlossaryEntry(term, ("x",)) for term in terms])
    return [f"{text[each.start : each.end]}={each.entry.source}" for each in glossary.occurrences(text)]


@pytest.mark.parametrize(
    ("text", "terms", "expected"),
    [
        ("a dog, dogs and a hotdog", ["dog"], ["dog=dog"]),
        ("dog dog", ["dog"], ["dog=dog", "dog=dog"]),
        ("The hot dog stand", ["dog", "hot dog", "dog stand"], ["dog stand=dog stand"]),
        ("The hot dogs stand", ["hot", "hot dog", "hot dogs"], ["hot dogs=hot dogs"]),
        ("hot  dog", ["hot dog"], ["hot  dog=hot dog"]),
        ("hot-dog", ["dog", "hot dog"], ["dog=dog"]),
        ("e-mail", ["e-mail", "mail"], ["e-mail=e-mail"]),
        ("我爱北京天安门", ["北京", "天安门", "京天"], ["北京=北京", "天安门=天安门"]),
        ("cafe\u0301", ["café"], ["cafe\u0301=café"]),
        ("no", ["dog", "no dog"], []),
    ],
)
def test_glossary_finds_whole_words_and_longest_terms_first(text: str, terms: list[str], expected: list[str]) -> None:
    assert found(text, *terms) == expected


def test_lower_case_terms_match_any_case() -> None:
    assert found("Apple apple APPLE", "apple") == ["Apple=apple", "apple=apple", "APPLE=apple"]
    assert found("Apple apple APPLE", "Apple") == ["Apple=Apple"]
    assert found("Apple apple APPLE", "apple", "Apple") == ["Apple=Apple", "apple=apple", "APPLE=apple"]


@pytest.mark.parametrize(
    ("targets", "text", "expected"),
    [
        ("A|B A", "B A", {0, 1}),
        ("A|B A", "A", {0}),
        ("A|B B|C C", "C B A", {0, 1, 2}),
        ("A A A", "A x A", {0, 1}),
        ("A|B B|A A", "B A", {0, 1}),
        ("A", "", set()),
    ],
)
def test_assign_targets_serves_as_many_terms_as_possible(targets: str, text: str, expected: set[int]) -> None:
    assert assign_targets([each.split("|") for each in targets.split()], text) == expected


@given(st.lists(st.sets(st.sampled_from("ABC"), min_size=1), max_size=5), st.lists(st.sampled_from("ABC"), max_size=5))
def test_assign_targets_finds_a_maximum_matching(targets: list[set[str]], words: list[str]) -> None:
    padded = [*words, *[""] * (len(targets) - len(words))]
    largest = max(
        sum(word in each for word, each in zip(order, targets, strict=False)) for order in permutations(padded)
    )

    assert len(assign_targets([sorted(each) for each in targets], " ".join(words))) == largest


def test_glossary_entries_take_one_or_several_targets() -> None:
    assert glossary_entries({"dog": "Hund", "cat": ["Katze", "Kater"]}) == (
        GlossaryEntry("dog", ("Hund",)),
        GlossaryEntry("cat", ("Katze", "Kater")),
    )


@pytest.mark.parametrize("terms", [{"": "Hund"}, {"dog": " "}, {"dog": ["Hund", ""]}, {"dog": []}])
def test_glossary_entries_with_blank_terms_are_refused(terms: dict[str, str | list[str]]) -> None:
    with pytest.raises(DataError, match="glossary"):
        glossary_entries(terms)


def test_read_glossary_collects_translations(tmp_path: Path) -> None:
    path = tmp_path / "glossary.tsv"
    path.write_bytes("# comment\n\ndog\tHund\n hot  dog \tHotdog\r\ndog\tRüde\ndog\tHund\n#1\tnone\n".encode())

    assert read_glossary(path) == (GlossaryEntry("dog", ("Hund", "Rüde")), GlossaryEntry("hot dog", ("Hotdog",)))


def test_read_glossary_lists_malformed_lines(tmp_path: Path) -> None:
    path = tmp_path / "glossary.tsv"
    path.write_text("dog\tHund\ndog Hund\n\tHund\ndog\t \na\tb\tc\n")

    with pytest.raises(DataError) as error:
        read_glossary(path)

    assert [line.split(": ")[0] for line in str(error.value).split("\n")] == [
        f"{path}:{number}" for number in (2, 3, 4, 5)
    ]


def test_read_glossary_counts_further_errors(tmp_path: Path) -> None:
    path = tmp_path / "glossary.tsv"
    path.write_text("dog\n" * 50)

    with pytest.raises(DataError, match=r"glossary\.tsv: .*\b40\b"):
        read_glossary(path)


def test_alternatives_may_be_separated_by_a_bar(tmp_path: Path) -> None:
    (tmp_path / "terms").write_text("letter\tBuchstabe|Brief\nletter\tBrief | Letter\ndog\tHund\n")
    assert read_glossary(tmp_path / "terms") == (
        GlossaryEntry("letter", ("Buchstabe", "Brief", "Letter")),
        GlossaryEntry("dog", ("Hund",)),
    )
    (tmp_path / "terms").write_text("letter\tBuchstabe|\n")
    with pytest.raises(DataError, match=r"terms:1: "):
        read_glossary(tmp_path / "terms")
