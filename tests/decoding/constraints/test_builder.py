"""Requests and glossaries become constraints in tokens, and term uses are reported."""

from collections.abc import Callable
from typing import Any

import pytest

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.constraints.builder import ConstraintBuilder
from nmt_cli.decoding.constraints.glossary import GlossaryEntry, GlossaryMode
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.sentences import Phrase, PhraseBonus
from nmt_cli.recipe.data import TokenizerSettings

Spell = Callable[[str], Phrase]
GLOSSARY = (
    GlossaryEntry("dog", ("Hund", "Köter")),
    GlossaryEntry("red", ("rot",)),
    GlossaryEntry("hot dog", ("Hotdog",)),
)


@pytest.fixture
def spell(plain_tokenizer: Tokenizer) -> Spell:
    """The usual tokens of a phrase."""
    return lambda text: tuple(plain_tokenizer.encode_target([text])[0])


def builder(tokenizer: Tokenizer, mode: GlossaryMode = "soft", **options: Any) -> ConstraintBuilder:
    return ConstraintBuilder(tokenizer, TranslateOptions(glossary=GLOSSARY, glossary_mode=mode, **options), 2.0)


def wholly(request: Request) -> list[tuple[int, int]]:
    return [(0, len(request.text))]


def test_plain_request_has_no_constraints(plain_tokenizer: Tokenizer) -> None:
    assert not any(builder(plain_tokenizer).build(Request("cats"), [(0, 2), (2, 4)]))


def test_soft_terms_give_all_targets_a_bonus(plain_tokenizer: Tokenizer, spell: Spell) -> None:
    (constraints,) = builder(plain_tokenizer).build(request := Request("a dog, dog"), wholly(request))

    assert constraints.forced_phrases == ()
    assert constraints.bonuses == tuple(PhraseBonus(spell(each), 2.0) for each in ("Hund", "Köter") * 2)


def test_hard_terms_require_the_first_target(plain_tokenizer: Tokenizer, spell: Spell) -> None:
    (constraints,) = builder(plain_tokenizer, "hard").build(request := Request("a dog and a hot dog"), wholly(request))

    assert constraints.forced_phrases == (spell("Hund"), spell("Hotdog"))
    assert constraints.bonuses == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Red dog", "Rot"), ("“Red dog”", "Rot"), ("a Red dog", "rot"), ("RED", "Rot"), ("red", "rot")],
)
def test_targets_are_capitalized_like_their_term(
    plain_tokenizer: Tokenizer, spell: Spell, text: str, expected: str
) -> None:
    (constraints,) = builder(plain_tokenizer, "hard").build(request := Request(text), wholly(request))

    assert constraints.forced_phrases[0] == spell(expected)


def test_segments_get_the_terms_that_occur_in_them(plain_tokenizer: Tokenizer, spell: Spell) -> None:
    request = Request("a dog. red. none", prefix="Ein,", required=("Haus",), forbidden=("nie",))

    first, second, third = builder(plain_tokenizer, "hard", bad_words=("gross",)).build(
        request, [(0, 6), (7, 11), (12, 16)]
    )

    assert (first.forced_phrases, second.forced_phrases, third.forced_phrases) == (
        (spell("Haus"), spell("Hund")),
        (spell("rot"),),
        (),
    )
    assert (first.prefix, second.prefix) == (spell("Ein,"), ())
    assert first.bad_words == second.bad_words == third.bad_words
    assert {spell("nie"), spell("gross")} <= set(first.bad_words)


def test_term_at_the_boundary_of_two_segments_belongs_to_the_second(plain_tokenizer: Tokenizer, spell: Spell) -> None:
    first, second = builder(plain_tokenizer, "hard").build(Request("a red"), [(0, 2), (2, 5)])

    assert (first.forced_phrases, second.forced_phrases) == ((), (spell("rot"),))


def test_phrases_that_contain_a_bad_word_are_not_forced(plain_tokenizer: Tokenizer, spell: Spell) -> None:
    request = Request("a dog, red", required=("gross", "ein Hund"), forbidden=("Hund",))

    (constraints,) = builder(plain_tokenizer, "hard", bad_words=("rot", "nie")).build(request, wholly(request))

    assert constraints.forced_phrases == (spell("gross"), spell("Köter"))


@pytest.mark.parametrize(
    ("translation", "satisfied"),
    [
        ("Ein Hund, gross gross", [True, True, True]),
        ("Ein Hund, gross", [True, False, True]),
        ("Kein Hund nie gross grosser", [False, False, False]),
        ("Ein nieder gross, gross", [True, True, True]),
        ("", [False, False, True]),
    ],
)
def test_each_constraint_is_reported(plain_tokenizer: Tokenizer, translation: str, satisfied: list[bool]) -> None:
    request = Request("a dog", prefix="Ein", required=("gross", "gross"), forbidden=("nie",))

    uses = builder(plain_tokenizer).constraint_uses(request, translation)

    assert [(each.kind, each.text) for each in uses] == [("prefix", "Ein"), ("required", "gross"), ("forbidden", "nie")]
    assert [each.is_satisfied for each in uses] == satisfied
    assert [bool(each.reason) for each in uses] == [not each for each in satisfied]


def test_term_is_unused_for_a_reason_if_each_target_is_unspellable_or_has_a_bad_word() -> None:
    tokenizer = Tokenizer.train(
        TokenizerSettings(algorithm="character", byte_fallback=False), ["a dog"], ["ein Hund"], seed=1
    )
    options = TranslateOptions(glossary=(GlossaryEntry("dog", ("犬", "Hund")),), bad_words=("Hund",))

    (use,) = ConstraintBuilder(tokenizer, options, 2.0).term_uses(Request("a dog"), "ein")

    assert not use.is_used and use.reason


def test_bad_words_of_all_lines_are_reported_only_where_they_occur(plain_tokenizer: Tokenizer) -> None:
    build = builder(plain_tokenizer, bad_words=("nie mehr", "rot"))
    assert build.constraint_uses(Request("a"), "nie rote mehr") == ()
    assert [each.text for each in build.constraint_uses(Request("a"), "nie mehr, nie")] == ["nie mehr"]
    assert build.constraint_uses(Request("a", prefix="rot"), "rot")[0].is_satisfied


@pytest.mark.parametrize(
    ("translation", "used"),
    [
        ("Ein Hund und ein Köter, rot", [True, True, True]),
        ("Ein Hund, Rot", [True, False, True]),
        ("Ein hund, rote", [False, False, False]),
        ("", [False, False, False]),
    ],
)
def test_each_target_occurrence_counts_for_one_term(
    plain_tokenizer: Tokenizer, translation: str, used: list[bool]
) -> None:
    found = builder(plain_tokenizer).term_uses(Request("dog dog red"), translation)

    assert [term.is_used for term in found] == used
    assert [str(term) for term in found] == ["dog → Hund | Köter", "dog → Hund | Köter", "red → rot"]
