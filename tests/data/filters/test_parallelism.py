"""Filters of pairs that cannot be translations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt_cli.data.filters.duplicates import HeldOutKeys
from nmt_cli.data.filters.parallelism import Identical, Length, Ratio, Repeats, Script, Unmatched
from nmt_cli.data.filters.pipeline import build_filters
from nmt_cli.data.reading import Examples
from nmt_cli.recipe.filters import (
    IdenticalFilter,
    LengthFilter,
    RatioFilter,
    RepeatsFilter,
    ScriptFilter,
    UnmatchedFilter,
)
from nmt_cli.text.checks.checker import is_far_longer
from nmt_cli.text.checks.preserved import check_numbers, check_preserved, without_preserved
from nmt_cli.text.checks.repetition import check_repetition
from nmt_cli.text.normalization import is_blank

NONE = HeldOutKeys.of()


@pytest.mark.parametrize(
    ("source", "target", "is_kept"),
    [
        ("The same.", "The same.", False),
        ("STRASSE", "straße", True),
        ("12.5", "12.5", True),
        ("…", "…", True),
        ("Not it", "Nicht so", True),
        ("漢字", "漢字", False),
    ],
)
def test_identical_sides_with_letters_are_dropped(source: str, target: str, is_kept: bool) -> None:
    identical = Identical(IdenticalFilter(), ("en", "de"), NONE)

    assert identical(Examples([source], [target])).tolist() == [is_kept]


def test_identical_sides_in_one_language_are_kept() -> None:
    identical = Identical(IdenticalFilter(), ("en_GB", "eng_Latn"), NONE)

    assert identical(Examples(["same"], ["same"])).tolist() == [True]


@pytest.mark.parametrize(
    ("languages", "source", "target", "is_kept"),
    [
        (("en", "ru"), "Moscow", "Москва", True),
        (("en", "ru"), "Moscow", "Moscow", False),
        (("en", "ru"), "Москва", "Москва", False),
        (("en", "ru"), "The IBM PC is big", "IBM PC большой", True),
        (("en", "ru"), "1.5 µm", "1,5 мкм", True),
        (("en", "ru"), "12", "12", True),
        (("de", "en"), "Größe", "ᏣᎳᎩ", False),
        (("en", "ja"), "Tokyo tower", "東京タワー", True),
        (("en", "zh_Hans"), "Tokyo tower", "とうきょうタワー", False),
        (("en", "xx"), "Tokyo", "とうきょう", True),
        (("eng", "tha"), "St. Martin's did not replace him.", "Martin ไม่ได้", True),  # a name that both sides have
        (("eng", "tha"), "St. Martin's did not replace him.", "St. Martin's did not replace ไม่", False),
        (("en", "zh"), "Beacon's Beach", "海灘上 Beaches", True),  # a character says as much as 2.5 letters
    ],
)
def test_script_filter_keeps_letters_of_the_language(
    languages: tuple[str, str], source: str, target: str, is_kept: bool
) -> None:
    script = Script(ScriptFilter(), languages, NONE)

    assert script(Examples([source], [target])).tolist() == [is_kept]


@pytest.mark.parametrize(("fewest", "is_kept"), [(0.01, True), (0.5, True), (0.51, False), (1.0, False)])
def test_script_filter_compares_the_fraction_of_letters(fewest: float, is_kept: bool) -> None:
    script = Script(ScriptFilter(min=fewest), ("en", "ru"), NONE)

    assert script(Examples(["cd"], ["ab вг 1234 !?"])).tolist() == [is_kept]


@pytest.mark.parametrize(
    ("source", "target", "is_kept"),
    [
        ("I like it", "Ich mag es", True),
        ("I like it", "Ich mag ich mag ich mag es", False),
        ("no no no no no", "nein nein nein nein nein", True),
        ("no no no no no", "nein", False),
        ("ha", "hahahahahahahahaha", False),
        ("hahahahahahahahaha", "ha", False),
        ("-----------", "-----------", True),
        ("sixty-six thousand sixty-six", "sechsundsechzigtausendsechsundsechzig", True),
        ("They said that they wanted to go.", "เขาบอกว่าเขาอยากไป เขาไปได้ และเขาจะไป", True),
    ],
)
def test_repeats_on_one_side_are_dropped(source: str, target: str, is_kept: bool) -> None:
    repeats = Repeats(RepeatsFilter(), ("en", "de"), NONE)

    assert repeats(Examples([source], [target])).tolist() == [is_kept]


@pytest.mark.parametrize(
    ("source", "target", "is_kept"),
    [
        ("It costs 12.50", "Es kostet 12,50", True),
        ("It costs 125", "Es kostet 126", False),
        ("It costs 125", "Es kostet viel", False),
        ("It costs a lot", "Es kostet 125", False),
        ("two of them", "2 davon", True),
        ("see http://a.de/47.", "siehe http://a.de/47", True),
        ("see http://a.de/47", "siehe dort", False),
        ("write to me@a.de", "schreib mir", True),
    ],
)
def test_unmatched_numbers_and_urls_are_dropped(source: str, target: str, is_kept: bool) -> None:
    unmatched = Unmatched(UnmatchedFilter(), ("en", "de"), NONE)

    assert unmatched(Examples([source, target], [target, source])).tolist() == [is_kept] * 2


def test_unmatched_checks_only_the_given_kinds() -> None:
    unmatched = Unmatched(UnmatchedFilter(kinds=["email", "placeholder"]), ("en", "de"), NONE)
    sources = ["write to me@a.de", "{name} has 77", "see http://a.de"]
    targets = ["schreib mir", "Er hat 78", "siehe dort"]

    assert unmatched(Examples(sources, targets)).tolist() == [False, False, True]


signs = st.text(st.sampled_from("ab -.漢"), min_size=1, max_size=7)
going_round = st.builds(
    lambda start, unit, often, end: start + unit * often + end, signs, signs, st.integers(0, 9), signs
)
addresses = st.lists(st.sampled_from(["http://a.b/1", "www.x", "WWW.x", "a@b.c", "77", "٧٧", "{x}", "%s", "„x“", ":"]))


@given(st.lists(st.tuples(going_round | st.just(""), going_round | signs), max_size=8))
def test_repeats_filter_agrees_with_the_translation_check(pairs: list[tuple[str, str]]) -> None:
    repeats = Repeats(RepeatsFilter(), ("en", "de"), NONE)

    kept = repeats(Examples([source for source, _ in pairs], [target for _, target in pairs]))

    assert kept.tolist() == [
        not check_repetition(source, target) and not check_repetition(target, source) for source, target in pairs
    ]


@given(
    what=st.sampled_from([["number"], ["url"], ["number", "url", "email", "placeholder", "tag"]]),
    source=addresses.map(" ".join),
    target=addresses.map(" ".join),
)
def test_unmatched_filter_agrees_with_the_translation_checks(what: list[str], source: str, target: str) -> None:
    unmatched = Unmatched(UnmatchedFilter(kinds=what), ("en", "de"), NONE)
    rest = without_preserved(source), without_preserved(target)
    found = [*check_preserved(source, target), *check_numbers(*rest), *check_numbers(*rest[::-1])]

    assert unmatched(Examples([source], [target])).tolist() == [not {finding.problem for finding in found} & set(what)]


texts = st.lists(st.text(st.sampled_from("ab 漢語ü7\u200b\xa0"), max_size=40), min_size=1, max_size=20)


@given(texts)
def test_empty_filter_agrees_with_is_blank(lines: list[str]) -> None:
    (empty,) = build_filters([], ("en", "de"), NONE)
    rows = Examples(lines, lines[::-1])

    pairs = zip(rows.sources, rows.targets, strict=True)
    assert empty(rows).tolist() == [not any(map(is_blank, pair)) for pair in pairs]


@pytest.mark.parametrize(
    ("source", "target", "is_kept"),
    [
        ("abc", "abcde", True),
        ("ab", "abcd", False),
        ("abcd", "ab", False),
        ("abcdef", "abc", False),
        ("äöü", "äöü", True),
    ],
)
def test_length_filter_limits_both_sides(source: str, target: str, is_kept: bool) -> None:
    length = Length(LengthFilter(min=3, max=5), ("en", "de"), NONE)

    assert length(Examples([source], [target])).tolist() == [is_kept]


@given(most=st.sampled_from([1.0, 1.7, 3.0]), slack=st.sampled_from([0, 5, 20]), lines=texts, others=texts)
def test_ratio_filter_agrees_with_the_translation_check(
    most: float, slack: int, lines: list[str], others: list[str]
) -> None:
    ratio = Ratio(RatioFilter(max=most, tolerance=slack), ("en", "zh"), NONE)
    pairs = [(line, other) for line in lines for other in others]

    kept = ratio(Examples([line for line, _ in pairs], [other for _, other in pairs]))

    assert kept.tolist() == [
        not is_far_longer(line, other, most, slack) and not is_far_longer(other, line, most, slack)
        for line, other in pairs
    ]


def test_ratio_filter_weights_chinese_characters() -> None:
    ratio = Ratio(RatioFilter(max=2, tolerance=0), ("en", "zh"), NONE)

    assert ratio(Examples(["one two three fo"] * 2, ["一二三四", "abcd"])).tolist() == [True, False]
