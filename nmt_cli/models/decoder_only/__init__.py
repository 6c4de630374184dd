"""The decoder-only Transformer (Radford et al. 2018), a language model."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from nmt_cli.models.attention import KeyValues
from nmt_cli.models.contract import DecoderInput, DecoderOutput, EncoderOutput, ModelInputs, VocabularySpec
from nmt_cli.models.encoder_decoder import OutputLayer
from nmt_cli.models.positions import PositionalEncoding, Positions, add_positions
from nmt_cli.models.transformer.cache import EncoderKeyValues, SelfAttentionCache
from nmt_cli.models.transformer.layers import CausalLayer, new_embedding_norm, new_final_norm
from nmt_cli.models.transformer.model import TransformerModel
from nmt_cli.recipe.model import DecoderOnlySettings

_MIN_CAPACITY = 64
"""Tokens that a cache first has space for."""


class LayerInput(NamedTuple):
    """Input of a layer other than the hidden states."""

    attn_mask: Tensor | None
    """[B or 1,1 or H,T,S+T]; None: causal."""
    prefix: Tensor | None = None
    """Keys and values [2,B,K,S,d] of the positions before the target, if there are any."""


class DecoderOnly(TransformerModel):
    """Causal self-attention over the target alone; it supports packed rows."""

    def __init__(
        self, settings: DecoderOnlySettings, vocabulary: VocabularySpec, output_layer: type[OutputLayer] = OutputLayer
    ) -> None:
        super().__init__(settings, vocabulary, output_layer)
        self.capabilities = replace(self.capabilities, source="none")
        self.settings = settings
        self.positions = Positions(settings, settings.layers, is_causal=True)
        self.embedding_norm = new_embedding_norm(settings)
        self.decoder = nn.ModuleList(CausalLayer(settings) for _ in range(settings.layers))
        self.decoder_norm = new_final_norm(settings)
        self._add_layer_output(settings, output_layer)
        # As in the encoder of the encoder-decoder.
        self.activations_per_token = settings.layers * (14 * settings.width + 3 * settings.feed_forward)

    def encode(self, inputs: ModelInputs) -> EncoderOutput:
        """Return an empty output: this model has no encoder."""
        assert inputs.ids is None
        return EncoderOutput()

    def decode(self, encoder_output: Any, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        hidden_states, _ = self._decode(encoder_output, target)
        return DecoderOutput(hidden_states)

    @torch.no_grad()  # the cache is written in place
    def init_cache(self, encoder_output: Any, batch_size: int) -> SelfAttentionCache:
        return SelfAttentionCache.empty(self._source(encoder_output, batch_size)).grown(_MIN_CAPACITY, self.positions)

    @torch.no_grad()
    def prefill(self, ids: Tensor, lengths: Tensor, cache: SelfAttentionCache) -> tuple[Tensor, SelfAttentionCache]:
        """See Model.prefill; an empty cache is filled in one pass."""
        length = ids.size(1)
        if cache.length or not bool((lengths == length).all()):
            return super().prefill(ids, lengths, cache)
        if length > cache.capacity:
            cache = cache.grown(length + _MIN_CAPACITY, self.positions)
        hidden_states, key_values = self._decode(self._encoder_output(cache), DecoderInput(ids), return_kv=True)
        logits = self.logits(DecoderOutput(hidden_states[:, -1:]))
        return logits.unsqueeze(1), cache.filled(key_values)

    @torch.no_grad()
    def step(self, ids: Tensor, cache: SelfAttentionCache) -> tuple[Tensor, SelfAttentionCache]:
        position = cache.length
        if position == cache.capacity:
            cache = cache.grown(2 * position, self.positions)
        positions = cache.positions.at(position)
        hidden_states = self._embedded(self.embeddings.embed_target(ids), positions).flatten(0, 1)
        layers = zip(self._layers(), cache.self_attention_inputs(), self._prefixes(cache), strict=True)
        for layer, (past, new_kv), prefix in layers:
            hidden_states = layer.step(hidden_states, positions.rotary, past, new_kv, prefix)
        logits = self.logits(DecoderOutput(self.decoder_norm(hidden_states).view(*ids.shape, -1)))
        return logits.view(*ids.shape, -1), replace(cache, length=position + 1)

    def _decode(
        self, encoder_output: Any, target: DecoderInput, return_kv: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the last hidden states [B,T,D], and with `return_kv` keys and values [2,B,K,T,d] of each layer."""
        ids = target.required_ids("positions", "segment_ids")
        indices = torch.arange(ids.size(1), device=ids.device) if target.positions is None else target.positions
        positions, key_values = self.positions(indices), list[Tensor]()
        hidden_states = self._embedded(self.embeddings.embed_target(ids), positions)
        masks = self.positions.attn_masks(target.segment_mask, ids.size(1), len(self.decoder))
        for layer, each in zip(self.decoder, self._layer_inputs(encoder_output, masks, ids.size(1)), strict=True):
            if each is not None:
                output = "both" if return_kv else "hidden_states"
                inputs = hidden_states, positions.rotary, each.attn_mask, each.attn_mask is None, each.prefix, output
                hidden_states, key_value = self._run(layer, *inputs)
                key_values += [] if key_value is None else [key_value]
        return self.decoder_norm(hidden_states), key_values

    def _layer_inputs(
        self, encoder_output: Any, masks: Sequence[Tensor | None], length: int
    ) -> Sequence[LayerInput | None]:
        """Return the input of each layer for targets of a length, given their masks; None for a skipped layer."""
        return [None if self._skips_layer() else LayerInput(mask) for mask in masks]

    def _source(self, encoder_output: Any, batch_size: int) -> EncoderKeyValues:
        """Return the keys and values before the target, for a cache."""
        settings = self.settings
        sizes = settings.layers, batch_size, settings.key_value_heads or settings.heads, settings.attention_head_width
        return EncoderKeyValues.without_source(self.embeddings.target.weight, *sizes)

    def _encoder_output(self, cache: SelfAttentionCache) -> EncoderOutput:
        """Return the encoder output that a cache was made of."""
        return EncoderOutput()

    def _prefixes(self, cache: SelfAttentionCache) -> Sequence[KeyValues | None]:
        """Return what each layer attends to before the target."""
        return [None] * len(self.decoder)

    def _embedded(self, vectors: Tensor, positions: PositionalEncoding) -> Tensor:
        """Return the input of the first layer, given embeddings."""
        vectors = add_positions(vectors, positions.additive)
        embedded: Tensor = self.dropout(self.embedding_norm(vectors))
        return embedded

    def _layers(self) -> Sequence[CausalLayer]:
        return cast("Sequence[CausalLayer]", self.decoder)
