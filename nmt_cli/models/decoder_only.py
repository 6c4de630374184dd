"""The decoder-only Transformer (Radford et al. 2018), a language model."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from nmt_cli.models.contract import DecoderInput, DecoderOutput, EncoderOutput, ModelInputs, VocabularySpec
from nmt_cli.models.encoder_decoder import OutputLayer
from nmt_cli.models.positions import PositionalEncoding, Positions, add_positions
from nmt_cli.models.transformer.cache import EncoderKeyValues, SelfAttentionCache
from nmt_cli.models.transformer.layers import CausalLayer, new_embedding_norm, new_final_norm
from nmt_cli.models.transformer.model import TransformerModel
from nmt_cli.recipe.model import DecoderOnlySettings

_MIN_CAPACITY = 64
"""Tokens that a cache first has space for."""


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

    def decode(self, encoder_output: EncoderOutput, target: DecoderInput, attention: bool = False) -> DecoderOutput:
        ids = target.required_ids("positions", "segment_ids")
        indices = torch.arange(ids.size(1), device=ids.device) if target.positions is None else target.positions
        positions = self.positions(indices)
        hidden_states = self._embedded(ids, positions)
        masks = self.positions.attn_masks(target.segment_mask, ids.size(1), len(self.decoder))
        for layer, mask in zip(self.decoder, masks, strict=True):
            if not self._skips_layer():
                hidden_states = self._run(layer, hidden_states, positions.rotary, mask)
        return DecoderOutput(self.decoder_norm(hidden_states))

    @torch.no_grad()  # the cache is written in place
    def init_cache(self, encoder_output: EncoderOutput, batch_size: int) -> SelfAttentionCache:
        settings = self.settings
        sizes = settings.layers, batch_size, settings.key_value_heads or settings.heads, settings.attention_head_width
        source = EncoderKeyValues.without_source(self.embeddings.target.weight, *sizes)
        return SelfAttentionCache.empty(source).grown(_MIN_CAPACITY, self.positions)

    @torch.no_grad()
    def prefill(self, ids: Tensor, lengths: Tensor, cache: SelfAttentionCache) -> tuple[Tensor, SelfAttentionCache]:
        """See Model.prefill; an empty cache is filled in one pass."""
        length = ids.size(1)
        if cache.length or not bool((lengths == length).all()):
            return super().prefill(ids, lengths, cache)
        if length > cache.capacity:
            cache = cache.grown(length + _MIN_CAPACITY, self.positions)
        positions, key_values = self.positions(torch.arange(length, device=ids.device)), list[Tensor]()
        hidden_states = self._embedded(ids, positions)
        masks = self.positions.attn_masks(None, length, len(self.decoder))
        for layer, mask in zip(self._layers(), masks, strict=True):
            hidden_states, key_value = layer.prefill(hidden_states, positions.rotary, mask)
            key_values.append(key_value)
        logits = self.logits(DecoderOutput(self.decoder_norm(hidden_states[:, -1:])))
        return logits.unsqueeze(1), cache.filled(key_values)

    @torch.no_grad()
    def step(self, ids: Tensor, cache: SelfAttentionCache) -> tuple[Tensor, SelfAttentionCache]:
        position = cache.length
        if position == cache.capacity:
            cache = cache.grown(2 * position, self.positions)
        positions = cache.positions.at(position)
        hidden_states = self._embedded(ids, positions).flatten(0, 1)
        for layer, (past, new_kv) in zip(self._layers(), cache.self_attention_inputs(), strict=True):
            hidden_states = layer.step(hidden_states, positions.rotary, past, new_kv)
        logits = self.logits(DecoderOutput(self.decoder_norm(hidden_states).view(*ids.shape, -1)))
        return logits.view(*ids.shape, -1), replace(cache, length=position + 1)

    def _embedded(self, ids: Tensor, positions: PositionalEncoding) -> Tensor:
        vectors = add_positions(self.embeddings.embed_target(ids), positions.additive)
        embedded: Tensor = self.dropout(self.embedding_norm(vectors))
        return embedded

    def _layers(self) -> Sequence[CausalLayer]:
        return cast("Sequence[CausalLayer]", self.decoder)
