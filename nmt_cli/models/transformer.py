"""The Transformer encoder-decoder (Vaswani et al. 2017) and its search state."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from torch import Tensor, nn

from nmt_cli.models.contract import Decoded, Source, TranslationModel, Vocabularies, sentences_of
from nmt_cli.models.dropout import Dropout
from nmt_cli.models.embeddings import Embeddings, Rotation, sinusoids
from nmt_cli.models.layers import DecoderLayer, EncoderLayer, initialise, new_norm
from nmt_cli.models.output import Output
from nmt_cli.recipe.model import TransformerSettings

_CACHE_GROWTH = 32
"""Positions by which the cache of a search grows when it is full."""


@dataclass(frozen=True)
class TransformerMemory:
    """The encoded source: vectors [B,S,D], and which are visible [B,1,1,S], None if all."""

    vectors: Tensor
    visible: Tensor | None


@dataclass(frozen=True)
class TransformerState:
    """Keys and values of what k hypotheses of each sentence have said, and of the source.

    `step` and `select` write into this memory: a state is spent once it has been given to either.
    """

    cache: Tensor
    """[capacity,L,2,B·k,K,d]: time comes first, so that what is filled is one contiguous block."""
    spare: Tensor
    """The cache before the last selection. Memory that is new each time would cost several times the copy itself."""
    length: int
    hypotheses: int
    source: Tensor
    """[L,2,B,K,S,d], once for each sentence."""
    visible: Tensor | None

    def select(self, rows: Tensor) -> Self:
        """See State.select."""
        filled = self.cache[: self.length]
        shape = (*self.cache.shape[:3], rows.numel(), *self.cache.shape[4:])
        cache = _room(self.spare, shape)
        torch.index_select(filled, 3, rows.flatten(), out=cache[: self.length])
        kept = replace(self, cache=cache, spare=self.cache, hypotheses=rows.size(1))
        sentences = sentences_of(rows, self.hypotheses, self.source.size(2))
        if sentences is None:
            return kept
        visible = None if self.visible is None else self.visible.index_select(0, sentences)
        return replace(kept, source=self.source.index_select(2, sentences), visible=visible)

    def with_room(self) -> Self:
        """The same, with at least one free position in the cache."""
        if self.length < len(self.cache):
            return self
        cache = self.cache.new_empty(self.length + _CACHE_GROWTH, *self.cache.shape[1:])
        cache[: self.length] = self.cache
        return replace(self, cache=cache)


def _room(spare: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A tensor of this shape, in the spare memory if that is large enough."""
    size = math.prod(shape)
    return spare.flatten()[:size].view(shape) if spare.numel() >= size else spare.new_empty(shape)


class Transformer(TranslationModel):
    """Self-attention in the encoder; causal self-attention and attention to the source in the decoder."""

    def __init__(self, settings: TransformerSettings, vocabularies: Vocabularies) -> None:
        super().__init__(vocabularies)
        width, tying = settings.width, settings.tied_embeddings
        self.head_width = width // settings.heads
        self.rotary = settings.positions.type == "rotary"
        self.embeddings = Embeddings(vocabularies, width, tying, scale=width**0.5)
        self.dropout = Dropout(settings.dropout)
        self.encoder = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.decoder_layers))
        # Post-norm layers end with a norm of their own.
        is_pre_norm = settings.norm.place == "pre"
        self.encoder_norm = new_norm(settings) if is_pre_norm else nn.Identity()
        self.decoder_norm = new_norm(settings) if is_pre_norm else nn.Identity()
        self.output = Output(width, self.embeddings.target, tying)
        self.apply(initialise)

    def encode(self, source: Source) -> TransformerMemory:
        visible = None
        positions = torch.arange(source.tokens.size(1), device=source.tokens.device)
        if source.lengths is not None:
            visible = (positions < source.lengths[:, None])[:, None, None, :]
        vectors = self._place(self.embeddings.read_source(source.tokens), positions)
        rotation = self._rotation(positions)
        for layer in self.encoder:
            vectors = layer(vectors, rotation, visible)
        return TransformerMemory(self.encoder_norm(vectors), visible)

    def decode(self, memory: TransformerMemory, target_in: Tensor, attention: bool = False) -> Decoded:
        """See the contract; attention is that of the last layer, the mean over heads."""
        positions = torch.arange(target_in.size(1), device=target_in.device)
        vectors = self._place(self.embeddings.read_target(target_in), positions)
        rotation = self._rotation(positions)
        weights = None
        for layer in self.decoder:
            wanted = attention and layer is self.decoder[-1]
            vectors, weights = layer(vectors, rotation, memory.vectors, memory.visible, wanted)
        return Decoded(self.decoder_norm(vectors), weights)

    def scores(self, decoded: Decoded, positions: Tensor | None = None) -> Tensor:
        scores: Tensor = self.output(decoded, self.embeddings.target, positions)
        return scores

    @torch.no_grad()  # the cache is written in place
    def start(self, memory: TransformerMemory) -> TransformerState:
        source = torch.stack([layer.source_attention.remember(memory.vectors) for layer in self._decoder_layers()])
        layers, two, sentences, heads, _, width = source.shape
        cache = source.new_empty(0, layers, two, sentences, heads, width)
        return TransformerState(cache, cache, 0, 1, source, memory.visible)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        state = state.with_room()
        positions = torch.full((1,), state.length, device=tokens.device)
        vectors = self._place(self.embeddings.read_target(tokens), positions)
        rotation = self._rotation(positions)
        length = state.length + 1
        for number, layer in enumerate(self._decoder_layers()):
            cache = state.cache[:length, number]
            vectors = layer.step(vectors, rotation, cache, state.source[number], state.visible)
        scores = self.scores(Decoded(self.decoder_norm(vectors)))
        return scores.view(*tokens.shape, -1), replace(state, length=length)

    def _decoder_layers(self) -> Sequence[DecoderLayer]:
        return cast("Sequence[DecoderLayer]", self.decoder)

    def _place(self, vectors: Tensor, positions: Tensor) -> Tensor:
        if not self.rotary:
            vectors = vectors + sinusoids(positions, vectors.size(-1))
        placed: Tensor = self.dropout(vectors)
        return placed

    def _rotation(self, positions: Tensor) -> Rotation | None:
        return Rotation.of(positions, self.head_width) if self.rotary else None
