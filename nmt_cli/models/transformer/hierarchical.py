"""A Transformer with a hierarchical encoder, for long sources (Yang et al. 2016; Nallapati et al. 2016).

1. The source is split into segments of `segment_tokens` tokens. The first encoder layers attend within a segment, so
   that their cost grows with the length of the source, not with its square.
2. Each segment is pooled to one vector, a weighted mean of its tokens, and the last `document_layers` layers attend
   from segment to segment.
3. The encoding of a token is the sum of its vector and that of its segment. Scores of cross-attention are then sums,
   too: with query q and key matrix K, token j of segment s has the score q·K(h_j + d_s) = q·K h_j + q·K d_s. Its weight
   is the product, renormalised, of an attention to tokens and an attention to segments. Decoder, search and kernels are
   those of any Transformer.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nmt_cli.models.contract import VocabularySpec
from nmt_cli.models.encoder_decoder import OutputLayer
from nmt_cli.models.positions import RotaryCache, add_positions
from nmt_cli.models.transformer import Transformer
from nmt_cli.models.transformer.layers import new_final_norm
from nmt_cli.recipe.model import HierarchicalEncoder, TransformerSettings


class HierarchicalTransformer(Transformer):
    """A Transformer whose encoder has token layers and document layers.

    Token positions that are added to embeddings count from the beginning of the source; rotary and relative positions
    are within a segment, and between segments.
    """

    def __init__(
        self, settings: TransformerSettings, vocabulary: VocabularySpec, output_layer: type[OutputLayer] = OutputLayer
    ) -> None:
        super().__init__(settings, vocabulary, output_layer)
        assert isinstance(settings.encoder, HierarchicalEncoder)
        self.segment_tokens = settings.encoder.segment_tokens
        self.num_token_layers = settings.encoder_layers - settings.encoder.document_layers
        self.segment_pooling = SegmentPooling(settings.width)
        self.document_norm = new_final_norm(settings)

    def _encode_embedded(self, hidden_states: Tensor, rotary: RotaryCache | None, attn_mask: Tensor | None) -> Tensor:
        """See TransformerEncoder: [B,S,D] → [B,S,D]; n segments of up to m tokens are rows of a batch."""
        (sentences, length, width), layers = hidden_states.shape, list(self.encoder)
        size = min(self.segment_tokens, length)
        is_token = _segment_tokens(attn_mask, hidden_states, size)
        tokens = pad(hidden_states, (0, 0, 0, -length % size)).view(-1, size, width)  # [B·n,m,D]
        mask = None if is_token is None else _without_empty_rows(is_token)[:, None, None]
        masks = self.encoder_positions.attn_masks(mask, size, len(layers))[: self.num_token_layers]
        if rotary is not None:
            rotary = RotaryCache(rotary.cos[:size], rotary.sin[:size])
        tokens = self._run_layers(layers[: self.num_token_layers], tokens, rotary, masks)

        segments = self.segment_pooling(tokens, is_token).view(sentences, -1, width)
        is_segment = None if is_token is None else is_token.any(1).view(sentences, 1, 1, -1)
        num_segments = segments.size(1)
        positions = self.encoder_positions(torch.arange(num_segments, device=segments.device))
        masks = self.encoder_positions.attn_masks(is_segment, num_segments, len(layers))[self.num_token_layers :]
        segments = add_positions(segments, positions.additive)
        segments = self._run_layers(layers[self.num_token_layers :], segments, positions.rotary, masks)

        tokens = self.encoder_norm(tokens).view(sentences, num_segments, size, width)
        encoded: Tensor = tokens + self.document_norm(segments).unsqueeze(2)
        return encoded.flatten(1, 2)[:, :length]


class SegmentPooling(nn.Module):
    """The mean of the vectors of a segment, weighted by a softmax of their products with a learned vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def forward(self, hidden_states: Tensor, is_token: Tensor | None) -> Tensor:
        """Pool [N,m,D] → [N,D]; is_token [N,m] is false at padding, whose weight is zero."""
        scores = hidden_states @ self.query
        if is_token is not None:
            scores = scores.masked_fill(~_without_empty_rows(is_token), -torch.inf)
        pooled = scores.softmax(-1).unsqueeze(1) @ hidden_states
        return pooled.squeeze(1).to(hidden_states.dtype)


def _segment_tokens(attn_mask: Tensor | None, hidden_states: Tensor, size: int) -> Tensor | None:
    """Return where the segments of `size` tokens of sources [B,S,D] have tokens, [B·n,size]; None if everywhere."""
    sentences, length, _ = hidden_states.shape
    missing = -length % size
    if attn_mask is None and not missing:
        return None
    if attn_mask is None:
        is_token = torch.ones(sentences, length, dtype=torch.bool, device=hidden_states.device)
    else:
        is_token = attn_mask[:, 0, 0]
    return pad(is_token, (0, missing)).view(-1, size)


def _without_empty_rows(is_token: Tensor) -> Tensor:
    """Return the mask [N,m] with rows of padding alone all true, so that a softmax over them is finite."""
    return is_token | ~is_token.any(1, keepdim=True)
