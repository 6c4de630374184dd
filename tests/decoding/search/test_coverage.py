"""The coverage penalty, compared with attention computed separately."""

import math

import pytest
import torch
from fake_models import END, START, GruModel, search

from nmt_cli.decoding.sentences import NO_CONSTRAINTS
from nmt_cli.errors import RecipeError
from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, ModelInputs, VocabularySpec
from nmt_cli.recipe.decoding import BeamSettings
from nmt_cli.recipe.model import RnnSettings, TransformerSettings

SOURCES = [[4, 5, 6], [6, 5], [5, 5, 4, 6, 7]]
ALL = BeamSettings(beam_size=5, n_best=5)


SIZES = {"width": 16, "encoder_layers": 1, "decoder_layers": 1}
MODELS = [
    TransformerSettings.model_validate({"architecture": "transformer", "feed_forward": 24, "heads": 2, **SIZES}),
    RnnSettings.model_validate({"architecture": "rnn", "embedding_width": 12, **SIZES}),
]


@pytest.mark.parametrize("settings", MODELS)
def test_coverage_penalty_reranks_translations(settings: TransformerSettings | RnnSettings) -> None:
    torch.manual_seed(1)
    model = build(settings, VocabularySpec(9, 9)).eval()
    plain = search(model, [NO_CONSTRAINTS] * 3, ALL, sources=SOURCES)

    found = search(model, [NO_CONSTRAINTS] * 3, ALL.model_copy(update={"coverage_penalty": 0.8}), sources=SOURCES)

    for source, before, after in zip(SOURCES, plain, found, strict=True):
        expected = {}
        for each in before:
            with torch.no_grad():
                memory = model.encode(ModelInputs.from_ids(torch.tensor([[*source, END]])))
                looked = model.decode(
                    memory, DecoderInput(torch.tensor([[START, *each.tokens]])), attention=True
                ).cross_attention
            assert looked is not None
            coverage = sum(math.log(min(1.0, float(looked[0, :, place].sum()))) for place in range(len(source)))
            expected[each.tokens] = each.score + 0.8 * coverage
        assert [each.tokens for each in after] == sorted(expected, key=expected.__getitem__, reverse=True)
        assert [each.score for each in after] == pytest.approx(sorted(expected.values(), reverse=True), abs=1e-4)
        assert {each.tokens: each.log_probability for each in after} == {
            each.tokens: each.log_probability for each in before
        }


def test_coverage_penalty_needs_attention() -> None:
    with pytest.raises(RecipeError, match=r"^decoding\.coverage_penalty: "):
        search(GruModel(9, end_bias=2.0), [NO_CONSTRAINTS], BeamSettings(coverage_penalty=0.2))
