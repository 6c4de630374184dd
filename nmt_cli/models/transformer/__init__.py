"""The Transformer encoder-decoder (Vaswani et al. 2017)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from nmt_cli.models.contract import DecoderInput, DecoderOutput, VocabularySpec
from nmt_cli.models.encoder_decoder import OutputLayer
from nmt_cli.models.positions import Positions, add_positions
from nmt_cli.models.transformer.cache import DecoderCache, EncoderKeyValues, SelfAttentionCache, SsruCache
from nmt_cli.models.transformer.encoder import TransformerEncoder, TransformerEncoderOutput
from nmt_cli.models.transformer.layers import DecoderLayer, EncoderLayer, new_embedding_norm, new_final_norm
from nmt_cli.recipe.model import TransformerSettings


class Transformer(TransformerEncoder):
    """Self-attention in the encoder; causal self-attention, or an SSRU, and cross-attention in the decoder.

    The decoder supports packed rows.
    """

    def __init__(
        self, settings: TransformerSettings, vocabulary: VocabularySpec, output_layer: type[OutputLayer] = OutputLayer
    ) -> None:
        width = settings.width
        super().__init__(settings, vocabulary, output_layer, zero_start=settings.decoder_start == "zeros")
        self.settings = settings
        self.encoder_positions = Positions(settings, settings.encoder_layers, is_causal=False)
        self.decoder_positions = Positions(settings, settings.decoder_layers, is_causal=True)
        self.encoder_embedding_norm, self.decoder_embedding_norm = (new_embedding_norm(settings) for _ in range(2))
        self.encoder = nn.ModuleList(self._new_encoder_layer(settings) for _ in range(settings.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.decoder_layers))
        self.encoder_norm, self.decoder_norm = new_final_norm(settings), new_final_norm(settings)
        self._add_layer_output(settings, output_layer)
        # Some 14 vectors of the width in each layer, and 3 of the feed-forward's; decoder layers attend twice.
        layers = settings.encoder_layers + 1.5 * settings.decoder_layers
        self.activations_per_token = round(layers * (14 * width + 3 * settings.feed_forward))

    def _new_encoder_layer(self, settings: TransformerSettings) -> EncoderLayer:
        return EncoderLayer(settings)

    def decode(
        self, encoder_output: TransformerEncoderOutput, target: DecoderInput, attention: bool = False
    ) -> DecoderOutput:
        """See Model.decode; attention is that of the pointing layer, usually the last, the mean over pointing heads."""
        ids = self._known_ids(target.required_ids("positions", "segment_ids"))
        indices = torch.arange(ids.size(1), device=ids.device) if target.positions is None else target.positions
        positions = self.decoder_positions(indices)
        hidden_states = add_positions(self.embeddings.embed_target(ids), positions.additive)
        hidden_states = self.dropout(self.decoder_embedding_norm(hidden_states))
        masks = self.decoder_positions.attn_masks(target.segment_mask, ids.size(1), len(self.decoder))
        weights = None
        attention = attention or self.output.needs_attention
        pointing_layer = self.decoder[self.settings.pointing_layer]
        source, source_mask = encoder_output.hidden_states, encoder_output.attn_mask
        for layer, mask in zip(self.decoder, masks, strict=True):
            points = attention and layer is pointing_layer
            if points or not self._skips_layer():
                inputs = hidden_states, positions.rotary, mask, source, source_mask
                hidden_states, weights_here = self._run(layer, *inputs, points)
                weights = weights_here if points else weights
        columns = encoder_output.source_columns
        return DecoderOutput(self.decoder_norm(hidden_states), cross_attention=weights, source_columns=columns)

    @torch.no_grad()  # the cache is written in place
    def init_cache(self, encoder_output: TransformerEncoderOutput, batch_size: int) -> DecoderCache:
        projected = torch.stack(
            [layer.cross_attention.project_kv(encoder_output.hidden_states) for layer in self._decoder_layers()]
        )
        source = EncoderKeyValues.of(projected, encoder_output.attn_mask, encoder_output.source_columns)
        if self.settings.decoder_self_attention == "ssru":
            return SsruCache.empty(source, like=self.embeddings.target.weight)
        return SelfAttentionCache.empty(source)

    @torch.no_grad()
    def step(self, ids: Tensor, cache: DecoderCache) -> tuple[Tensor, DecoderCache]:
        position, source = cache.length, cache.source
        if position == cache.capacity:  # translations are about as long as their sources
            cache = cache.grown(position + source.encoder_bias.size(-1), self.decoder_positions)
        positions = cache.positions.at(position)
        hidden_states = self.embeddings.embed_target(self._known_ids(ids)).flatten(0, 1)
        hidden_states = self.decoder_embedding_norm(add_positions(hidden_states, positions.additive))
        weights = None
        attention = self.output.needs_attention
        pointing_layer = self.decoder[self.settings.pointing_layer]
        layers = zip(self._decoder_layers(), cache.self_attention_inputs(), source.by_layer(), strict=True)
        for layer, (past, new), encoder_kv in layers:
            points = attention and layer is pointing_layer
            hidden_states, weights_here = layer.step(hidden_states, positions.rotary, past, new, encoder_kv, points)
            weights = weights_here if points else weights
        if weights is not None:
            weights = weights[:, :, : source.source_length]
        hidden_states = self.decoder_norm(hidden_states).view(*ids.shape, -1)
        logits = self.logits(DecoderOutput(hidden_states, None, weights, source.source_columns))
        return logits.view(*ids.shape, -1), replace(cache, length=position + 1)

    def export_settings(self) -> TransformerSettings:
        return self.settings

    def _decoder_layers(self) -> Sequence[DecoderLayer]:
        return cast("Sequence[DecoderLayer]", self.decoder)
