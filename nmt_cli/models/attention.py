"""Multi-head attention: queries, keys and values → mixtures of values."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt_cli.models.dropout import dropout
from nmt_cli.models.embeddings import Rotation
from nmt_cli.models.linear import Linear


@dataclass(frozen=True)
class Seen:
    """What a few queries look at in a step of search, N times K heads of hypotheses or of sentences."""

    keys: Tensor
    """[N,d,S]"""
    values: Tensor
    """[N,S,d]"""
    hidden: Tensor
    """[N or 1,1,S], -inf where nothing is to be seen, else 0."""


class SelfAttention(nn.Module):
    """Each position looks at its own sentence, in many heads (Vaswani et al. 2017).

    Keys and values may have fewer heads than queries, K for H, each shared by a group (Ainslie et al. 2023).
    """

    def __init__(self, width: int, heads: int, key_value_heads: int, rate: float) -> None:
        super().__init__()
        self.heads = [heads, key_value_heads, key_value_heads]
        self.head_width = width // heads
        self.rate = rate
        # One product instead of three. Xavier's bound is smaller for the whole than for each part: a calmer start,
        # which post-norm needs.
        self.query_key_value = Linear(width, sum(self.heads) * self.head_width)
        self.output = Linear(width, width)

    def forward(
        self, vectors: Tensor, rotation: Rotation | None, visible: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Mix vectors [B,T,D] of all positions, or of those visible [B,1,1,T], or if causal, of those up to each."""
        query, keys, values = self._project(vectors, rotation)
        rate = self.rate if self.training else 0.0
        mixed: Tensor = self.output(_merge(attend(query, keys, values, visible, causal=causal, rate=rate)))
        return mixed

    def step(self, vectors: Tensor, rotation: Rotation | None, said: Seen, newest: Tensor) -> Tensor:
        """Mix the newest position [n,D] of each hypothesis with those before it.

        Its own keys and values are written to `newest` [2,n,K·d], which is a part of what was said.
        """
        projected: Tensor = self.query_key_value(vectors)
        if rotation is not None:
            turned, values = torch.split_with_sizes(
                projected.view(len(projected), -1, self.head_width), [sum(self.heads[:2]), self.heads[2]], dim=1
            )
            projected = torch.cat([rotation.turn(turned), values], dim=1).flatten(1)
        query, own = projected.split_with_sizes([vectors.size(1), projected.size(1) - vectors.size(1)], dim=1)
        newest.copy_(own.view(len(own), 2, -1).transpose(0, 1))
        query = query.reshape(len(said.keys), -1, self.head_width)
        mixed: Tensor = self.output(mix(query, said).view(vectors.shape))
        return mixed

    def _project(self, vectors: Tensor, rotation: Rotation | None) -> tuple[Tensor, Tensor, Tensor]:
        heads = _split(self.query_key_value(vectors), self.head_width)
        query, keys, values = torch.split_with_sizes(heads, self.heads, dim=1)
        if rotation is not None:
            query, keys = rotation.turn(query), rotation.turn(keys)
        return query, keys, values


class SourceAttention(nn.Module):
    """Each target position looks at the source, in many heads."""

    def __init__(self, width: int, heads: int, key_value_heads: int, rate: float) -> None:
        super().__init__()
        self.head_width, self.shared = width // heads, key_value_heads
        self.rate = rate
        self.query = Linear(width, width)
        self.key_value = Linear(width, 2 * key_value_heads * self.head_width)
        self.output = Linear(width, width)

    def remember(self, memory: Tensor) -> Tensor:
        """What does not depend on the target: memory [B,S,D] → keys and values [2,B,K,S,d]."""
        both: Tensor = self.key_value(memory)
        return both.view(*both.shape[:2], 2, -1, self.head_width).permute(2, 0, 3, 1, 4)

    def forward(self, vectors: Tensor, remembered: Tensor, visible: Tensor | None) -> Tensor:
        """Mix what is remembered, [2,B,K,S,d], of visible [B,1,1,S] positions for each vector [B,T,D]."""
        keys, values = remembered
        query = _split(self.query(vectors), self.head_width)
        rate = self.rate if self.training else 0.0
        mixed: Tensor = self.output(_merge(attend(query, keys, values, visible, rate=rate)))
        return mixed

    def step(self, vectors: Tensor, source: Seen) -> Tensor:
        """Mix the source for k hypotheses of each sentence, [B·k,D]."""
        seen, shared = len(source.keys), self.shared
        # The hypotheses of a sentence, and the queries of a group of heads, are more queries to one source.
        query = self.query(vectors).view(seen // shared, -1, shared, vectors.size(1) // shared)
        query = query.transpose(1, 2).reshape(seen, -1, self.head_width)
        mixed = mix(query, source).view(seen // shared, shared, -1, vectors.size(1) // shared)
        result: Tensor = self.output(mixed.transpose(1, 2).reshape(vectors.shape))
        return result

    def weights(self, vectors: Tensor, remembered: Tensor, visible: Tensor | None) -> Tensor:
        """How much each position looks at each of the source, [B,T,S]: the mean over heads, without dropout."""
        query = _split(self.query(vectors), self.head_width)
        return _weights(query, remembered[0], visible).mean(1)


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    visible: Tensor | None = None,
    *,
    causal: bool = False,
    rate: float = 0.0,
) -> Tensor:
    """Scaled dot-product attention: [B,H,T,d], [B,K,S,d], [B,K,S,d] → [B,H,T,d], by what is fastest.

    On a CPU the backward pass of torch's kernel is many times slower than plain products in bf16, and any dropout sends
    it to a slow path as well.
    """
    if query.device.type == "cpu" and (rate > 0 or query.dtype == torch.bfloat16):
        return _mix(dropout(_weights(query, keys, visible, causal=causal), rate), values)
    shared = query.size(1) != keys.size(1)
    return functional.scaled_dot_product_attention(
        query, keys, values, visible, dropout_p=rate, is_causal=causal, enable_gqa=shared
    )


def mix(query: Tensor, seen: Seen) -> Tensor:
    """Attention of a few queries, without gradients, [N,q,d] → [N,q,d]: plain products beat torch's kernel there."""
    weights = torch.baddbmm(seen.hidden, query, seen.keys, alpha=query.size(-1) ** -0.5)
    return torch.bmm(weights.softmax(-1), seen.values)


def _weights(query: Tensor, keys: Tensor, visible: Tensor | None, *, causal: bool = False) -> Tensor:
    """Attention weights [B,H,T,S]."""
    batch, heads, length, width = query.shape
    # The queries of a group of heads are more queries to their one key head.
    query = (query * width**-0.5).reshape(batch, keys.size(1), -1, width)
    scores = (query @ keys.transpose(2, 3)).view(batch, heads, length, -1)
    if visible is not None:
        scores = scores.masked_fill(~visible, -torch.inf)
    if causal:
        future = torch.full((length, length), -torch.inf, dtype=scores.dtype, device=scores.device).triu(1)
        scores = scores + future
    return scores.softmax(-1)


def _mix(weights: Tensor, values: Tensor) -> Tensor:
    """Values [B,K,S,d] mixed by weights [B,H,T,S] → [B,H,T,d]."""
    grouped = weights.reshape(values.size(0), values.size(1), -1, values.size(2))
    return (grouped @ values).view(*weights.shape[:3], -1)


def _split(projected: Tensor, head_width: int) -> Tensor:
    """Cut projections into heads: [B,T,n·d] → [B,n,T,d]."""
    return projected.view(*projected.shape[:2], -1, head_width).transpose(1, 2)


def _merge(heads: Tensor) -> Tensor:
    """Put heads side by side again: [B,H,T,d] → [B,T,H·d]."""
    return heads.transpose(1, 2).flatten(2)
