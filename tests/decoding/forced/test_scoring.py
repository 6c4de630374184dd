"""Pairs are scored as they would be said; what cannot be said is no mistake."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import EchoModel

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.forced import scoring as module
from nmt_cli.decoding.forced.scoring import Pair, ScoredPair, Scorer, word_scores
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.translator import Translator
from nmt_cli.recipe.decoding import BeamSettings

SETTINGS = BeamSettings(beam_size=3, length_penalty=0.7)
LINES = ["Nein tea", "no  tea\there", "10 000 its", "日本"]


@pytest.fixture(scope="module")
def translator(plain_tokenizer: Tokenizer) -> Translator:
    """Says each source again, in the same subwords."""
    return Translator(
        EchoModel(plain_tokenizer.target_size, sureness=9), plain_tokenizer, SETTINGS, torch.device("cpu")
    )


def scored(translator: Translator, *pairs: tuple[str, str]) -> list[ScoredPair]:
    scorer = Scorer(translator.searcher, translator.tokenizer, SETTINGS)
    return scorer.score_window([Pair(*pair) for pair in pairs])


def test_a_translation_has_the_score_that_search_gave_it(translator: Translator) -> None:
    searched = [translation.best for translation in translator.translate(map(Request, LINES))]
    again = scored(translator, *((line, best.text) for line, best in zip(LINES, searched, strict=True)))

    assert [best.text.split() for best in searched] == [line.split() for line in LINES]
    for best, pair in zip(searched, again, strict=True):
        assert pair.log_probability == pytest.approx(best.log_probability, abs=1e-4) != 0
        assert pair.score == pytest.approx(best.score, abs=1e-4)


@settings(max_examples=30)
@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))] * 2)))
def test_every_pair_has_a_score_and_its_words_add_up(translator: Translator, pairs: list[tuple[str, str]]) -> None:
    for (source, target), found in zip(pairs, scored(translator, *pairs), strict=True):
        assert (found.pair.source, found.pair.target) == (source, target)
        assert found.log_probability <= 0
        if math.isfinite(found.log_probability):
            assert sum(found.words) == pytest.approx(found.log_probability, abs=1e-6)
            assert found.score == pytest.approx(found.log_probability / found.length**0.7)


def test_blank_lines_belong_together(translator: Translator) -> None:
    both, one, other = scored(translator, ("", " \u200b"), ("\u2028", "a"), ("a", ""))

    assert (both.log_probability, one.log_probability, other.log_probability) == (0, -math.inf, -math.inf)


def test_what_is_too_long_is_not_asked_for(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_SIDE", 8)

    long, short = scored(translator, ("tea " * 9, "tea"), ("a", "b"))

    assert long.log_probability == -math.inf < short.log_probability


def test_words_have_the_sum_of_their_tokens() -> None:
    assert word_scores(3, [[0], [0], [2], []], [-1, -2, -4, -8, -16]) == (-3, 0, -12, -16)
    assert word_scores(0, [[]], [-1, -2]) == (-2,)
