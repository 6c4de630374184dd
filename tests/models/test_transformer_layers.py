"""Transformer layers against torch's own with the same parameters."""

import pytest
import torch
from test_attention import copy_cross_attention, copy_self_attention
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.models.transformer.layers import DecoderLayer, EncoderLayer, FeedForward, Residual, new_norm
from nmt_cli.recipe.model import NormSettings, TransformerSettings


@pytest.mark.parametrize("position", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer_matches_torch(position: str, activation: str) -> None:
    torch.manual_seed(1)
    ours = EncoderLayer(settings(norm=NormSettings(position=position), activation=activation)).eval()
    # In training mode without dropout, as in evaluation torch takes a fused path of its own.
    theirs = nn.TransformerEncoderLayer(16, 4, 24, 0.0, activation, batch_first=True, norm_first=position == "pre")
    copy_self_attention(theirs.self_attn, ours.self_attention)
    copy_rest(ours, theirs, {"self_attention_residual": "norm1", "feed_forward_residual": "norm2"})
    hidden_states = torch.randn(3, 5, 16)
    is_padding = torch.arange(5) >= torch.tensor([[5], [2], [3]])
    expected = theirs(hidden_states, src_key_padding_mask=is_padding)
    assert_close(ours(hidden_states, None, ~is_padding[:, None, None]), expected)


@pytest.mark.parametrize("position", ["pre", "post"])
def test_decoder_layer_matches_torch(position: str) -> None:
    torch.manual_seed(1)
    ours = DecoderLayer(settings(norm=NormSettings(position=position))).eval()
    theirs = nn.TransformerDecoderLayer(16, 4, 24, 0.0, batch_first=True, norm_first=position == "pre")
    copy_self_attention(theirs.self_attn, ours.self_attention)
    copy_cross_attention(theirs.multihead_attn, ours.cross_attention)
    sublayers = "self_attention", "cross_attention", "feed_forward"
    copy_rest(ours, theirs, {f"{name}_residual": f"norm{index}" for index, name in enumerate(sublayers, 1)})
    hidden_states, encoder_output = torch.randn(3, 4, 16), torch.randn(3, 5, 16)
    causal_mask = nn.Transformer.generate_square_subsequent_mask(4)
    expected = theirs(hidden_states, encoder_output, tgt_mask=causal_mask, tgt_is_causal=True)
    assert_close(ours(hidden_states, None, None, encoder_output, None, False)[0], expected)


def test_swiglu_multiplies_by_the_gate() -> None:
    torch.manual_seed(1)
    layer = FeedForward(settings(activation="swiglu")).eval()
    hidden_states = torch.randn(3, 16)
    gate, values = layer.inner(hidden_states).split(24, dim=-1)
    assert_close(layer(hidden_states), layer.outer(gate * gate.sigmoid() * values))


def test_rms_norm_divides_by_the_root_mean_square() -> None:
    hidden_states = torch.randn(3, 16)
    expected = hidden_states / hidden_states.square().mean(-1, keepdim=True).sqrt()
    assert_close(new_norm(settings(norm=NormSettings(type="rms")))(hidden_states), expected)


def test_residual_dropout_applies_to_sublayer_output_only() -> None:
    residual = Residual(settings(dropout=0.5)).train()
    hidden_states = torch.randn(100, 16)
    output = residual.add(hidden_states, torch.ones(100, 16))
    assert_close((output - hidden_states).unique(dim=None).round(decimals=3).unique(), torch.tensor([0.0, 2.0]))


def test_feed_forward_has_activation_dropout() -> None:
    layer = FeedForward(settings(activation_dropout=0.5)).train()
    hidden_states = torch.randn(2, 16)
    assert not torch.equal(layer(hidden_states), layer(hidden_states))
    assert_close(layer.eval()(hidden_states), layer.outer(functional.relu(layer.inner(hidden_states))))


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
