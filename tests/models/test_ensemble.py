"""An ensemble averages the probabilities of its models."""

import pytest
import torch
from fake_models import START, GruModel, TableModel, forced_log_probability, one, search

from nmt_cli.decoding.sentences import NO_CONSTRAINTS, Constraints
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, Model, ModelInputs, VocabularySpec
from nmt_cli.models.ensemble import Ensemble
from nmt_cli.recipe.decoding import BeamSettings, SamplingSettings, SearchSettings
from nmt_cli.recipe.model import RnnSettings, TransformerSettings

SOURCES = [[4, 5, 6], [6, 5], [5, 5, 4, 6]]
SIZES = {"width": 16, "encoder_layers": 2, "decoder_layers": 2}
STRATEGIES: list[SearchSettings] = [
    BeamSettings(beam_size=4, n_best=4),
    BeamSettings(beam_size=1),
    SamplingSettings(strategy="sampling", n_best=3),
]


def transformer(seed: int) -> Model:
    torch.manual_seed(seed)
    settings = {"architecture": "transformer", "feed_forward": 24, "heads": 2, **SIZES}
    return build(TransformerSettings.model_validate(settings), VocabularySpec(9, 9)).eval()


def rnn(seed: int, attention: str = "general") -> Model:
    torch.manual_seed(seed)
    settings = {"architecture": "rnn", "embedding_width": 12, "attention": attention, **SIZES}
    return build(RnnSettings.model_validate(settings), VocabularySpec(9, 9)).eval()


def next_probabilities(model: Model, source: ModelInputs, said: list[int]) -> torch.Tensor:
    with torch.no_grad():
        decoded = model.decode(model.encode(source), DecoderInput(torch.tensor([[START, *said]])))
        return model.logits(decoded)[-1].softmax(-1)


@pytest.mark.parametrize("weights", [(), (2.0, 1.0, 1.0), (0.1, 0.0001, 7)])
def test_ensemble_probability_is_the_weighted_mean(weights: tuple[float, ...]) -> None:
    models = [transformer(1), rnn(2), GruModel(9, seed=3)]
    ensemble = Ensemble(models, weights)
    shares = [weight / sum(weights) for weight in weights] or [1 / 3] * 3

    for said in ([], [4], [5, 5, 7, 8]):
        expected = sum(
            share * next_probabilities(model, one(4, 5), said) for model, share in zip(models, shares, strict=True)
        )
        torch.testing.assert_close(next_probabilities(ensemble, one(4, 5), said), expected)


@pytest.mark.parametrize("settings", STRATEGIES)
@pytest.mark.parametrize("make", [transformer, rnn])
def test_ensemble_of_a_model_with_itself_searches_like_the_model(make: object, settings: SearchSettings) -> None:
    assert callable(make)
    alone = search(make(1), [NO_CONSTRAINTS] * 3, settings)

    for weights in ((), (5.0, 1.0)):
        twice = search(Ensemble([make(1), make(1)], weights), [NO_CONSTRAINTS] * 3, settings)
        for found, expected in zip(twice, alone, strict=True):
            assert [each.tokens for each in found] == [each.tokens for each in expected]
            assert [each.log_probability for each in found] == pytest.approx(
                [each.log_probability for each in expected], abs=1e-4
            )


@pytest.mark.parametrize("settings", STRATEGIES)
def test_search_log_probability_equals_forced_decoding(settings: SearchSettings) -> None:
    ensemble = Ensemble([transformer(1), rnn(2), TableModel(9, end_bias=2.0)], (1.0, 2.0, 3.0))

    for sentence, found in zip(SOURCES, search(ensemble, [Constraints(prefix=(4,))] * 3, settings), strict=True):
        for each in found:
            expected = [forced_log_probability(ensemble, one(*sentence), each.tokens, ended) for ended in (True, False)]
            assert min(abs(each.log_probability - value) for value in expected) < 1e-4


def test_ensemble_attention_is_the_mean_of_models_with_attention() -> None:
    models = [transformer(1), rnn(2), rnn(3, "none")]
    target = torch.tensor([[START, 4, 5]])

    def looks(model: Model) -> torch.Tensor | None:
        with torch.no_grad():
            return model.decode(model.encode(one(4, 5, 6)), DecoderInput(target), attention=True).cross_attention

    first, second = looks(models[0]), looks(models[1])
    assert first is not None and second is not None

    torch.testing.assert_close(looks(Ensemble(models, (1.0, 3.0, 2.0))), (first + 3 * second) / 4)
    assert looks(Ensemble([models[2], models[2]])) is None
