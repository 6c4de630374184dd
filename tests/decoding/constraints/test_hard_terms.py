"""Hard terms stand where the translation without them says the source term."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from fake_models import EchoModel, ToyEncoderOutput

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.constraints.glossary import GlossaryEntry
from nmt_cli.decoding.constraints.hard_terms import missing_terms
from nmt_cli.decoding.requests import Request, TranslateOptions
from nmt_cli.decoding.scoring.alignment import Link
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
    """Says each source again, but for hard terms."""
    settings = BeamSettings(beam_size=3, split_sentences_above=None)
    glossary = tuple(GlossaryEntry(source.replace("_", " "), (target,)) for source, target in terms.items())
    options = TranslateOptions(glossary=glossary, glossary_mode="hard")
    return Translator(kind(tokenizer.target_size), tokenizer, settings, torch.device("cpu"), options=options)


def said(translator: Translator, text: str, **wishes: Sequence[str]) -> str:
    (found,) = translator.translate_window([Request(text, **{key: tuple(each) for key, each in wishes.items()})])
    return found.best.text


def replacements(source: str, target: str, links: Sequence[Link], **terms: str) -> list[tuple[str, list[str]]]:
    """What is unsaid, and the words that it may replace."""
    hard = [HardTerm(source.index(term), source.index(term) + len(term), word) for term, word in terms.items()]
    return [
        (each.target, [target[start:end] for start, end in each.spans])
        for each in missing_terms(source, target, links, hard)
    ]


def test_terms_replace_what_the_model_would_say(plain_tokenizer: Tokenizer) -> None:
    assert said(echo(plain_tokenizer, dish="Nein"), "sit dish tea") == "sit Nein tea"
    assert said(echo(plain_tokenizer), "sit dish tea", required=["Nein"]) == "sit dish tea Nein"


def test_several_terms_of_several_words_go_to_their_places(plain_tokenizer: Tokenizer) -> None:
    translator = echo(plain_tokenizer, gross="sit sit", sit_tea="Nein", dish="nano")

    assert said(translator, "gross, dish sit tea!") == "sit sit, nano Nein!"


def test_the_log_probability_is_that_of_the_text(plain_tokenizer: Tokenizer) -> None:
    translator = echo(plain_tokenizer, dish="Nein")
    (source,), (target,) = plain_tokenizer.encode_source(["sit dish"]), plain_tokenizer.encode_target(["sit Nein"])

    (found,) = translator.translate_window([Request("sit dish")])

    (forced,) = translator.generator.score([SentenceInput(1, source)], [target], 1000)
    assert found.best.text == "sit Nein"
    assert found.best.log_probability == pytest.approx(forced.log_probability)


def test_only_what_alignment_cannot_place_is_searched_for_again(plain_tokenizer: Tokenizer) -> None:
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


def test_a_term_is_not_put_where_other_wishes_forbid_it(plain_tokenizer: Tokenizer) -> None:
    found = said(echo(plain_tokenizer, dish="Nein"), "sit dish tea", forbidden=["sit Nein"])

    assert "Nein" in found.split() and "sit Nein" not in found


def test_a_prefix_stays(plain_tokenizer: Tokenizer) -> None:
    translator = echo(plain_tokenizer, dish="Nein")

    (found,) = translator.translate_window([Request("dish tea", prefix="dish")])

    assert found.best.text.startswith("dish") and found.terms[0].is_used


def test_without_attention_search_alone_sees_to_terms(plain_tokenizer: Tokenizer) -> None:
    assert said(echo(plain_tokenizer, Blind, dish="Nein"), "sit dish tea") == "sit dish tea Nein"


def test_signs_around_a_word_stay() -> None:
    found = replacements("a 'bike' here.", "Hier ein „Rad“.", [(2, 0), (0, 1), (1, 2)], bike="Velo")

    assert found == [("Velo", ["Rad"])]


def test_words_that_answer_are_replaced_alone_or_with_their_neighbours() -> None:
    found = replacements("a bike", "auf dem Rad sein Rad", [(1, 1), (1, 2), (0, 3), (1, 4)], bike="Velo")

    assert found == [("Velo", ["dem", "dem Rad", "Rad", "Rad"])]


def test_terms_of_several_words_replace_all_their_answers() -> None:
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
def test_what_answers_to_nothing_or_not_as_a_whole_word_has_no_place(
    source: str, target: str, links: list[Link]
) -> None:
    assert replacements(source, target, links, bike="Velo") == [("Velo", [])]


def test_what_is_said_is_not_said_again() -> None:
    assert replacements("a bike", "ein Velo", [(0, 0), (1, 1)], bike="Velo") == []
    assert replacements("a bike", "ein Velo", [(1, 0), (0, 1)], bike="Velo") == []
    assert replacements("a bike", "ein Velofahrer", [(0, 0), (1, 1)], bike="Velo") == [("Velo", ["Velofahrer"])]


def test_each_occurrence_is_said_once() -> None:
    source, target, links = "bike cycle", "Rad Velo", [(0, 0), (1, 1)]

    assert replacements(source, target, links, bike="Velo", cycle="Velo") == [("Velo", ["Rad"])]
