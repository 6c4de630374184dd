"""Constraints in raw text and what is known of words, through a translator: what was asked for is in the text."""

import json
import re

import pytest
import torch
from fake_models import EchoModel
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.constraints import bad_words
from nmt_cli.decoding.constraints.glossary import GlossaryEntry
from nmt_cli.decoding.requests import DEFAULT_OPTIONS, Request, TranslateOptions
from nmt_cli.decoding.results import Translation, TranslationStats, format_jsonl
from nmt_cli.decoding.translator import InferenceConfig, Translator
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.text.terms import TermList

WORDS = st.sampled_from(["Nein", "tea", "gross", "dish", "Bad", "nano", "sit"])


def echo(
    tokenizer: Tokenizer,
    max_tokens: int = 1000,
    options: TranslateOptions = DEFAULT_OPTIONS,
    glossary_bonus: float = 3.0,
) -> Translator:
    """Says each source again, if nothing else is wished."""
    decoding = BeamSettings(beam_size=3, split_sentences_above=None, glossary_bonus=glossary_bonus)
    cpu = torch.device("cpu")
    model = EchoModel(tokenizer.target_size)
    return Translator(model, tokenizer, decoding, cpu, InferenceConfig(max_tokens=max_tokens), options)


def translated(translator: Translator, *requests: Request) -> list[Translation]:
    return translator.translate_window(requests)


@settings(max_examples=25)
@given(source=st.lists(WORDS, min_size=1, max_size=4), prefix=st.lists(WORDS, max_size=2), cut=st.integers(0, 3))
def test_translation_starts_with_the_prefix(
    plain_tokenizer: Tokenizer, source: list[str], prefix: list[str], cut: int
) -> None:
    beginning = " ".join(prefix)[: -cut or None]

    (found,) = translated(echo(plain_tokenizer), Request(" ".join(source), beginning))

    assert found.best.text.startswith(beginning)


@settings(max_examples=25)
@given(data=st.data(), source=st.lists(WORDS, min_size=1, max_size=4))
def test_translation_contains_required_and_no_forbidden_words(
    plain_tokenizer: Tokenizer, data: st.DataObject, source: list[str]
) -> None:
    required = data.draw(st.lists(WORDS, max_size=2, unique=True))
    forbidden = data.draw(st.lists(WORDS.filter(lambda word: word not in required), max_size=2, unique=True))

    (found,) = translated(echo(plain_tokenizer), Request(" ".join(source), "", tuple(required), tuple(forbidden)))

    assert set(required) <= set(re.findall(r"\w+", found.best.text))  # any sign may stand between two words
    assert not set(forbidden) & set(found.best.text.split())


def test_constraints_do_not_affect_other_lines(plain_tokenizer: Tokenizer) -> None:
    plain, steered = translated(echo(plain_tokenizer), Request("tea dish"), Request("tea dish", required=("Bad",)))

    assert plain.best.text == "tea dish" != steered.best.text


def test_translations_report_glossary_terms(plain_tokenizer: Tokenizer) -> None:
    glossary = (GlossaryEntry("tea", ("Bad",)), GlossaryEntry("dish", ("gross", "dish")))
    translator = echo(plain_tokenizer, options=TranslateOptions(glossary=glossary), glossary_bonus=0)

    found = translated(translator, Request("a tea"), Request("dish tea Bad"), Request("sit"))

    assert [[term.is_used for term in each.terms] for each in found] == [[False], [True, True], []]
    first, *rest = TranslationStats.count(found).glossary_report()
    assert "used 2 of 3 times (66.7 %)" in first and rest == ["  tea → Bad: 1 of 2"]


@pytest.mark.parametrize("longest", [1000, 6, 2])
def test_annotations_are_joined_over_segments(plain_tokenizer: Tokenizer, longest: int) -> None:
    translator = echo(plain_tokenizer, longest, TranslateOptions(alignment=True, word_scores=True))

    line, blank = translated(translator, Request("tea  dish\tBad gross, sit nano"), Request(" "))

    assert line.best.annotation is not None and blank.best.annotation is not None
    assert line.best.annotation.alignment == tuple((word, word) for word in range(6))
    assert sum(line.best.annotation.word_scores or ()) == pytest.approx(line.best.log_probability, abs=1e-5)
    assert len(line.best.annotation.word_scores or ()) == 7
    assert (blank.best.annotation.alignment, blank.best.annotation.word_scores) == ((), (0.0,))


def test_translation_has_the_extra_keys_of_its_request(plain_tokenizer: Tokenizer) -> None:
    (found,) = translated(echo(plain_tokenizer), Request("tea", extra={"document": "3"}))

    assert found.extra == {"document": "3"}


@pytest.fixture(scope="module")
def limited_tokenizer() -> Tokenizer:
    """Has no tokens for letters that were not in its text."""
    lines = ["tea dish sit Bad nano gross Nein"] * 50
    settings = TokenizerSettings.model_validate({"vocabulary_size": 19, "byte_fallback": False})
    return Tokenizer.train(settings, lines, lines, seed=1)


@pytest.fixture(scope="module")
def tokenizer_with_signs() -> Tokenizer:
    """Splits signs from words, as `▁l ' eau`."""
    lines = [f"sit l{sign}eau {sign}eau l beau" for sign in "'(\"-"] * 20
    return Tokenizer.train(TokenizerSettings.model_validate({"vocabulary_size": 276}), lines, lines, seed=1)


def test_prefix_with_unknown_signs_begins_the_translation(limited_tokenizer: Tokenizer) -> None:
    prefixes = ["日本 tea", "tea 日本 ", "¿dish", "日本"]
    found = translated(echo(limited_tokenizer), *(Request("sit nano", prefix) for prefix in prefixes))

    for prefix, each in zip(prefixes, found, strict=True):
        assert each.best.text.startswith(prefix.rstrip())
        assert "\u2047" not in each.best.text
        assert [use.is_satisfied for use in each.constraints] == [True]


def test_required_phrase_that_cannot_be_spelled_is_reported_with_the_reason(limited_tokenizer: Tokenizer) -> None:
    found = translated(
        echo(limited_tokenizer),
        Request("sit", required=("日本", "tea")),
        Request(" ", required=("tea",)),
        Request("sit"),
    )

    first, blank, plain = (each.constraints for each in found)
    assert [(each.text, each.is_satisfied) for each in first] == [("日本", False), ("tea", True)]
    assert [each.is_satisfied for each in blank] == [False]
    assert plain == ()
    assert len({first[0].reason, blank[0].reason, ""}) == 3
    stats = TranslationStats.count(found)
    assert stats.unsatisfied == {("required", first[0].reason): 1, ("required", blank[0].reason): 1}
    assert sum(first[0].reason in warning and "1 of 3" in warning for warning in stats.warnings()) == 1
    record = json.loads(format_jsonl(0, found[0]))
    assert record["constraints"][1] == {"kind": "required", "text": "tea", "satisfied": True}
    assert record["constraints"][0]["reason"] == first[0].reason


def test_glossary_term_that_cannot_be_used_is_reported_with_the_reason(limited_tokenizer: Tokenizer) -> None:
    glossary = (GlossaryEntry("tea", ("日本",)), GlossaryEntry("dish", ("Nein",)))
    options = TranslateOptions(glossary=glossary, bad_words=("Nein",))

    found = translated(echo(limited_tokenizer, options=options), Request("tea dish sit"))

    assert all(term.reason for term in found[0].terms)
    assert len({term.reason for term in found[0].terms}) == 2
    report = TranslationStats.count(found).glossary_report()
    assert all(any(term.reason in line for line in report) for term in found[0].terms)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("required", [("tea tea tea",), ("tea", "tea"), ("sit dish", "dish sit", "sit dish")])
def test_required_phrases_may_repeat_ngrams(plain_tokenizer: Tokenizer, size: int, required: tuple[str, ...]) -> None:
    settings = BeamSettings(beam_size=3, no_repeat_ngram_size=size)
    model = EchoModel(plain_tokenizer.target_size)
    translator = Translator(model, plain_tokenizer, settings, torch.device("cpu"))

    (found,) = translated(translator, Request("sit tea dish", required=required))

    assert [each.is_satisfied for each in found.constraints] == [True] * len(set(required))


@pytest.mark.parametrize(
    ("bad_word", "source"),
    [("nein TEA", "Nein tea"), ("nein", "sit Nein"), ("gro*", "dish gross")],
)
@pytest.mark.parametrize("is_of_line", [False, True])
def test_translation_contains_no_form_of_a_bad_word(
    plain_tokenizer: Tokenizer, bad_word: str, source: str, is_of_line: bool
) -> None:
    options = DEFAULT_OPTIONS if is_of_line else TranslateOptions(bad_words=(bad_word,))
    request = Request(source, forbidden=(bad_word,) if is_of_line else ())

    (found,) = translated(echo(plain_tokenizer, options=options), request)

    assert not TermList([bad_word]).find(found.best.text)
    assert all(use.is_satisfied for use in found.constraints)


@pytest.mark.parametrize("sign", ["'", "(", '"', "-"])
def test_translation_contains_no_bad_word_after_a_sign(tokenizer_with_signs: Tokenizer, sign: str) -> None:
    request = Request(f"sit l{sign}eau beau", forbidden=("eau",))

    (found,) = translated(echo(tokenizer_with_signs), request)

    assert not TermList(["eau"]).find(found.best.text)
    assert [use.is_satisfied for use in found.constraints] == [True]
    assert "beau" in found.best.text


def test_bad_word_of_the_prefix_is_allowed_once(plain_tokenizer: Tokenizer) -> None:
    (found,) = translated(echo(plain_tokenizer), Request("tea Nein sit", "Nein", forbidden=("nein",)))

    assert found.best.text.startswith("Nein") and found.best.text.lower().count("nein") == 1
    assert [use.is_satisfied for use in found.constraints if use.kind == "forbidden"] == [True]


def test_form_that_cannot_be_avoided_is_marked_and_counted(
    plain_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bad_words, "MAX_SEARCHES", 0)
    options = TranslateOptions(bad_words=("gro*",))

    found = translated(echo(plain_tokenizer, options=options), Request("dish gross"), Request("tea"))

    assert found[1].constraints == ()
    record = json.loads(format_jsonl(0, found[0]))
    assert record["constraints"] == [
        {
            "kind": "forbidden",
            "text": "gro*",
            "satisfied": False,
            "found": "gross",
            "reason": found[0].constraints[0].reason,
        }
    ]
    assert "1 of 1 constraints `forbidden`" in TranslationStats.count(found).warnings()[0]
