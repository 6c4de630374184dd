"""Scores of pairs of lines."""

import math

import pytest
import torch
from fake_models import EchoModel
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.decoding.requests import Request
from nmt_cli.decoding.scoring import scorer as module
from nmt_cli.decoding.scoring.annotation import sum_word_scores
from nmt_cli.decoding.scoring.scorer import ScoredPair, Scorer, ScoringPair
from nmt_cli.decoding.translator import Translator
from nmt_cli.recipe.decoding import BeamSettings

SETTINGS = BeamSettings(beam_size=3, length_penalty=0.7)
LINES = ["Nein tea", "no  tea\there", "10 000 its", "日本"]


@pytest.fixture(scope="module")
def translator(plain_tokenizer: Tokenizer) -> Translator:
    """Translates each source to itself, in the same subwords."""
    return Translator(
        EchoModel(plain_tokenizer.target_size, sureness=9), plain_tokenizer, SETTINGS, torch.device("cpu")
    )


def scored(translator: Translator, *pairs: tuple[str, str]) -> list[ScoredPair]:
    scorer = Scorer(translator.generator, translator.tokenizer, SETTINGS)
    return scorer.score_window([ScoringPair(*pair) for pair in pairs])


def test_scorer_agrees_with_search(translator: Translator) -> None:
    searched = [translation.best for translation in translator.translate(map(Request, LINES))]
    again = scored(translator, *((line, best.text) for line, best in zip(LINES, searched, strict=True)))

    assert [best.text.split() for best in searched] == [line.split() for line in LINES]
    for best, pair in zip(searched, again, strict=True):
        assert pair.log_probability == pytest.approx(best.log_probability, abs=1e-4) != 0
        assert pair.score == pytest.approx(best.score, abs=1e-4)


@settings(max_examples=30)
@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))] * 2)))
def test_word_scores_sum_to_the_log_probability(translator: Translator, pairs: list[tuple[str, str]]) -> None:
    for (source, target), found in zip(pairs, scored(translator, *pairs), strict=True):
        assert (found.pair.source, found.pair.target) == (source, target)
        assert found.log_probability <= 0
        if math.isfinite(found.log_probability):
            assert sum(found.word_scores) == pytest.approx(found.log_probability, abs=1e-6)
            assert found.score == pytest.approx(found.log_probability / found.length**0.7)


def test_blank_lines_score_zero_together_and_minus_infinity_alone(translator: Translator) -> None:
    both, one, other = scored(translator, ("", " \u200b"), ("\u2028", "a"), ("a", ""))

    assert (both.log_probability, one.log_probability, other.log_probability) == (0, -math.inf, -math.inf)


def test_too_long_pairs_score_minus_infinity(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SIDE_TOKENS", 8)

    long, short = scored(translator, ("tea " * 9, "tea"), ("a", "b"))

    assert long.log_probability == -math.inf < short.log_probability


def test_sum_word_scores_sums_tokens_of_words() -> None:
    assert sum_word_scores(3, [[0], [0], [2], []], [-1, -2, -4, -8, -16]) == (-3, 0, -12, -16)
    assert sum_word_scores(0, [[]], [-1, -2]) == (-2,)
