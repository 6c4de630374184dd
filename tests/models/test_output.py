"""The output layer: tied or not, with what is needed to fit."""

import torch
from torch import nn
from torch.testing import assert_close

from nmt_cli.models.contract import DecoderOutput
from nmt_cli.models.encoder_decoder import OutputLayer


def test_tied_scores_are_products_with_the_embeddings_without_weights_of_their_own() -> None:
    embeddings = nn.Embedding(7, 4)
    output = OutputLayer(4, embeddings, "decoder")
    vectors = torch.randn(2, 3, 4)
    assert list(output.parameters()) == []
    expected = vectors.flatten(0, 1) @ embeddings.weight.T
    assert_close(output(DecoderOutput(vectors), embeddings), expected)


def test_tied_vectors_of_another_width_are_fitted_first() -> None:
    embeddings = nn.Embedding(7, 4)
    output = OutputLayer(6, embeddings, "all")
    assert [tuple(weight.shape) for weight in output.parameters()] == [(4, 6)]
    assert output(DecoderOutput(torch.randn(2, 3, 6)), embeddings).shape == (6, 7)


def test_untied_output_has_its_own_matrix_and_a_bias() -> None:
    output = OutputLayer(6, nn.Embedding(7, 4), "none")
    assert [tuple(weight.shape) for weight in output.parameters()] == [(7, 6), (7,)]
