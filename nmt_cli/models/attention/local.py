"""Self-attention to neighbouring blocks and to global tokens (Ainslie et al. 2020; Zaheer et al. 2020)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt_cli.models.attention import SelfAttention
from nmt_cli.models.attention.products import attention


class LocalSelfAttention(SelfAttention):
    """Attention of tokens to their block, to the blocks before and after it, and to global tokens, which see all.

    The first `num_global` positions are the global tokens.
    """

    def __init__(self, *sizes: Any, block_tokens: int, num_global: int) -> None:
        """See SelfAttention for `sizes`."""
        super().__init__(*sizes)
        self.block_tokens, self.num_global = block_tokens, num_global

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
        assert not is_causal
        options: Any = {"scale": self.scale, "dropout_p": self.dropout if self.training else 0.0}
        of_global = attention(query[:, :, : self.num_global], key, value, attn_mask, **options)
        of_tokens = self._attend_to_blocks(query[:, :, self.num_global :], key, value, attn_mask, **options)
        attended: Tensor = self.output(torch.cat([of_global, of_tokens], dim=2).transpose(1, 2).flatten(2))
        return attended

    def _attend_to_blocks(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, **options: Any
    ) -> Tensor:
        """Attend from tokens [B,H,S,d] to global tokens and tokens [B,K,g+S,d] → [B,H,S,d]."""
        sentences, heads, length, width = query.shape
        size = min(self.block_tokens, length)
        missing = -length % size
        blocks = pad(query, (0, 0, 0, missing)).view(sentences, heads, -1, size, width).transpose(1, 2)
        num_blocks = blocks.size(1)
        visible = torch.ones(1, 1, 1, key.size(2), dtype=torch.bool, device=key.device)
        mask = self._neighbours((visible if attn_mask is None else attn_mask).transpose(2, 3), size, missing)
        mask = mask.transpose(3, 4).expand(sentences, -1, -1, -1, -1)
        keys, values = (self._neighbours(each, size, missing).flatten(0, 1) for each in (key, value))
        attended = attention(blocks.flatten(0, 1), keys, values, mask.flatten(0, 1), **options)
        attended = attended.view(sentences, num_blocks, heads, size, width).transpose(1, 2)
        return attended.reshape(sentences, heads, -1, width)[:, :, :length]

    def _neighbours(self, vectors: Tensor, size: int, missing: int) -> Tensor:
        """Return what each of n blocks attends to: [B,K,g+S,d] → [B,n,K,g+3·size,d], zeros beyond both ends."""
        tokens = pad(vectors[:, :, self.num_global :], (0, 0, size, missing + size))
        windows = tokens.unfold(2, 3 * size, size).permute(0, 2, 1, 4, 3)
        of_global = vectors[:, :, : self.num_global].unsqueeze(1).expand(-1, windows.size(1), -1, -1, -1)
        return torch.cat([of_global, windows], dim=3)
