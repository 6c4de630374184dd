"""Shallow fusion ranks by the weighted sum of both models, whatever the beam does."""

import pytest
import torch
from fake_models import END, START, GruModel, batch_of, forced_log_probability, one, search_with

from nmt_cli.decoding.logits_processors.fusion import LanguageModelFusion
from nmt_cli.decoding.logits_processors.processor import SuppressTokens
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.recipe.model import DecoderOnlySettings

SUPPRESS = SuppressTokens([0, 1, 2], torch.device("cpu"))
SENTENCES = [[4, 5, 6], [7], [8, 4], [5, 5, 5, 5]]


@pytest.fixture
def language_model() -> Model:
    torch.manual_seed(1)
    sizes = {"width": 16, "feed_forward": 24, "layers": 2, "heads": 4}
    settings = DecoderOnlySettings.model_validate({"architecture": "decoder_only", **sizes})
    return build(settings, VocabularySpec(9, 9)).eval()


@torch.no_grad()
def next_log_probs(model: Model, source: ModelInputs, tokens: tuple[int, ...]) -> torch.Tensor:
    decoded = model.decode(model.encode(source), DecoderInput(torch.tensor([[START, *tokens]])))
    return model.logits(decoded).float().log_softmax(-1)


@pytest.mark.parametrize("beam_size", [1, 3, 6])
def test_scores_are_weighted_sums_and_log_probabilities_those_of_the_model(
    language_model: Model, beam_size: int
) -> None:
    model, weight = GruModel(9, seed=4, end_bias=2.0), 0.7
    settings = BeamSettings(beam_size=beam_size, n_best=beam_size, length_penalty=0.5)
    fusion = LanguageModelFusion(language_model, weight)
    found = search_with([SUPPRESS, fusion], model, batch_of(SENTENCES), settings)
    for sentence, hypotheses in zip(SENTENCES, found, strict=True):
        assert hypotheses
        for each in hypotheses:
            own = forced_log_probability(model, one(*sentence), each.tokens, each.has_eos)
            labels = [*each.tokens, END] if each.has_eos else [*each.tokens]
            log_probs = next_log_probs(language_model, ModelInputs(1), each.tokens)
            others = float(log_probs[range(len(labels)), labels].sum())
            assert each.log_probability == pytest.approx(own, abs=1e-4)
            assert each.score == pytest.approx((own + weight * others) / len(labels) ** 0.5, abs=1e-4)


def test_greedy_search_takes_the_best_sum(language_model: Model) -> None:
    model, source = GruModel(9, seed=5, end_bias=3.0), one(4, 5, 6)
    settings = BeamSettings(beam_size=1)
    fusion = LanguageModelFusion(language_model, 2.0)
    ((found,),) = search_with([SUPPRESS, fusion], model, source, settings)
    tokens: tuple[int, ...] = ()
    while len(tokens) < len(found.tokens):
        sums = (
            next_log_probs(model, source, tokens)[-1] + 2 * next_log_probs(language_model, ModelInputs(1), tokens)[-1]
        )
        sums[:3] = -torch.inf
        tokens = (*tokens, int(sums.argmax()))
    assert tokens == found.tokens
    ((alone,),) = search_with([SUPPRESS], model, source, settings)
    assert alone.tokens != found.tokens
