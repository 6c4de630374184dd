"""The Transformer encoder-decoder (Vaswani et al. 2017) and its cache."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nmt_cli.models.attention import KeyValues
from nmt_cli.models.contract import (
    DecoderInput,
    DecoderOutput,
    EncoderOutput,
    ModelInputs,
    SourceColumns,
    VocabularySpec,
)
from nmt_cli.models.encoder_decoder import EncoderDecoder, OutputLayer, sentence_indices
from nmt_cli.models.positions import PositionalEncoding, Positions
from nmt_cli.models.transformer_layers import DecoderLayer, EncoderLayer, new_norm
from nmt_cli.recipe.model import TransformerSettings

_MIN_ATTENDED = 16
"""Minimum positions in the attention of a step, padded and masked: torch's softmax is much slower over fewer."""


@dataclass(frozen=True)
class TransformerEncoderOutput(EncoderOutput):
    """The encoded source."""

    hidden_states: Tensor
    """[B,S,D]"""
    attn_mask: Tensor | None
    """[B,1,1,S], true at tokens; None if there is no padding."""


@dataclass(frozen=True)
class TransformerCache:
    """Keys and values of k hypotheses of each sentence, and of the source.

    `step` and `select` write into these tensors: a cache must not be used after it has been given to either.
    """

    kv_cache: Tensor
    """[capacity,L,2,B·k,K·d], L layers: time comes first, so that the filled part is one contiguous block."""
    scratch: Tensor
    """The cache before the last selection, used again by the next: allocation costs several times the copy."""
    length: int
    """Number of filled slots."""
    causal_bias: Tensor
    """[capacity], -inf at empty slots, else 0."""
    positions: PositionalEncoding
    """Encoding of the position of each slot."""
    relative_biases: Tensor | None
    """[L or 1,K,H/K,capacity + _MIN_ATTENDED], of keys at distances from 1 - capacity on; those after 0 are unused."""
    beam_size: int
    encoder_kv: Tensor
    """[L,2,B,K,S,d], once for each sentence."""
    encoder_bias: Tensor
    """[B,K,1,S], -inf at padding, else 0."""
    source_length: int
    """Source positions, without those added to reach `_MIN_ATTENDED`."""
    source_columns: SourceColumns | None

    def self_attn_kv(self) -> list[KeyValues]:
        """Return each layer's keys and values up to the next position, whose slot is included."""
        attended, width = max(self.length + 1, _MIN_ATTENDED), self.encoder_kv.size(-1)
        # Heads have no axis of their own, so that a view merges them with the hypotheses, without a copy.
        keys, values = self.kv_cache[:attended].view(attended, *self.kv_cache.shape[1:3], -1, width).unbind(2)
        bias = self.causal_bias[:attended].view(1, 1, 1, -1)
        if self.relative_biases is not None:
            first = len(self.causal_bias) - 1 - self.length
            relative = self.relative_biases[..., first : first + attended]
            bias = bias + relative.repeat(1, self.kv_cache.size(3), 1, 1)
        return _split_by_layer(keys.permute(1, 2, 3, 0), values.permute(1, 2, 0, 3), bias)

    def cross_attn_kv(self) -> list[KeyValues]:
        """Return each layer's keys and values of the source."""
        keys, values = self.encoder_kv.flatten(2, 3).unbind(1)  # [L,B·K,S,d]
        return _split_by_layer(keys.transpose(2, 3), values, self.encoder_bias.flatten(0, 1)[None])

    def select(self, hypothesis_indices: Tensor) -> Self:
        """See Cache.select."""
        shape = (*self.kv_cache.shape[:3], hypothesis_indices.numel(), self.kv_cache.size(4))
        selected = _allocate(self.scratch, shape)
        torch.index_select(self.kv_cache[: self.length], 3, hypothesis_indices.flatten(), out=selected[: self.length])
        cache = replace(self, kv_cache=selected, scratch=self.kv_cache, beam_size=hypothesis_indices.size(1))
        sentences = sentence_indices(hypothesis_indices, self.beam_size, self.encoder_kv.size(2))
        if sentences is None:
            return cache
        return replace(
            cache,
            encoder_kv=self.encoder_kv.index_select(2, sentences),
            encoder_bias=self.encoder_bias.index_select(0, sentences),
            source_columns=self.source_columns and self.source_columns.select(sentences),
        )


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
    cache[:_MIN_ATTENDED] = 0
    return cache


class Transformer(EncoderDecoder):
    """Self-attention in the encoder; causal self-attention and cross-attention in the decoder.

    The decoder supports packed rows.
    """

    def __init__(
        self, settings: TransformerSettings, vocabulary: VocabularySpec, output_layer: type[OutputLayer] = OutputLayer
    ) -> None:
        width = settings.width
        scale = width**0.5 if settings.scale_embeddings else 1.0
        super().__init__(settings, vocabulary, output_layer, width, scale)
        self.settings = settings
        self.encoder_positions = Positions(settings, settings.encoder_layers, is_causal=False)
        self.decoder_positions = Positions(settings, settings.decoder_layers, is_causal=True)
        has_norms = settings.norm.embeddings
        self.encoder_embedding_norm, self.decoder_embedding_norm = (
            new_norm(settings) if has_norms else nn.Identity() for _ in range(2)
        )
        self.layer_drop = settings.layer_drop
        self.encoder = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.decoder_layers))
        # Post-norm layers end with a norm of their own.
        is_pre_norm = settings.norm.position == "pre"
        self.encoder_norm = new_norm(settings) if is_pre_norm else nn.Identity()
        self.decoder_norm = new_norm(settings) if is_pre_norm else nn.Identity()
        self._add_output(settings, output_layer, settings.output_bias)
        self.uses_all_parameters = self.layer_drop == 0
        # Some 14 vectors of the width in each layer, and 3 of the feed-forward's; decoder layers attend twice.
        layers = settings.encoder_layers + 1.5 * settings.decoder_layers
        self.activations_per_token = round(layers * (14 * width + 3 * settings.feed_forward))

    def encode(self, inputs: ModelInputs) -> TransformerEncoderOutput:
        assert inputs.ids is not None
        attn_mask, columns = None, self._source_columns(inputs)
        device, length = inputs.ids.device, inputs.ids.size(1)
        if inputs.lengths is not None:
            attn_mask = (torch.arange(length, device=device) < inputs.lengths[:, None])[:, None, None, :]
        positions = self.encoder_positions(torch.arange(length, device=device))
        hidden_states = _add_positions(self.embeddings.embed_source(inputs), positions.additive)
        hidden_states = self.dropout(self.encoder_embedding_norm(hidden_states))
        masks = self.encoder_positions.attn_masks(attn_mask, length, len(self.encoder))
        for layer, mask in zip(self.encoder, masks, strict=True):
            if not self._skips_layer():
                hidden_states = self._run(layer, hidden_states, positions.rotary, mask)
        return TransformerEncoderOutput(self.encoder_norm(hidden_states), attn_mask, source_columns=columns)

    def decode(
        self, encoder_output: TransformerEncoderOutput, target: DecoderInput, attention: bool = False
    ) -> DecoderOutput:
        """See Model.decode; attention is that of the last layer, the mean over heads."""
        ids = self._known_ids(target.required_ids("positions", "segment_ids"))
        indices = torch.arange(ids.size(1), device=ids.device) if target.positions is None else target.positions
        positions = self.decoder_positions(indices)
        self_attn_mask = None
        if target.segment_ids is not None:  # packed rows: [B,1,T,T], true for earlier positions of the same segment
            is_same = target.segment_ids[:, :, None] == target.segment_ids[:, None, :]
            self_attn_mask = is_same.tril().unsqueeze(1)
        hidden_states = _add_positions(self.embeddings.embed_target(ids), positions.additive)
        hidden_states = self.dropout(self.decoder_embedding_norm(hidden_states))
        masks = self.decoder_positions.attn_masks(self_attn_mask, ids.size(1), len(self.decoder))
        weights, attention = None, attention or self.output.needs_attention
        source, source_mask = encoder_output.hidden_states, encoder_output.attn_mask
        for layer, mask in zip(self.decoder, masks, strict=True):
            with_attention = attention and layer is self.decoder[-1]
            if with_attention or not self._skips_layer():
                inputs = hidden_states, positions.rotary, mask, source, source_mask
                hidden_states, weights = self._run(layer, *inputs, with_attention)
        columns = encoder_output.source_columns
        return DecoderOutput(self.decoder_norm(hidden_states), cross_attention=weights, source_columns=columns)

    @torch.no_grad()  # the cache is written in place
    def init_cache(self, encoder_output: TransformerEncoderOutput, batch_size: int) -> TransformerCache:
        encoder_kv = torch.stack(
            [layer.cross_attention.project_kv(encoder_output.hidden_states) for layer in self._decoder_layers()]
        )
        layers, two, sentences, num_kv_heads, length, width = encoder_kv.shape
        encoder_bias = encoder_kv.new_zeros(sentences, num_kv_heads, 1, length)
        if encoder_output.attn_mask is not None:
            encoder_bias = encoder_bias.masked_fill(~encoder_output.attn_mask, -torch.inf)
        missing = max(0, _MIN_ATTENDED - length)
        kv_cache = encoder_kv.new_empty(0, layers, two, sentences, num_kv_heads * width)
        return TransformerCache(
            kv_cache,
            scratch=kv_cache,
            length=0,
            causal_bias=kv_cache.new_empty(0),
            positions=PositionalEncoding(),
            relative_biases=None,
            beam_size=1,
            encoder_kv=pad(encoder_kv, (0, 0, 0, missing)),
            encoder_bias=pad(encoder_bias, (0, missing), value=-torch.inf),
            source_length=length,
            source_columns=encoder_output.source_columns,
        )

    @torch.no_grad()
    def step(self, ids: Tensor, cache: TransformerCache) -> tuple[Tensor, TransformerCache]:
        cache = self._ensure_capacity(cache)
        position = cache.length
        cache.causal_bias[position] = 0
        hidden_states = self.embeddings.embed_target(self._known_ids(ids)).flatten(0, 1)
        if cache.positions.additive is not None:
            hidden_states = hidden_states + cache.positions.additive[position]
        hidden_states = self.decoder_embedding_norm(hidden_states)
        rotary = None if cache.positions.rotary is None else cache.positions.rotary.at(position)
        kv = cache.self_attn_kv(), cache.kv_cache[position].unbind(0), cache.cross_attn_kv()
        weights, attention = None, self.output.needs_attention
        for layer, past, new_kv, encoder_kv in zip(self._decoder_layers(), *kv, strict=True):
            with_attention = attention and layer is self.decoder[-1]
            hidden_states, weights = layer.step(hidden_states, rotary, past, new_kv, encoder_kv, with_attention)
        if weights is not None:
            weights = weights[:, :, : cache.source_length]
        hidden_states = self.decoder_norm(hidden_states).view(*ids.shape, -1)
        logits = self.logits(DecoderOutput(hidden_states, None, weights, cache.source_columns))
        return logits.view(*ids.shape, -1), replace(cache, length=position + 1)

    def export_settings(self) -> TransformerSettings:
        return self.settings

    def _ensure_capacity(self, cache: TransformerCache) -> TransformerCache:
        """Return the same cache with at least one empty slot."""
        length = cache.length
        if length < len(cache.kv_cache):
            return cache
        capacity = length + cache.encoder_bias.size(-1)  # translations are about as long as their sources
        kv_cache = _new_cache(cache.kv_cache, (capacity, *cache.kv_cache.shape[1:]))
        kv_cache[:length] = cache.kv_cache
        causal_bias = torch.full_like(kv_cache[:, 0, 0, 0, 0], -torch.inf)
        causal_bias[:length] = 0
        indices, relative_biases = torch.arange(capacity, device=kv_cache.device), None
        if self.decoder_positions.biases is not None:
            distances = torch.arange(1 - capacity, 1 + _MIN_ATTENDED, device=kv_cache.device)
            relative_biases = self.decoder_positions.relative_biases(distances)
            relative_biases = relative_biases.view(len(relative_biases), cache.encoder_bias.size(1), -1, len(distances))
        return replace(
            cache,
            kv_cache=kv_cache,
            causal_bias=causal_bias,
            positions=self.decoder_positions(indices),
            relative_biases=relative_biases,
        )

    def _skips_layer(self) -> bool:
        """Draw whether to leave out a layer; on the CPU, so that nothing waits for a device."""
        return self.training and self.layer_drop > 0 and float(torch.rand((), device="cpu")) < self.layer_drop

    def _decoder_layers(self) -> Sequence[DecoderLayer]:
        return cast("Sequence[DecoderLayer]", self.decoder)


def _add_positions(embeddings: Tensor, positions: Tensor | None) -> Tensor:
    return embeddings if positions is None else embeddings + positions
