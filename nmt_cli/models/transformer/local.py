"""A Transformer whose encoder attends locally and to global tokens, for long sources (Ainslie et al. 2020)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nmt_cli.models.attention.local import LocalSelfAttention
from nmt_cli.models.contract import VocabularySpec
from nmt_cli.models.encoder_decoder import OutputLayer
from nmt_cli.models.positions import RotaryCache
from nmt_cli.models.transformer import Transformer
from nmt_cli.models.transformer.layers import EncoderLayer, attention_sizes
from nmt_cli.recipe.model import LocalEncoder, TransformerSettings


class LocalTransformer(Transformer):
    """A Transformer whose source tokens attend to near tokens and to learned global tokens, which attend to all.

    Global tokens are put before the source in the encoder, at position 0 of rotary positions; the decoder does not
    attend to them.
    """

    def __init__(
        self, settings: TransformerSettings, vocabulary: VocabularySpec, output_layer: type[OutputLayer] = OutputLayer
    ) -> None:
        super().__init__(settings, vocabulary, output_layer)
        assert isinstance(settings.encoder, LocalEncoder)
        # Of the size of an embedded token.
        std = 1.0 if settings.scale_embeddings else settings.width**-0.5
        self.global_tokens = nn.Parameter(torch.randn(settings.encoder.global_tokens, settings.width) * std)

    def _new_encoder_layer(self, settings: TransformerSettings) -> EncoderLayer:
        assert isinstance(settings.encoder, LocalEncoder)
        sizes, encoder = attention_sizes(settings), settings.encoder
        attention = LocalSelfAttention(*sizes, block_tokens=encoder.block_tokens, num_global=encoder.global_tokens)
        return EncoderLayer(settings, attention)

    def _encode_embedded(self, hidden_states: Tensor, rotary: RotaryCache | None, attn_mask: Tensor | None) -> Tensor:
        """See TransformerEncoder."""
        num_global = len(self.global_tokens)
        global_tokens = self.global_tokens.expand(len(hidden_states), -1, -1)
        hidden_states = torch.cat([global_tokens.to(hidden_states.dtype), hidden_states], dim=1)
        if rotary is not None:
            rotary = RotaryCache(*(torch.cat([each[:1].expand(num_global, -1), each]) for each in rotary))
        if attn_mask is not None:
            attn_mask = pad(attn_mask, (num_global, 0), value=True)
        hidden_states = self._run_layers(self.encoder, hidden_states, rotary, [attn_mask] * len(self.encoder))
        encoded: Tensor = self.encoder_norm(hidden_states[:, num_global:])
        return encoded
