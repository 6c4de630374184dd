"""Positional encodings: added to embeddings, as rotations of queries and keys, or as biases of self-attention."""

import math
from typing import NamedTuple, Self, cast

import torch
from torch import Tensor, nn

from nmt_cli.recipe.model import (
    LayerSettings,
    LearnedPositions,
    RelativePositions,
    RotaryPositions,
    SinusoidalPositions,
)


def sinusoidal_encoding(positions: Tensor, width: int, settings: SinusoidalPositions) -> Tensor:
    """Encode positions [...] as sines and cosines → [...,D], sines in the first half."""
    last_pair = width // 2 if settings.spacing == "paper" else max(width // 2 - 1, 1)
    angles = (positions + settings.offset)[..., None] * _inverse_frequencies(width, positions, last_pair)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class RotaryCache(NamedTuple):
    """Cosines and sines [...,T,d/2] of the angles by which queries and keys are rotated."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def from_positions(cls, positions: Tensor, head_width: int, base: float = 10_000.0) -> Self:
        """Return the cosines and sines at positions [...,T]; see RotaryPositions for `base`."""
        angles = positions[..., None] * _inverse_frequencies(head_width, positions, head_width // 2, base)
        return cls(angles.cos(), angles.sin())

    def at(self, position: int) -> "RotaryCache":
        """Return the cosines and sines at one position, [d/2]."""
        return RotaryCache(self.cos[position], self.sin[position])


def apply_rotary_emb(vectors: Tensor, rotary: RotaryCache) -> Tensor:
    """Rotate each pair (i, i + d/2) of vectors [...,T,d], or [...,d] by the angles of one position."""
    first, second = vectors.chunk(2, dim=-1)
    rotated = [first * rotary.cos - second * rotary.sin, second * rotary.cos + first * rotary.sin]
    return torch.cat(rotated, dim=-1).to(vectors.dtype)


def _inverse_frequencies(width: int, positions: Tensor, last_pair: int, base: float = 10_000.0) -> Tensor:
    """Return one frequency for each of width/2 pairs, from 1 down to 1/base at `last_pair`."""
    pairs = torch.arange(width // 2, dtype=torch.float32, device=positions.device)
    return torch.exp(pairs * (-math.log(base) / last_pair))


class PositionalEncoding(NamedTuple):
    """The encoding of some positions; at most one part is given."""

    additive: Tensor | None = None
    """[T,D] or [B,T,D], to be added to embeddings."""
    rotary: RotaryCache | None = None

    def at(self, position: int) -> "PositionalEncoding":
        """Return the encoding of one position, [D] and [d/2]."""
        additive = None if self.additive is None else self.additive[position]
        return PositionalEncoding(additive, None if self.rotary is None else self.rotary.at(position))


def add_positions(embeddings: Tensor, additive: Tensor | None) -> Tensor:
    """Add the additive part of a positional encoding, if it has any, to embeddings."""
    return embeddings if additive is None else embeddings + additive


class Positions(nn.Module):
    """The positional encoding of one side, with its parameters, if it has any."""

    def __init__(self, settings: LayerSettings, num_layers: int, is_causal: bool) -> None:
        super().__init__()
        self.settings, self.is_causal = settings.positions, is_causal
        self.width, self.head_width = settings.width, settings.attention_head_width
        self.vectors: nn.Embedding | None = None
        """Of learned positions."""
        self.biases: nn.Parameter | None = None
        """[L or 1, buckets, H], of relative positions."""
        if isinstance(self.settings, LearnedPositions):
            self.vectors = nn.Embedding(self.settings.length, self.width)
            nn.init.normal_(self.vectors.weight, std=self.width**-0.5)
        elif isinstance(self.settings, RelativePositions):
            num_tables = num_layers if self.settings.each_layer else 1
            self.biases = nn.Parameter(torch.zeros(num_tables, self.settings.buckets, settings.heads))

    def forward(self, positions: Tensor) -> PositionalEncoding:
        """Encode positions [T] or [B,T]."""
        if isinstance(self.settings, SinusoidalPositions):
            return PositionalEncoding(sinusoidal_encoding(positions, self.width, self.settings))
        if self.vectors is not None:
            return PositionalEncoding(self.vectors(positions.clamp(max=self.vectors.num_embeddings - 1)))
        if not isinstance(self.settings, RotaryPositions):
            return PositionalEncoding()
        rotary = RotaryCache.from_positions(positions, self.head_width, self.settings.base)
        if positions.dim() > 1:  # [B,1,T,d/2], as queries and keys have heads
            rotary = RotaryCache(rotary.cos.unsqueeze(1), rotary.sin.unsqueeze(1))
        return PositionalEncoding(rotary=rotary)

    def attn_masks(self, attn_mask: Tensor | None, length: int, num_layers: int) -> list[Tensor | None]:
        """Return the mask of self-attention in each layer: attn_mask [B,1,1 or T,T], true where it may attend.

        With relative positions, masks are biases [B or 1,H,T,T] instead, -inf where it may not attend.
        """
        if self.biases is None:
            return [attn_mask] * num_layers
        positions = torch.arange(length, device=self.biases.device)
        biases = self.relative_biases(positions - positions[:, None]).unsqueeze(1)
        if attn_mask is None and self.is_causal:
            attn_mask = torch.ones(length, length, dtype=torch.bool, device=biases.device).tril()
        if attn_mask is not None:
            biases = biases.masked_fill(~attn_mask, -torch.inf)
        return [biases[layer % len(biases)] for layer in range(num_layers)]

    def relative_biases(self, distances: Tensor) -> Tensor:
        """Return the biases [L or 1,H,...] for keys at these distances [...] from the query, negative before it."""
        settings = cast("RelativePositions", self.settings)
        assert self.biases is not None
        num_buckets, buckets = settings.buckets, torch.zeros_like(distances)
        if not self.is_causal:  # half of the buckets for each direction
            num_buckets //= 2
            buckets += (distances > 0) * num_buckets
        distances = (-distances).clamp(min=0) if self.is_causal else distances.abs()
        # Half of the buckets are for one distance each, the others become wider and wider.
        num_exact = num_buckets // 2
        ratio = distances.clamp(min=1).float() / num_exact
        wide = (ratio.log() / math.log(settings.max_distance / num_exact) * (num_buckets - num_exact)).long()
        wide = (num_exact + wide).clamp(max=num_buckets - 1)
        buckets += torch.where(distances < num_exact, distances, wide)
        found = self.biases[:, buckets]
        return found.movedim(found.dim() - 1, 1)  # torch's export to ONNX takes no negative index
