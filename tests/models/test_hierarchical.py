"""The hierarchical encoder against a flat one, and its attention against slow and obvious computations."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nmt_cli.models import build
from nmt_cli.models.contract import DecoderInput, ModelInputs, VocabularySpec
from nmt_cli.models.transformer import Transformer
from nmt_cli.models.transformer.hierarchical import HierarchicalTransformer, SegmentPooling
from nmt_cli.recipe.model import TransformerSettings

VOCABULARY = VocabularySpec(source_size=13, target_size=13)
POSITIONS = ["sinusoidal", "rotary", "learned", "relative"]
inputs = ModelInputs.from_ids


def new(**changes: Any) -> Transformer:
    sizes = {"width": 16, "feed_forward": 24, "encoder_layers": 3, "decoder_layers": 2, "heads": 4}
    settings = TransformerSettings.model_validate({"architecture": "transformer", **sizes, **changes})
    torch.manual_seed(1)
    model = build(settings, VOCABULARY).eval()
    assert isinstance(model, Transformer)
    for weight in model.parameters():
        if not weight.any():
            nn.init.normal_(weight, std=0.5)
    return model


def hierarchical(segment_tokens: int, document_layers: int = 1, **changes: Any) -> HierarchicalTransformer:
    encoder = {"type": "hierarchical", "segment_tokens": segment_tokens, "document_layers": document_layers}
    model = new(encoder=encoder, **changes)
    assert isinstance(model, HierarchicalTransformer)
    return model


def ids(*shape: int) -> Tensor:
    return torch.randint(13, shape)


@pytest.mark.parametrize("positions", POSITIONS)
def test_one_segment_without_document_vector_is_a_flat_encoder(positions: str) -> None:
    model = hierarchical(8, document_layers=1, positions={"type": positions})
    nn.init.zeros_(model.document_norm.weight)
    nn.init.zeros_(model.document_norm.bias)
    flat = new(encoder_layers=2, positions={"type": positions})
    assert flat.load_state_dict(model.state_dict(), strict=False).missing_keys == []
    source, target = inputs(ids(3, 8), torch.tensor([8, 2, 5])), DecoderInput(ids(3, 4))
    found, expected = (each.decode(each.encode(source), target).hidden_states for each in (model, flat))
    assert_close(found, expected)


@pytest.mark.parametrize("positions", POSITIONS)
def test_encoder_equals_a_loop_over_segments(positions: str) -> None:
    model, source = hierarchical(3, document_layers=2, positions={"type": positions}), ids(2, 8)
    indices = torch.arange(8)
    embedded = model.embeddings.embed_source(inputs(source))
    additive = model.encoder_positions(indices).additive
    embedded = embedded if additive is None else embedded + additive
    segments, vectors = [], []
    for segment in embedded.split(3, dim=1):
        [mask, *_] = model.encoder_positions.attn_masks(None, segment.size(1), 3)
        rotary = model.encoder_positions(torch.arange(segment.size(1))).rotary
        tokens = model.encoder[0](segment, rotary, mask)
        segments.append(tokens)
        weights = torch.exp(tokens @ model.segment_pooling.query)
        vectors.append((weights.unsqueeze(-1) * tokens).sum(1) / weights.sum(1, keepdim=True))
    document = torch.stack(vectors, dim=1)
    encoding = model.encoder_positions(torch.arange(3))
    document = document if encoding.additive is None else document + encoding.additive
    [mask, *_] = model.encoder_positions.attn_masks(None, 3, 3)
    for layer in (model.encoder[1], model.encoder[2]):
        document = layer(document, encoding.rotary, mask)
    document = model.document_norm(document)
    expected = [model.encoder_norm(tokens) + document[:, i : i + 1] for i, tokens in enumerate(segments)]
    assert_close(model.encode(inputs(source)).hidden_states, torch.cat(expected, dim=1))


def test_cross_attention_is_the_product_of_attention_to_tokens_and_to_segments() -> None:
    model, query, tokens, document = hierarchical(3), torch.randn(1, 5, 16), torch.randn(8, 16), torch.randn(3, 16)
    attention, segment_of = model.decoder[0].cross_attention, [0, 0, 0, 1, 1, 1, 2, 2]
    nn.init.zeros_(attention.key_value.bias)

    def weights(vectors: Tensor) -> Tensor:  # [H,T,S]
        return attention.head_weights(query, attention.project_kv(vectors.unsqueeze(0)), None)[0]

    product = weights(tokens) * weights(document)[..., segment_of]
    assert_close(weights(tokens + document[segment_of]), product / product.sum(-1, keepdim=True))


def test_tokens_see_other_segments_through_document_layers_only() -> None:
    model, source = hierarchical(3), ids(1, 9)
    changed = source.clone()
    changed[0, 1] = (changed[0, 1] + 1) % 13
    before, after = (model.encode(inputs(each)).hidden_states[0] for each in (source, changed))
    moved = (after - before)[3:].view(2, 3, 16)
    assert moved.abs().max() > 1e-3
    assert_close(moved, moved[:, :1].expand(2, 3, 16), atol=1e-5, rtol=1e-4)


def test_pooling_starts_as_the_mean_of_the_tokens() -> None:
    vectors, is_token = torch.randn(2, 3, 16), torch.tensor([[True, True, True], [True, False, False]])
    found = SegmentPooling(16)(vectors, is_token)
    assert_close(found, torch.stack([vectors[0].mean(0), vectors[1, 0]]))


def test_parameters_are_those_of_the_flat_encoder_and_three_vectors() -> None:
    count = [sum(weight.numel() for weight in model.parameters()) for model in (new(), hierarchical(3))]
    assert count[1] - count[0] == 3 * 16
