"""Embeddings, positional encodings and the output layer."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from nmt_cli.errors import RecipeError
from nmt_cli.models.contract import DecoderOutput, ModelInputs, VocabularySpec
from nmt_cli.models.encoder_decoder import Embeddings, OutputLayer
from nmt_cli.models.positions import RotaryCache, apply_rotary_emb, sinusoidal_encoding
from nmt_cli.recipe.model import SinusoidalPositions

inputs = ModelInputs.from_ids

JOINT = VocabularySpec(source_size=9, target_size=9)
SEPARATE = VocabularySpec(source_size=9, target_size=7)


def test_tying_all_embeds_both_sides_with_one_matrix() -> None:
    embeddings, tokens = Embeddings(JOINT, 4, "all"), torch.tensor([[3, 5]])
    assert [tuple(weight.shape) for weight in embeddings.parameters()] == [(9, 4)]
    assert_close(embeddings.embed_source(inputs(tokens)), embeddings.embed_target(tokens))


@pytest.mark.parametrize("tying", ["none", "decoder"])
def test_other_tying_has_one_matrix_per_side(tying: str) -> None:
    embeddings = Embeddings(SEPARATE, 4, tying)
    assert sorted(tuple(weight.shape) for weight in embeddings.parameters()) == [(7, 4), (9, 4)]
    assert embeddings.embed_source(inputs(torch.tensor([[8]]))).shape == (1, 1, 4)


def test_tying_all_with_two_vocabularies_raises() -> None:
    with pytest.raises(RecipeError, match=r"^model\.tied_embeddings: .* 9 .* 7"):
        Embeddings(SEPARATE, 4, "all")


def test_scaled_embeddings_have_unit_standard_deviation() -> None:
    torch.manual_seed(1)
    vocabulary = VocabularySpec(source_size=500, target_size=500)
    embeddings = Embeddings(vocabulary, 64, "all", scale=8.0)
    assert abs(embeddings.embed_target(torch.arange(500)[None]).std().item() - 1) < 0.02


@pytest.mark.parametrize(("spacing", "last", "offset"), [("paper", 4, 0), ("t2t", 3, 0), ("t2t", 3, 2)])
def test_sinusoidal_encoding_follows_its_formula(spacing: str, last: int, offset: int) -> None:
    encoding = sinusoidal_encoding(torch.tensor([0, 7, 12345]), 8, SinusoidalPositions(spacing=spacing, offset=offset))
    for row, position in enumerate((0, 7, 12345)):
        angles = [(position + offset) / 10000 ** (pair / last) for pair in range(4)]
        expected = [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
        assert_close(encoding[row], torch.tensor(expected), atol=2e-3, rtol=0.0)


def test_rotary_emb_keeps_norms_and_depends_on_distance() -> None:
    torch.manual_seed(1)
    query, key = torch.randn(2, 1, 1, 1, 8)

    def dot_product(query_position: int, key_position: int) -> torch.Tensor:
        rotated = apply_rotary_emb(query, RotaryCache.from_positions(torch.tensor([query_position]), 8))
        assert_close(rotated.norm(), query.norm())
        return (rotated * apply_rotary_emb(key, RotaryCache.from_positions(torch.tensor([key_position]), 8))).sum()

    assert_close(dot_product(7, 3), dot_product(104, 100), atol=1e-4, rtol=1e-4)
    assert abs(dot_product(7, 3) - dot_product(7, 4)) > 1e-3
    assert_close(dot_product(0, 0), (query * key).sum())


def test_tied_output_layer_has_no_parameters() -> None:
    embeddings = nn.Embedding(7, 4)
    output = OutputLayer(4, embeddings, "decoder")
    hidden_states = torch.randn(2, 3, 4)
    assert list(output.parameters()) == []
    expected = hidden_states.flatten(0, 1) @ embeddings.weight.T
    assert_close(output(DecoderOutput(hidden_states), embeddings), expected)


def test_tied_output_layer_of_another_width_resizes() -> None:
    embeddings = nn.Embedding(7, 4)
    output = OutputLayer(6, embeddings, "all")
    assert [tuple(weight.shape) for weight in output.parameters()] == [(4, 6)]
    assert output(DecoderOutput(torch.randn(2, 3, 6)), embeddings).shape == (6, 7)


def test_untied_output_layer_has_matrix_and_bias() -> None:
    output = OutputLayer(6, nn.Embedding(7, 4), "none")
    assert [tuple(weight.shape) for weight in output.parameters()] == [(7, 6), (7,)]
