"""The encoder of a Transformer (Vaswani et al. 2017)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nmt_cli.models.contract import EncoderOutput, ModelInputs
from nmt_cli.models.positions import Positions, add_positions
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
        length = inputs.ids.size(1)
        positions = self.encoder_positions(torch.arange(length, device=inputs.ids.device))
        hidden_states = add_positions(self.embeddings.embed_source(inputs), positions.additive)
        hidden_states = self.dropout(self.encoder_embedding_norm(hidden_states))
        masks = self.encoder_positions.attn_masks(attn_mask, length, len(self.encoder))
        for layer, mask in zip(self.encoder, masks, strict=True):
            if not self._skips_layer():
                hidden_states = self._run(layer, hidden_states, positions.rotary, mask)
        return TransformerEncoderOutput(self.encoder_norm(hidden_states), attn_mask, source_columns=columns)


def source_attn_mask(inputs: ModelInputs) -> Tensor | None:
    """Return the mask [B,1,1,S], true at tokens; None without padding."""
    if inputs.ids is None or inputs.lengths is None:
        return None
    indices = torch.arange(inputs.ids.size(1), device=inputs.ids.device)
    return (indices < inputs.lengths[:, None])[:, None, None, :]
