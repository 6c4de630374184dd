"""Attention against torch's own, and its fast paths against each other."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nmt_cli.models.attention import CrossAttention, SelfAttention
from nmt_cli.models.attention import products as attention_module
from nmt_cli.models.attention.products import _weighted_sum, attention, attention_weights
from nmt_cli.models.positions import RotaryCache


def test_self_attention_matches_torch() -> None:
    torch.manual_seed(1)
    ours = SelfAttention(16, num_heads=4, num_kv_heads=4, dropout=0.0)
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    copy_self_attention(theirs, ours)
    hidden_states, lengths = torch.randn(3, 5, 16), torch.tensor([5, 2, 4])
    is_padding = torch.arange(5) >= lengths[:, None]
    expected, _ = theirs(hidden_states, hidden_states, hidden_states, key_padding_mask=is_padding, need_weights=False)
    assert_close(ours(hidden_states, None, ~is_padding[:, None, None]), expected)


def test_cross_attention_and_its_weights_match_torch() -> None:
    torch.manual_seed(1)
    ours = CrossAttention(16, num_heads=4, num_kv_heads=4, dropout=0.0)
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    copy_cross_attention(theirs, ours)
    hidden_states, encoder_output = torch.randn(3, 2, 16), torch.randn(3, 5, 16)
    expected, weights = theirs(hidden_states, encoder_output, encoder_output)
    encoder_kv = ours.project_kv(encoder_output)
    assert_close(ours(hidden_states, encoder_kv, None), expected)
    assert_close(ours.weights(hidden_states, encoder_kv, None), weights)


def test_causal_self_attention_matches_torch() -> None:
    torch.manual_seed(1)
    ours = SelfAttention(16, num_heads=2, num_kv_heads=2, dropout=0.0)
    theirs = nn.MultiheadAttention(16, 2, batch_first=True)
    copy_self_attention(theirs, ours)
    hidden_states = torch.randn(3, 5, 16)
    causal_mask = nn.Transformer.generate_square_subsequent_mask(5)
    expected, _ = theirs(
        hidden_states, hidden_states, hidden_states, attn_mask=causal_mask, is_causal=True, need_weights=False
    )
    assert_close(ours(hidden_states, None, is_causal=True), expected)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("key_value_heads", [6, 2, 1])
def test_plain_products_match_kernel_with_repeated_heads(is_causal: bool, key_value_heads: int) -> None:
    query, keys, values = heads(query_heads=6, key_value_heads=key_value_heads)
    attn_mask = None if is_causal else torch.tensor([True, True, False, True, False])[None, None, None]
    repeated = [part.repeat_interleave(6 // key_value_heads, dim=1) for part in (keys, values)]
    expected = attention(query, *repeated, attn_mask, scale=0.3, is_causal=is_causal)
    assert_close(attention(query, keys, values, attn_mask, scale=0.3, is_causal=is_causal), expected)
    assert_close(
        _weighted_sum(attention_weights(query, keys, attn_mask, scale=0.3, is_causal=is_causal), values), expected
    )


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("key_value_heads", [4, 2])
def test_plain_products_in_bf16_are_close_to_fp32_kernel(is_causal: bool, key_value_heads: int) -> None:
    query, keys, values = heads(query_heads=4, key_value_heads=key_value_heads)
    attn_mask = None if is_causal else torch.tensor([True, True, False, True, False])[None, None, None]
    exact = attention(query, keys, values, attn_mask, scale=0.3, is_causal=is_causal)
    in_bf16 = attention(query.bfloat16(), keys.bfloat16(), values.bfloat16(), attn_mask, scale=0.3, is_causal=is_causal)
    assert in_bf16.dtype == torch.bfloat16
    assert_close(in_bf16.float(), exact, atol=0.03, rtol=0.03)


def test_attention_avoids_kernel_for_bf16_and_dropout_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Tensor:
        raise AssertionError("slow path")

    monkeypatch.setattr(attention_module.functional, "scaled_dot_product_attention", refuse)
    query, keys, values = heads(query_heads=4, key_value_heads=4)
    attention(query, keys, values, scale=0.3, dropout_p=0.1)
    attention(query.bfloat16(), keys.bfloat16(), values.bfloat16(), scale=0.3)
    with pytest.raises(AssertionError, match="slow path"):
        attention(query, keys, values, scale=0.3)


@pytest.mark.parametrize("is_causal", [False, True])
def test_rotary_attention_depends_on_relative_positions_only(is_causal: bool) -> None:
    torch.manual_seed(1)
    layer, hidden_states = SelfAttention(16, num_heads=2, num_kv_heads=1, dropout=0.0), torch.randn(3, 5, 16)
    here = layer(hidden_states, RotaryCache.from_positions(torch.arange(5), 8), is_causal=is_causal)
    there = layer(hidden_states, RotaryCache.from_positions(torch.arange(5) + 100, 8), is_causal=is_causal)
    assert_close(here, there, atol=1e-4, rtol=1e-4)
    stretched = layer(hidden_states, RotaryCache.from_positions(torch.arange(5) * 2, 8), is_causal=is_causal)
    assert not torch.allclose(here, stretched, atol=1e-3)


def test_attention_dropout_keeps_mean_and_is_off_in_evaluation() -> None:
    torch.manual_seed(1)
    layer = SelfAttention(8, num_heads=2, num_kv_heads=2, dropout=0.3)
    hidden_states = torch.randn(1, 6, 8)
    expected = layer.eval()(hidden_states, None)
    assert_close(layer(hidden_states, None), expected)
    repeated = layer.train()(hidden_states.expand(4000, -1, -1), None)
    assert not torch.allclose(repeated[0], repeated[1])
    assert_close(repeated.mean(0, keepdim=True), expected, atol=0.02, rtol=0.02)


def heads(query_heads: int, key_value_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    keys, values = torch.randn(2, 3, key_value_heads, 5, 8)
    return torch.randn(3, query_heads, 5, 8), keys, values


def copy_self_attention(theirs: nn.MultiheadAttention, ours: SelfAttention) -> None:
    nn.init.normal_(theirs.in_proj_bias)
    ours.query_key_value.load_state_dict({"weight": theirs.in_proj_weight, "bias": theirs.in_proj_bias})
    ours.output.load_state_dict(theirs.out_proj.state_dict())


def copy_cross_attention(theirs: nn.MultiheadAttention, ours: CrossAttention) -> None:
    nn.init.normal_(theirs.in_proj_bias)
    width = ours.query.in_features
    weight, bias = theirs.in_proj_weight, theirs.in_proj_bias
    ours.query.load_state_dict({"weight": weight[:width], "bias": bias[:width]})
    ours.key_value.load_state_dict({"weight": weight[width:], "bias": bias[width:]})
    ours.output.load_state_dict(theirs.out_proj.state_dict())


def test_attention_without_scale_equals_scaled_attention_with_smaller_queries() -> None:
    torch.manual_seed(1)
    sizes = {"num_heads": 2, "num_kv_heads": 2, "dropout": 0.0}
    scaled, unscaled = SelfAttention(16, **sizes), SelfAttention(16, **sizes, is_scaled=False)
    unscaled.load_state_dict(scaled.state_dict())
    with torch.no_grad():
        for parameter in (unscaled.query_weight, unscaled.query_key_value.bias[:16]):
            parameter.mul_(8**-0.5)
    hidden_states = torch.randn(3, 5, 16)
    assert_close(unscaled(hidden_states, None), scaled(hidden_states, None))
