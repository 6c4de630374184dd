"""The encoder of a Transformer (Vaswani et al. 2017)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nmt_cli.models.contract import EncoderOutput, ModelInputs
from nmt_cli.models.positions import Positions, RotaryCache, add_positions
from nmt_cli.models.transformer.model import TransformerModel


@dataclass(frozen=True)
class TransformerEncoderOutput(EncoderOutput):
    """The encoded source."""

    hidden_states: Tensor
    """[B,S,D]"""
    attn_mask: Tensor | None
    """[B,1,1,S], true at tokens; None without padding."""


class TransformerEncoder(TransformerModel):
    """A model that encodes the source by self-attention. Subclasses build its layers."""

    encoder: nn.ModuleList
    encoder_positions: Positions
    encoder_embedding_norm: nn.Module
    encoder_norm: nn.Module

    def encode(self, inputs: ModelInputs) -> TransformerEncoderOutput:
        assert inputs.ids is not None
        attn_mask, columns = source_attn_mask(inputs), self._source_columns(inputs)
        positions = self.encoder_positions(torch.arange(inputs.ids.size(1), device=inputs.ids.device))
        hidden_states = add_positions(self.embeddings.embed_source(inputs), positions.additive)
        hidden_states = self.dropout(self.encoder_embedding_norm(hidden_states))
        hidden_states = self._encode_embedded(hidden_states, positions.rotary, attn_mask)
        return TransformerEncoderOutput(hidden_states, attn_mask, source_columns=columns)

    def _encode_embedded(self, hidden_states: Tensor, rotary: RotaryCache | None, attn_mask: Tensor | None) -> Tensor:
        """Encode embedded sources [B,S,D] → [B,S,D], normalised; attn_mask [B,1,1,S] is true at tokens."""
        masks = self.encoder_positions.attn_masks(attn_mask, hidden_states.size(1), len(self.encoder))
        hidden_states = self._run_layers(self.encoder, hidden_states, rotary, masks)
        normalised: Tensor = self.encoder_norm(hidden_states)
        return normalised

    def _run_layers(
        self,
        layers: Iterable[nn.Module],
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        attn_masks: Sequence[Tensor | None],
    ) -> Tensor:
        """Apply encoder layers, each with its mask, to [B,S,D]; training may skip some."""
        for layer, attn_mask in zip(layers, attn_masks, strict=True):
            if not self._skips_layer():
                hidden_states = self._run(layer, hidden_states, rotary, attn_mask)
        return hidden_states


def source_attn_mask(inputs: ModelInputs) -> Tensor | None:
    """Return the mask [B,1,1,S], true at tokens; None without padding."""
    if inputs.ids is None or inputs.lengths is None:
        return None
    indices = torch.arange(inputs.ids.size(1), device=inputs.ids.device)
    return (indices < inputs.lengths[:, None])[:, None, None, :]
