"""Rules decide what may be said, and leave log-probabilities alone."""

from collections.abc import Sequence

import pytest
import torch
from fake_models import END, GruModel, batch_of, forced_log_probability, one, search_with

from nmt_cli.decoding.logits_processors.processor import LogitsProcessor, MinLength, SuppressTokens
from nmt_cli.decoding.search.hypotheses import Hypothesis
from nmt_cli.decoding.sentences import SentenceInput
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings

CPU = torch.device("cpu")
GIVEN = [[4, 5, 6], [7], [8, 4, 4, 5, 6]]
SENTENCES = [SentenceInput(line, tokens) for line, tokens in enumerate(GIVEN, 1)]
SETTINGS = [BeamSettings(beam_size=1), BeamSettings(beam_size=4, n_best=4), SamplingSettings(strategy="sampling")]


def found_with(
    model: GruModel, settings: BeamSettings | SamplingSettings, rules: Sequence[LogitsProcessor]
) -> list[list[Hypothesis]]:
    return search_with(rules, model, batch_of(GIVEN), settings, SENTENCES)


@pytest.mark.parametrize("settings", SETTINGS)
def test_forbidden_words_are_never_said(settings: BeamSettings | SamplingSettings) -> None:
    model = GruModel(9, seed=4, end_bias=2.0)
    said = {word for found in found_with(model, settings, []) for each in found for word in each.tokens}
    forbidden = sorted(said)[:2]

    allowed = found_with(model, settings, [SuppressTokens(forbidden, CPU)])

    assert not {word for found in allowed for each in found for word in each.tokens} & set(forbidden)
    assert all(allowed)


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_translation_is_as_long_as_it_must_be(settings: BeamSettings | SamplingSettings) -> None:
    model = GruModel(9, seed=4, end_bias=6.0)
    assert min(len(each.tokens) for found in found_with(model, settings, []) for each in found) < 4

    found = found_with(model, settings, [MinLength(4, END)])

    assert min(len(each.tokens) for hypotheses in found for each in hypotheses) == 4


@pytest.mark.parametrize("settings", SETTINGS)
def test_rules_leave_log_probabilities_alone(settings: BeamSettings | SamplingSettings) -> None:
    model = GruModel(9, seed=4, end_bias=6.0)
    rules = [SuppressTokens([0, 1, 2, 5], CPU), MinLength(3, END)]

    for sentence, found in zip(GIVEN, found_with(model, settings, rules), strict=True):
        for hypothesis in found:
            expected = forced_log_probability(model, one(*sentence), hypothesis.tokens)
            assert hypothesis.log_probability == pytest.approx(expected, abs=1e-4)
