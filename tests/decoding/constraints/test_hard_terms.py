"""Hard terms replace the words that are aligned to their source term."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from fake_models import EchoModel, ToyEncoderOutput

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.constraints.glossary import GlossaryEntry
from nmt_cli.decoding.constraints.hard_terms import HardTermSearch, missing_terms
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.scoring.annotation import Link
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import HardTerm, SentenceInput
from nmt_cli.decoding.translator import Translator
from nmt_cli.models.contract import DecoderInput, DecoderOutput
from nmt_cli.recipe.decoding import BeamSettings


class Blind(EchoModel):
    """Without attention."""

    def decode(self, encoder_output: ToyEncoderOutput, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        return super().decode(encoder_output, target)


def echo(tokenizer: Tokenizer, kind: type[EchoModel] = EchoModel, **terms: str) -> Translator:
    """Return a translator that repeats its source, with hard terms."""
    settings = BeamSettings(beam_size=3, split_sentences_above=None)
    glossary = tuple(GlossaryEntry(source.replace("_", " "), (target,)) for source, target in terms.items())
    options = TranslateOptions(glossary=glossary, glossary_mode="hard")
    return Translator(kind(tokenizer.target_size), tokenizer, settings, torch.device("cpu"), options=options)


def translated(translator: Translator, text: str, **constraints: Sequence[str]) -> str:
    (found,) = translator.translate_window([Request(text, **{key: tuple(each) for key, each in constraints.items()})])
    return found.best.text


def replacements(source: str, target: str, links: Sequence[Link], **terms: str) -> list[tuple[str, list[str]]]:
    """Return the missing terms, and the words that each may replace."""
    hard = [HardTerm(source.index(term), source.index(term) + len(term), word) for term, word in terms.items()]
    return [
        (each.target, [target[start:end] for start, end in each.spans])
        for each in missing_terms(source, target, links, hard)
    ]


def test_hard_terms_replace_the_translation_of_their_term(plain_tokenizer: Tokenizer) -> None:
    assert translated(echo(plain_tokenizer, dish="Nein"), "sit dish tea") == "sit Nein tea"
    assert translated(echo(plain_tokenizer), "sit dish tea", required=["Nein"]) == "sit dish tea Nein"


def test_several_multiword_terms_are_replaced(plain_tokenizer: Tokenizer) -> None:
    translator = echo(plain_tokenizer, gross="sit sit", sit_tea="Nein", dish="nano")

    assert translated(translator, "gross, dish sit tea!") == "sit sit, nano Nein!"


def test_replaced_translation_is_scored_by_forced_decoding(plain_tokenizer: Tokenizer) -> None:
    translator = echo(plain_tokenizer, dish="Nein")
    (source,), (target,) = plain_tokenizer.encode_source(["sit dish"]), plain_tokenizer.encode_target(["sit Nein"])

    (found,) = translator.translate_window([Request("sit dish")])

    (forced,) = translator.generator.score([SentenceInput(1, source)], [target], 1000)
    assert found.best.text == "sit Nein"
    assert found.best.log_probability == pytest.approx(forced.log_probability)


def test_best_translation_with_hard_terms_does_not_depend_on_the_others(plain_tokenizer: Tokenizer) -> None:
    translator = echo(plain_tokenizer, dish="Nein")
    rows = plain_tokenizer.encode_target(["sit dish tea", "sit Nein sit"])
    translator.settings = translator.settings.model_copy(update={"n_best": 2})

    def search(sentences: Sequence[SentenceInput], *rest: Any) -> list[list[Hypothesis]]:
        return [[Hypothesis(tuple(row), 0.0, 0.0) for row in rows] for _ in sentences]

    translator.generator.search = search  # type: ignore[method-assign]
    (found,) = translator.translate_window([Request("sit dish tea")])

    assert [each.text for each in found.hypotheses] == ["sit Nein tea", "sit Nein sit"]


def test_hypotheses_with_hard_terms_are_distinct(plain_tokenizer: Tokenizer) -> None:
    text, translator = "sit dish tea", echo(plain_tokenizer, dish="Nein")
    rows = plain_tokenizer.encode_target([text, "sit Nein tea", "sit Nein sit"])
    (constraints,) = translator.constraint_builder.build(Request(text), [(0, len(text))])
    sentence = SentenceInput(1, plain_tokenizer.encode_source([text])[0], constraints)

    def search(sentences: Sequence[SentenceInput], *rest: Any) -> list[list[Hypothesis]]:
        return [[Hypothesis(tuple(row), 0.0, 0.0) for row in rows] for _ in sentences]

    terms = HardTermSearch(translator.generator, plain_tokenizer, translator.settings)
    (found,) = terms.search([sentence], [text], search)

    assert [list(each.tokens) for each in found] == rows[1:]


def test_only_terms_without_alignment_are_searched_again(plain_tokenizer: Tokenizer) -> None:
    translator = echo(plain_tokenizer, tea="tea", dish="Nein")
    search, asked = translator.generator.search, list[int]()
    heard = list[int]()

    def counting(sentences: Sequence[SentenceInput], *rest: Any) -> list[list[Hypothesis]]:
        asked.extend(sentence.line for sentence in sentences)
        return search(sentences, *rest)

    translator.generator.search = counting  # type: ignore[method-assign]

    translator.translate_window([Request("a tea"), Request("a dish"), Request("a dish-sit")], on_progress=heard.append)

    assert sorted(asked) == [1, 2, 3, 3]
    assert sum(heard) == 3


def test_terms_do_not_violate_other_constraints(plain_tokenizer: Tokenizer) -> None:
    found = translated(echo(plain_tokenizer, dish="Nein"), "sit dish tea", forbidden=["sit Nein"])

    assert "Nein" in found.split() and "sit Nein" not in found


def test_terms_do_not_replace_the_prefix(plain_tokenizer: Tokenizer) -> None:
    translator = echo(plain_tokenizer, dish="Nein")

    (found,) = translator.translate_window([Request("dish tea", prefix="dish")])

    assert found.best.text.startswith("dish") and found.terms[0].is_used


def test_model_without_attention_searches_with_forced_phrases(plain_tokenizer: Tokenizer) -> None:
    assert translated(echo(plain_tokenizer, Blind, dish="Nein"), "sit dish tea") == "sit dish tea Nein"


def test_punctuation_around_replaced_words_stays() -> None:
    found = replacements("a 'bike' here.", "Hier ein „Rad“.", [(2, 0), (0, 1), (1, 2)], bike="Velo")

    assert found == [("Velo", ["Rad"])]


def test_missing_terms_may_replace_any_run_of_aligned_words() -> None:
    found = replacements("a bike", "auf dem Rad sein Rad", [(1, 1), (1, 2), (0, 3), (1, 4)], bike="Velo")

    assert found == [("Velo", ["dem", "dem Rad", "Rad", "Rad"])]


def test_multiword_terms_replace_all_aligned_words() -> None:
    assert ("Wurst", ["heißer", "heißer Hund", "Hund"]) in replacements(
        "hot dog", "heißer Hund", [(0, 0), (1, 1)], **{"hot dog": "Wurst"}
    )


@pytest.mark.parametrize(
    ("source", "target", "links"),
    [
        ("a bike", "ein Rad", [(0, 0), (0, 1)]),
        ("a bike-rack", "ein Ständer", [(0, 0), (1, 1)]),
        ("a mountainbike", "ein Rad", [(0, 0), (1, 1)]),
        ("a bike", "一 自転車", [(0, 0), (1, 1)]),
        ("a bike", "ein .", [(0, 0), (1, 1)]),
    ],
)
def test_unaligned_or_partial_words_have_no_span(source: str, target: str, links: list[Link]) -> None:
    assert replacements(source, target, links, bike="Velo") == [("Velo", [])]


def test_present_terms_are_not_missing() -> None:
    assert replacements("a bike", "ein Velo", [(0, 0), (1, 1)], bike="Velo") == []
    assert replacements("a bike", "ein Velo", [(1, 0), (0, 1)], bike="Velo") == []
    assert replacements("a bike", "ein Velofahrer", [(0, 0), (1, 1)], bike="Velo") == [("Velo", ["Velofahrer"])]


def test_each_occurrence_needs_its_own_target() -> None:
    source, target, links = "bike cycle", "Rad Velo", [(0, 0), (1, 1)]

    assert replacements(source, target, links, bike="Velo", cycle="Velo") == [("Velo", ["Rad"])]
