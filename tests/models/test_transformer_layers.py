"""Our Transformer layers against torch's own on the same weights."""

import pytest
import torch
from test_attention import copy_self_attention, copy_source_attention
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.models.transformer_layers import DecoderLayer, EncoderLayer, FeedForward, Residual, new_norm
from nmt_cli.recipe.model import NormSettings, TransformerSettings


@pytest.mark.parametrize("place", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer_matches_torch(place: str, activation: str) -> None:
    torch.manual_seed(1)
    ours = EncoderLayer(settings(norm=NormSettings(position=place), activation=activation)).eval()
    # In training mode without dropout, as in evaluation torch takes a fused path of its own.
    theirs = nn.TransformerEncoderLayer(16, 4, 24, 0.0, activation, batch_first=True, norm_first=place == "pre")
    copy_self_attention(theirs.self_attn, ours.self_attention)
    copy_rest(ours, theirs, {"self_attention_residual": "norm1", "feed_forward_residual": "norm2"})
    vectors = torch.randn(3, 5, 16)
    hidden = torch.arange(5) >= torch.tensor([[5], [2], [3]])
    expected = theirs(vectors, src_key_padding_mask=hidden)
    assert_close(ours(vectors, None, ~hidden[:, None, None]), expected)


@pytest.mark.parametrize("place", ["pre", "post"])
def test_decoder_layer_matches_torch(place: str) -> None:
    torch.manual_seed(1)
    ours = DecoderLayer(settings(norm=NormSettings(position=place))).eval()
    theirs = nn.TransformerDecoderLayer(16, 4, 24, 0.0, batch_first=True, norm_first=place == "pre")
    copy_self_attention(theirs.self_attn, ours.self_attention)
    copy_source_attention(theirs.multihead_attn, ours.cross_attention)
    sublayers = "self_attention", "cross_attention", "feed_forward"
    copy_rest(ours, theirs, {f"{name}_residual": f"norm{index}" for index, name in enumerate(sublayers, 1)})
    vectors, memory = torch.randn(3, 4, 16), torch.randn(3, 5, 16)
    future = nn.Transformer.generate_square_subsequent_mask(4)
    expected = theirs(vectors, memory, tgt_mask=future, tgt_is_causal=True)
    assert_close(ours(vectors, None, None, memory, None, False)[0], expected)


def test_swiglu_multiplies_by_the_gate() -> None:
    torch.manual_seed(1)
    layer = FeedForward(settings(activation="swiglu")).eval()
    vectors = torch.randn(3, 16)
    gate, passed = layer.inner(vectors).split(24, dim=-1)
    assert_close(layer(vectors), layer.outer(gate * gate.sigmoid() * passed))


def test_rms_norm_divides_by_the_root_mean_square() -> None:
    vectors = torch.randn(3, 16)
    expected = vectors / vectors.square().mean(-1, keepdim=True).sqrt()
    assert_close(new_norm(settings(norm=NormSettings(type="rms")))(vectors), expected)


def test_residual_dropout_applies_to_sublayer_output_only() -> None:
    around = Residual(settings(dropout=0.5)).train()
    vectors = torch.randn(100, 16)
    left = around.add(vectors, torch.ones(100, 16))
    assert_close((left - vectors).unique(dim=None).round(decimals=3).unique(), torch.tensor([0.0, 2.0]))


def test_feed_forward_has_activation_dropout() -> None:
    layer = FeedForward(settings(activation_dropout=0.5)).train()
    vectors = torch.randn(2, 16)
    assert not torch.equal(layer(vectors), layer(vectors))
    assert_close(layer.eval()(vectors), layer.outer(functional.relu(layer.inner(vectors))))


def settings(**changes: object) -> TransformerSettings:
    sizes = {"width": 16, "feed_forward": 24, "encoder_layers": 1, "decoder_layers": 1, "heads": 4}
    return TransformerSettings.model_validate({"architecture": "transformer", **sizes, **changes})


def copy_rest(ours: nn.Module, theirs: nn.Module, norms: dict[str, str]) -> None:
    for our_name, their_name in norms.items():
        norm = theirs.get_submodule(their_name)
        nn.init.normal_(norm.weight)
        ours.get_submodule(our_name + ".norm").load_state_dict(norm.state_dict())
    ours.get_submodule("feed_forward.inner").load_state_dict(theirs.get_submodule("linear1").state_dict())
    ours.get_submodule("feed_forward.outer").load_state_dict(theirs.get_submodule("linear2").state_dict())
