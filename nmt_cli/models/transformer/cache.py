"""What a Transformer keeps of each hypothesis during search."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt_cli.models.attention import KeyValues
from nmt_cli.models.contract import SourceColumns
from nmt_cli.models.encoder_decoder import sentence_indices
from nmt_cli.models.positions import PositionalEncoding, Positions

MIN_ATTENDED = 16
"""Minimum positions in the attention of a step, padded and masked: torch's softmax is much slower over fewer."""


@dataclass(frozen=True)
class EncoderKeyValues:
    """Keys and values of the source, once for each sentence."""

    encoder_kv: Tensor
    """[L,2,B,K,S,d]"""
    encoder_bias: Tensor
    """[B,K,1,S], -inf at padding, else 0."""
    source_length: int
    """Source positions, without those added to reach `MIN_ATTENDED`."""
    source_columns: SourceColumns | None

    @classmethod
    def of(cls, projected: Tensor, attn_mask: Tensor | None, source_columns: SourceColumns | None) -> Self:
        """Pad projected keys and values [L,2,B,K,S,d]; attn_mask [B,1,1,S] is true at tokens."""
        _, _, sentences, num_kv_heads, length, _ = projected.shape
        encoder_bias = projected.new_zeros(sentences, num_kv_heads, 1, length)
        if attn_mask is not None:
            encoder_bias = encoder_bias.masked_fill(~attn_mask, -torch.inf)
        missing = max(0, MIN_ATTENDED - length)
        encoder_kv = pad(projected, (0, 0, 0, missing))
        return cls(encoder_kv, pad(encoder_bias, (0, missing), value=-torch.inf), length, source_columns)

    @classmethod
    def without_source(cls, like: Tensor, num_layers: int, sentences: int, num_kv_heads: int, width: int) -> Self:
        """Return the keys and values of no source position, for heads of `width`."""
        encoder_kv = like.new_empty(num_layers, 2, sentences, num_kv_heads, 0, width)
        return cls(encoder_kv, encoder_kv.new_empty(sentences, num_kv_heads, 1, 0), 0, None)

    def by_layer(self) -> list[KeyValues]:
        """Return what each layer's cross-attention reads."""
        keys, values = self.encoder_kv.flatten(2, 3).unbind(1)  # [L,B·K,S,d]
        return _split_by_layer(keys.transpose(2, 3), values, self.encoder_bias.flatten(0, 1)[None])

    def select(self, hypothesis_indices: Tensor, beam_size: int) -> Self:
        """Return the sentences of the given hypotheses; see Cache.select."""
        sentences = sentence_indices(hypothesis_indices, beam_size, self.encoder_kv.size(2))
        if sentences is None:
            return self
        return replace(
            self,
            encoder_kv=self.encoder_kv.index_select(2, sentences),
            encoder_bias=self.encoder_bias.index_select(0, sentences),
            source_columns=self.source_columns and self.source_columns.select(sentences),
        )


@dataclass(frozen=True)
class DecoderCache(ABC):
    """What a decoder keeps of k hypotheses of each sentence, and of the source.

    `step` and `select` write into its tensors: a cache must not be used after it has been given to either.
    """

    source: EncoderKeyValues
    length: int
    """Number of tokens of each hypothesis."""
    beam_size: int
    positions: PositionalEncoding
    """Encoding of the positions up to `capacity`."""
    capacity: int
    """Number of tokens that there is space for."""

    @abstractmethod
    def self_attention_inputs(self) -> Sequence[tuple[Any, Tensor]]:
        """Return for each layer what it keeps of earlier tokens, and a view for what it keeps of the newest one."""

    @abstractmethod
    def grown(self, capacity: int, positions: Positions) -> Self:
        """Return the same cache with space for more tokens."""

    @abstractmethod
    def select(self, hypothesis_indices: Tensor) -> Self:
        """See Cache.select."""


@dataclass(frozen=True)
class SelfAttentionCache(DecoderCache):
    """Keys and values of the target."""

    kv_cache: Tensor
    """[capacity,L,2,B·k,K·d], L layers: time comes first, so that the filled part is one contiguous block."""
    scratch: Tensor
    """The cache before the last selection, used again by the next: allocation costs several times the copy."""
    causal_bias: Tensor
    """[capacity], -inf at empty slots, else 0."""
    relative_biases: Tensor | None
    """[L or 1,K,H/K,capacity + MIN_ATTENDED], of keys at distances from 1 - capacity on; those after 0 are unused."""

    @classmethod
    def empty(cls, source: EncoderKeyValues) -> Self:
        """Return a cache of one hypothesis without tokens for each sentence."""
        layers, two, sentences, num_kv_heads, _, width = source.encoder_kv.shape
        kv_cache = source.encoder_kv.new_empty(0, layers, two, sentences, num_kv_heads * width)
        return cls(source, 0, 1, PositionalEncoding(), 0, kv_cache, kv_cache, kv_cache.new_empty(0), None)

    def self_attention_inputs(self) -> Sequence[tuple[KeyValues, Tensor]]:
        """Return each layer's keys and values up to the newest position, whose slot is included, and that slot."""
        self.causal_bias[self.length] = 0
        attended, width = max(self.length + 1, MIN_ATTENDED), self.source.encoder_kv.size(-1)
        # Heads have no axis of their own, so that a view merges them with the hypotheses, without a copy.
        keys, values = self.kv_cache[:attended].view(attended, *self.kv_cache.shape[1:3], -1, width).unbind(2)
        bias = self.causal_bias[:attended].view(1, 1, 1, -1)
        if self.relative_biases is not None:
            first = self.capacity - 1 - self.length
            relative = self.relative_biases[..., first : first + attended]
            bias = bias + relative.repeat(1, self.kv_cache.size(3), 1, 1)
        past = _split_by_layer(keys.permute(1, 2, 3, 0), values.permute(1, 2, 0, 3), bias)
        return list(zip(past, self.kv_cache[self.length].unbind(0), strict=True))

    def filled(self, key_values: Sequence[Tensor]) -> Self:
        """Append the keys and values [2,B,K,T,d] of each layer for a prompt; there is space for it, and k is 1."""
        end = self.length + key_values[0].size(3)
        for layer, each in enumerate(key_values):
            self.kv_cache[self.length : end, layer] = each.permute(3, 0, 1, 2, 4).flatten(3)
        self.causal_bias[self.length : end] = 0
        return replace(self, length=end)

    def grown(self, capacity: int, positions: Positions) -> Self:
        length, device = self.length, self.kv_cache.device
        kv_cache = _new_cache(self.kv_cache, (capacity, *self.kv_cache.shape[1:]))
        kv_cache[:length] = self.kv_cache[:length]
        causal_bias = torch.full_like(kv_cache[:, 0, 0, 0, 0], -torch.inf)
        causal_bias[:length] = 0
        relative_biases = None
        if positions.biases is not None:
            distances = torch.arange(1 - capacity, 1 + MIN_ATTENDED, device=device)
            relative_biases = positions.relative_biases(distances)
            num_kv_heads = self.source.encoder_bias.size(1)
            relative_biases = relative_biases.view(len(relative_biases), num_kv_heads, -1, len(distances))
        return replace(
            self,
            positions=positions(torch.arange(capacity, device=device)),
            capacity=capacity,
            kv_cache=kv_cache,
            causal_bias=causal_bias,
            relative_biases=relative_biases,
        )

    def select(self, hypothesis_indices: Tensor) -> Self:
        shape = (*self.kv_cache.shape[:3], hypothesis_indices.numel(), self.kv_cache.size(4))
        selected = _allocate(self.scratch, shape)
        torch.index_select(self.kv_cache[: self.length], 3, hypothesis_indices.flatten(), out=selected[: self.length])
        source, beam_size = self.source.select(hypothesis_indices, self.beam_size), hypothesis_indices.size(1)
        return replace(self, source=source, beam_size=beam_size, kv_cache=selected, scratch=self.kv_cache)


@dataclass(frozen=True)
class SsruCache(DecoderCache):
    """The cells of the decoder's SSRUs."""

    cells: Tensor
    """[L,B·k,D]"""

    @classmethod
    def empty(cls, source: EncoderKeyValues, like: Tensor) -> Self:
        """Return a cache of one hypothesis without tokens for each sentence, with cells as wide as `like` [...,D]."""
        layers, sentences = source.encoder_kv.size(0), source.encoder_kv.size(2)
        cells = like.new_zeros(layers, sentences, like.size(-1))
        return cls(source, 0, 1, PositionalEncoding(), 0, cells)

    def self_attention_inputs(self) -> Sequence[tuple[None, Tensor]]:
        """Return each layer's cells, which the next step overwrites."""
        return [(None, cell) for cell in self.cells.unbind(0)]

    def grown(self, capacity: int, positions: Positions) -> Self:
        indices = torch.arange(capacity, device=self.cells.device)
        return replace(self, positions=positions(indices), capacity=capacity)

    def select(self, hypothesis_indices: Tensor) -> Self:
        cells = self.cells.index_select(1, hypothesis_indices.flatten())
        source, beam_size = self.source.select(hypothesis_indices, self.beam_size), hypothesis_indices.size(1)
        return replace(self, source=source, beam_size=beam_size, cells=cells)


def _split_by_layer(keys: Tensor, values: Tensor, bias: Tensor) -> list[KeyValues]:
    """Split keys [L,N,d,S], values [L,N,S,d] and bias [L or 1,N or 1,q or 1,S] by layer."""
    biases = bias.unbind(0) if len(bias) > 1 else bias.unbind(0) * len(keys)
    return list(map(KeyValues, keys.unbind(0), values.unbind(0), biases))


def _allocate(scratch: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor of this shape: a view of the scratch tensor if that is large enough."""
    size = math.prod(shape)
    return scratch.flatten()[:size].view(shape) if scratch.numel() >= size else _new_cache(scratch, shape)


def _new_cache(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Allocate a tensor of keys and values that is finite wherever a step may read."""
    cache = like.new_empty(shape)
    cache[:MIN_ATTENDED] = 0
    return cache
