"""Multi-head attention."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt_cli.models.kernels import Linear, dropout
from nmt_cli.models.positions import RotaryCache, apply_rotary_emb

AttentionKind = Literal["cross", "encoder", "decoder"]
"""From target to source, within the source, or within the target."""


@dataclass(frozen=True)
class KeyValues:
    """What a few queries attend to in a step of search. N is K heads times the number of hypotheses or of sentences."""

    keys: Tensor
    """[N,d,S]"""
    values: Tensor
    """[N,S,d]"""
    attn_bias: Tensor
    """[N or 1,q or 1,S], -inf at positions that may not be attended to, else 0 or a bias."""


class SelfAttention(nn.Module):
    """Attention of each position to its own sentence (Vaswani et al. 2017).

    Keys and values may have fewer heads than queries, K for H, each used by a group (Ainslie et al. 2023).
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        num_kv_heads: int,
        dropout: float,
        head_width: int | None = None,
        bias: bool = True,
        is_scaled: bool = True,
    ) -> None:
        """`head_width` is the width divided by the heads, unless given; `bias` is that of the linear layers.

        `is_scaled`: Divide scores by the square root of the head's width.
        """
        super().__init__()
        self.head_counts = [num_heads, num_kv_heads, num_kv_heads]
        self.head_width = head_width or width // num_heads
        self.scale = self.head_width**-0.5 if is_scaled else 1.0
        self.dropout = dropout
        # One product instead of three. Xavier's bound is smaller for the fused matrix than for each part, so training
        # starts more gently, which post-norm needs.
        splits = [count * self.head_width for count in self.head_counts]
        self.query_key_value = Linear(width, sum(splits), bias, splits)
        self.output = Linear(splits[0], width, bias)

    @property
    def query_weight(self) -> Tensor:
        """[H·d,D]"""
        return self.query_key_value.weight[: self.query_key_value.splits[0]]

    def forward(
        self,
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Attend from each position of [B,T,D] to all, those in attn_mask [B,1,1 or T,T], or (causal) up to it.

        attn_mask may also be a bias of the scores, [B or 1,H,T,T].
        """
        return self._attend(*self._project(hidden_states, rotary), attn_mask, is_causal)

    def prefill(self, inputs: Tensor, rotary: RotaryCache | None, attn_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `forward`, causal unless attn_mask is given; also return keys and values [2,B,K,T,d]."""
        query, key, value = self._project(inputs, rotary)
        return self._attend(query, key, value, attn_mask, is_causal=attn_mask is None), torch.stack([key, value])

    def head_weights(
        self,
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return the attention weights [B,H,T,T] of `forward`, without dropout."""
        query, key, _ = self._project(hidden_states, rotary)
        return _attention_weights(query, key, attn_mask, self.scale, is_causal=is_causal)

    def step(self, hidden_states: Tensor, rotary: RotaryCache | None, past: KeyValues, new_kv: Tensor) -> Tensor:
        """Attend from the newest position of each hypothesis to all positions up to it.

        Args:
            hidden_states: [n,D], one row per hypothesis.
            rotary: Of the newest position.
            past: Cached keys and values, including the slot of the newest position.
            new_kv: [2,n,K·d], a view of that slot, written in place.

        Returns:
            [n,D]
        """
        projected = self.query_key_value(hidden_states)
        if rotary is not None:
            heads, counts = projected.view(len(projected), -1, self.head_width), self.head_counts
            query_key, value = torch.split_with_sizes(heads, [sum(counts[:2]), counts[2]], dim=1)
            projected = torch.cat([apply_rotary_emb(query_key, rotary), value], dim=1).flatten(1)
        query_width = self.head_counts[0] * self.head_width
        query, key_value = projected.split_with_sizes([query_width, projected.size(1) - query_width], dim=1)
        new_kv.copy_(key_value.view(len(key_value), 2, -1).transpose(0, 1))
        query = query.reshape(len(past.keys), -1, self.head_width)
        attended, _ = decode_attention(query, past, self.scale)
        return self.output(attended.view(len(hidden_states), -1))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
        options: Any = {"is_causal": is_causal, "dropout_p": self.dropout if self.training else 0.0}
        return self.output(_merge_heads(attention(query, key, value, attn_mask, scale=self.scale, **options)))

    def _project(self, hidden_states: Tensor, rotary: RotaryCache | None) -> tuple[Tensor, Tensor, Tensor]:
        heads = _split_heads(self.query_key_value(hidden_states), self.head_width)
        query, key, value = torch.split_with_sizes(heads, self.head_counts, dim=1)
        if rotary is None:
            return query, key, value
        return apply_rotary_emb(query, rotary), apply_rotary_emb(key, rotary), value


class CrossAttention(nn.Module):
    """Attention of each target position to the source."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        num_kv_heads: int,
        dropout: float,
        head_width: int | None = None,
        bias: bool = True,
        is_scaled: bool = True,
        pointing_heads: int | None = None,
    ) -> None:
        """See SelfAttention; `pointing_heads` is the number of heads, the first ones, whose mean weights are returned.

        Default: all.
        """
        super().__init__()
        self.pointing_heads = pointing_heads or num_heads
        self.head_width, self.num_kv_heads = head_width or width // num_heads, num_kv_heads
        self.scale = self.head_width**-0.5 if is_scaled else 1.0
        self.dropout = dropout
        query_width = num_heads * self.head_width
        self.query = Linear(width, query_width, bias)
        splits = [num_kv_heads * self.head_width] * 2
        self.key_value = Linear(width, sum(splits), bias, splits)
        self.output = Linear(query_width, width, bias)

    @property
    def query_weight(self) -> Tensor:
        """[H·d,D]"""
        return self.query.weight

    def project_kv(self, encoder_hidden_states: Tensor) -> Tensor:
        """Project the encoder output [B,S,D] to keys and values [2,B,K,S,d], which do not depend on the target."""
        key_value = self.key_value(encoder_hidden_states)
        return key_value.view(*key_value.shape[:2], 2, -1, self.head_width).permute(2, 0, 3, 1, 4)

    def forward(self, hidden_states: Tensor, encoder_kv: Tensor, attn_mask: Tensor | None) -> Tensor:
        """Attend from each position of [B,T,D] to encoder_kv [2,B,K,S,d], where attn_mask [B,1,1,S] allows it."""
        key, value = encoder_kv
        query = _split_heads(self.query(hidden_states), self.head_width)
        rate = self.dropout if self.training else 0.0
        attended = attention(query, key, value, attn_mask, scale=self.scale, dropout_p=rate)
        return self.output(_merge_heads(attended))

    def step(
        self, hidden_states: Tensor, encoder_kv: KeyValues, attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from the newest position of k hypotheses of each sentence, [B·k,D] → [B·k,D].

        Also return the attention weights [B,k,S], the mean over the pointing heads, if asked for.
        """
        query, num_rows, num_kv_heads = self.query(hidden_states), len(encoder_kv.keys), self.num_kv_heads
        sizes = num_rows // num_kv_heads, num_kv_heads, query.size(1) // num_kv_heads
        # Hypotheses of one sentence, and heads that share keys, become more queries to the same source.
        query = query.view(sizes[0], -1, *sizes[1:])
        query = query.transpose(1, 2).reshape(num_rows, -1, self.head_width)
        attended, weights = decode_attention(query, encoder_kv, self.scale)
        output: Tensor = self.output(
            attended.view(*sizes[:2], -1, sizes[2]).transpose(1, 2).reshape(len(hidden_states), -1)
        )
        if not attention:
            return output, None
        heads_each = sizes[2] // self.head_width
        weights = weights.view(*sizes[:2], -1, heads_each, weights.size(2)).transpose(1, 2).flatten(2, 3)
        return output, weights[:, :, : self.pointing_heads].mean(2)

    def weights(self, hidden_states: Tensor, encoder_kv: Tensor, attn_mask: Tensor | None) -> Tensor:
        """Return the attention weights [B,T,S]: the mean over the pointing heads, without dropout."""
        return self.head_weights(hidden_states, encoder_kv, attn_mask)[:, : self.pointing_heads].mean(1)

    def head_weights(self, hidden_states: Tensor, encoder_kv: Tensor, attn_mask: Tensor | None) -> Tensor:
        """Return the attention weights [B,H,T,S] of `forward`, without dropout."""
        query = _split_heads(self.query(hidden_states), self.head_width)
        return _attention_weights(query, encoder_kv[0], attn_mask, self.scale)


@contextmanager
def recorded_attention(model: nn.Module, kind: AttentionKind) -> Iterator[list[Tensor]]:
    """Yield a list to which each layer of attention that is called in the context adds its weights [B,H,T,S]."""
    found = list[Tensor]()

    def record(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        assert isinstance(module, SelfAttention | CrossAttention)
        found.append(module.head_weights(*inputs, **named))

    hooks = [
        module.register_forward_pre_hook(record, with_kwargs=True)
        for name, module in model.named_modules()
        if (isinstance(module, CrossAttention) and kind == "cross")
        or (isinstance(module, SelfAttention) and name.startswith(f"{kind}."))
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


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
        weights = _attention_weights(query, key, attn_mask, scale, is_causal=is_causal)
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


def _attention_weights(
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


def _split_heads(projected: Tensor, head_width: int) -> Tensor:
    """[B,T,n·d] → [B,n,T,d]"""
    return projected.view(*projected.shape[:2], -1, head_width).transpose(1, 2)


def _merge_heads(heads: Tensor) -> Tensor:
    """[B,H,T,d] → [B,T,H·d]"""
    return heads.transpose(1, 2).flatten(2)
