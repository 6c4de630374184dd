"""Transformer without autoregression, for the CTC loss (Graves et al. 2006; Libovický & Helcl 2018)."""

import torch
from torch import Tensor, nn

from nmt_cli.models.contract import DecoderInput, DecoderOutput, VocabularySpec
from nmt_cli.models.encoder_decoder import OutputLayer
from nmt_cli.models.kernels import Linear
from nmt_cli.models.positions import Positions, add_positions
from nmt_cli.models.transformer.encoder import TransformerEncoder, TransformerEncoderOutput
from nmt_cli.models.transformer.layers import DecoderLayer, EncoderLayer, new_embedding_norm, new_final_norm
from nmt_cli.recipe.model import CtcSettings


class Ctc(TransformerEncoder):
    """The encoder of a Transformer, upsampling, and more layers, which attend to all positions in both directions.

    Upsampling projects each encoded token to `upsampling` vectors. The blank has the id of pad. The layers after it may
    attend to the encoded source as well. Glancing training replaces vectors by the embeddings of revealed tokens.
    """

    def __init__(
        self, settings: CtcSettings, vocabulary: VocabularySpec, output_layer: type[OutputLayer] = OutputLayer
    ) -> None:
        width = settings.width
        super().__init__(settings, vocabulary, output_layer)
        self.settings = settings
        self.encoder_positions = Positions(settings, settings.encoder_layers, is_causal=False)
        self.decoder_positions = Positions(settings, settings.decoder_layers, is_causal=False)
        self.encoder_embedding_norm = new_embedding_norm(settings)
        self.encoder = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.encoder_layers))
        self.upsample = Linear(width, settings.upsampling * width, settings.bias, [width] * settings.upsampling)
        self.decoder = nn.ModuleList(
            DecoderLayer(settings, is_causal=False) if settings.cross_attention else EncoderLayer(settings)
            for _ in range(settings.decoder_layers)
        )
        self.encoder_norm, self.decoder_norm = new_final_norm(settings), new_final_norm(settings)
        self._add_layer_output(settings, output_layer)
        decoder_layers = settings.decoder_layers * (1.5 if settings.cross_attention else 1)
        layers = settings.encoder_layers + settings.upsampling * decoder_layers
        self.activations_per_token = round(layers * (12 * width + 3 * settings.feed_forward))

    def decode(
        self, encoder_output: TransformerEncoderOutput, target: DecoderInput, attention: bool = False
    ) -> DecoderOutput:
        """Predict all positions, [B, upsampling * S, D]; the target has no ids; cross-attention is None."""
        assert target.ids is None, "a CTC model reads no target"
        attn_mask, rate = encoder_output.attn_mask, self.settings.upsampling
        hidden_states = self._upsampled(encoder_output, target)
        lengths = None
        if attn_mask is not None:
            lengths = rate * attn_mask.sum((1, 2, 3))
            attn_mask = attn_mask.repeat_interleave(rate, dim=3)
        length = hidden_states.size(1)
        positions = self.decoder_positions(torch.arange(length, device=hidden_states.device))
        hidden_states = self.dropout(add_positions(hidden_states, positions.additive))
        masks = self.decoder_positions.attn_masks(attn_mask, length, len(self.decoder))
        source = encoder_output.hidden_states, encoder_output.attn_mask, False
        for layer, mask in zip(self.decoder, masks, strict=True):
            if self._skips_layer():
                continue
            if self.settings.cross_attention:
                hidden_states, _ = self._run(layer, hidden_states, positions.rotary, mask, *source)
            else:
                hidden_states = self._run(layer, hidden_states, positions.rotary, mask)
        return DecoderOutput(self.decoder_norm(hidden_states), lengths, source_columns=encoder_output.source_columns)

    def _upsampled(self, encoder_output: TransformerEncoderOutput, target: DecoderInput) -> Tensor:
        """Return the decoder's input [B, upsampling * S, D], without positions."""
        projected = self.upsample(encoder_output.hidden_states)
        hidden_states: Tensor = projected.view(len(projected), -1, self.settings.width)
        if target.revealed is None:
            return hidden_states
        revealed = self.embeddings.embed_target(target.revealed.clamp(min=0))
        return torch.where((target.revealed >= 0).unsqueeze(-1), revealed, hidden_states)
