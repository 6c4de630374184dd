"""Products of queries, keys and values."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nmt_cli.models.kernels import dropout


@dataclass(frozen=True)
class KeyValues:
    """What a few queries attend to in a step of search. N is K heads times the number of hypotheses or of sentences."""

    keys: Tensor
    """[N,d,S]"""
    values: Tensor
    """[N,S,d]"""
    attn_bias: Tensor
    """[N or 1,q or 1,S], -inf at positions that may not be attended to, else 0 or a bias."""


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *,
    scale: float,
    is_causal: bool = False,
    dropout_p: float = 0.0,
) -> Tensor:
    """Dot-product attention, scores times `scale`: [B,H,T,d], [B,K,S,d], [B,K,S,d] → [B,H,T,d], by the fastest kernel.

    attn_mask is true at keys to attend to, or a bias of the scores.
    On a CPU the backward pass of torch's kernel is many times slower than plain products in bf16, and any dropout sends
    it to a slow path as well. ONNX has no such kernel.
    """
    is_slow = query.device.type == "cpu" and (dropout_p > 0 or query.dtype == torch.bfloat16)
    if is_slow or torch.onnx.is_in_onnx_export():
        weights = attention_weights(query, key, attn_mask, scale, is_causal=is_causal)
        return _weighted_sum(dropout(weights, dropout_p), value)
    if attn_mask is not None and attn_mask.is_floating_point():
        attn_mask = attn_mask.to(query.dtype)
    is_grouped = query.size(1) != key.size(1)
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p=dropout_p, is_causal=is_causal, scale=scale, enable_gqa=is_grouped
    )


def decode_attention(query: Tensor, kv: KeyValues, scale: float) -> tuple[Tensor, Tensor]:
    """Attention of a few queries, without gradients: [N,q,d] → [N,q,d], and its weights [N,q,S].

    For these sizes plain products are faster than torch's kernel.
    """
    weights = torch.baddbmm(kv.attn_bias, query, kv.keys, alpha=scale).softmax(-1)
    return torch.bmm(weights, kv.values), weights


def decode_attention_after(
    prefix: KeyValues, query: Tensor, past: KeyValues, scale: float, num_kv_heads: int
) -> Tensor:
    """As `decode_attention` to a prefix, which the k hypotheses of a sentence share, and to the past of each.

    Args:
        prefix: N = B·K.
        query: [B·k·K,q,d]
        past: N = B·k·K.
        num_kv_heads: K.
    """
    num_rows, num_queries, _ = query.shape
    beam_size = num_rows // len(prefix.keys)

    def by_sentence(rows: Tensor) -> Tensor:  # [B·k·K,q,…] → [B·K,k·q,…]
        rows = rows.reshape(-1, beam_size, num_kv_heads, num_queries, rows.size(-1))
        return rows.transpose(1, 2).reshape(len(prefix.keys), -1, rows.size(-1))

    def by_hypothesis(rows: Tensor) -> Tensor:  # the inverse
        rows = rows.view(-1, num_kv_heads, beam_size, num_queries, rows.size(-1))
        return rows.transpose(1, 2).reshape(num_rows, num_queries, -1)

    to_prefix = torch.baddbmm(prefix.attn_bias, by_sentence(query), prefix.keys, alpha=scale)
    to_past = torch.baddbmm(past.attn_bias, query, past.keys, alpha=scale)
    weights = torch.cat([by_hypothesis(to_prefix), to_past], dim=-1).softmax(-1)
    of_prefix, of_past = weights.split_with_sizes([to_prefix.size(-1), to_past.size(-1)], dim=-1)
    return by_hypothesis(torch.bmm(by_sentence(of_prefix), prefix.values)) + torch.bmm(of_past, past.values)


def attention_weights(
    query: Tensor, key: Tensor, attn_mask: Tensor | None, scale: float, *, is_causal: bool = False
) -> Tensor:
    """Attention weights [B,H,T,S]."""
    batch, heads, length, width = query.shape
    # The query heads of a group become more queries to their one key head.
    query = (query * scale).reshape(batch, key.size(1), -1, width)
    scores = (query @ key.transpose(2, 3)).view(batch, heads, length, -1)
    if attn_mask is not None:
        is_bias = attn_mask.is_floating_point()
        scores = scores + attn_mask if is_bias else scores.masked_fill(~attn_mask, -torch.inf)
    if is_causal:
        causal_bias = torch.full((length, length), -torch.inf, dtype=scores.dtype, device=scores.device).triu(1)
        scores = scores + causal_bias
    return scores.softmax(-1)


def _weighted_sum(weights: Tensor, value: Tensor) -> Tensor:
    """Sum values [B,K,S,d] by weights [B,H,T,S] → [B,H,T,d]."""
    grouped = weights.reshape(value.size(0), value.size(1), -1, value.size(2))
    return (grouped @ value).view(*weights.shape[:3], -1)
