"""Multi-head attention."""

from typing import Any

import torch
from torch import Tensor, nn

from nmt_cli.models.attention.products import KeyValues as KeyValues
from nmt_cli.models.attention.products import (
    attention,
    attention_weights,
    decode_attention,
    decode_attention_after,
)
from nmt_cli.models.kernels import Linear
from nmt_cli.models.positions import RotaryCache, apply_rotary_emb


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

    def extend(
        self,
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        attn_mask: Tensor | None,
        is_causal: bool,
        prefix: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As `forward`, but attend to a prefix, too; also return new keys and values, [B,K,T,d] each.

        Args:
            hidden_states: [B,T,D]
            rotary: Of these positions.
            attn_mask: [B or 1,1 or H,T,S+T]
            is_causal: Only without a prefix.
            prefix: Keys and values [2,B,K,S,d].
        """
        query, key, value = self._project(hidden_states, rotary)
        new = key, value
        if prefix is not None:
            key, value = (torch.cat(pair, dim=2) for pair in zip(prefix.unbind(0), new, strict=True))
        return self._attend(query, key, value, attn_mask, is_causal), new

    def project_kv(self, hidden_states: Tensor, rotary: RotaryCache | None) -> tuple[Tensor, Tensor]:
        """Return keys and values of the positions, as `extend` does."""
        _, key, value = self._project(hidden_states, rotary)
        return key, value

    def head_weights(
        self,
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return the attention weights [B,H,T,T] of `forward`, without dropout."""
        query, key, _ = self._project(hidden_states, rotary)
        return attention_weights(query, key, attn_mask, self.scale, is_causal=is_causal)

    def step(
        self,
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        past: KeyValues,
        new_kv: Tensor,
        prefix: KeyValues | None = None,
    ) -> Tensor:
        """Attend from the newest position of each hypothesis to all positions up to it.

        Args:
            hidden_states: [n,D], one row per hypothesis.
            rotary: Of the newest position.
            past: Cached keys and values, including the slot of the newest position.
            new_kv: [2,n,K·d], a view of that slot, written in place.
            prefix: Keys and values before those, once for all hypotheses of a sentence.

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
        if prefix is None:
            attended, _ = decode_attention(query, past, self.scale)
        else:
            attended = decode_attention_after(prefix, query, past, self.scale, self.head_counts[1])
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
        return attention_weights(query, encoder_kv[0], attn_mask, self.scale)


def _split_heads(projected: Tensor, head_width: int) -> Tensor:
    """[B,T,n·d] → [B,n,T,d]"""
    return projected.view(*projected.shape[:2], -1, head_width).transpose(1, 2)


def _merge_heads(heads: Tensor) -> Tensor:
    """[B,H,T,d] → [B,T,H·d]"""
    return heads.transpose(1, 2).flatten(2)
