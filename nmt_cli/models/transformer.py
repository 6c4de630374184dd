"""The Transformer encoder-decoder (Vaswani et al. 2017) and its search state."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nmt_cli.models.attention import Seen
from nmt_cli.models.contract import Decoded, Source, TranslationModel, Vocabularies, sentences_of
from nmt_cli.models.dropout import Dropout
from nmt_cli.models.embeddings import Embeddings, Places, Rotation, sinusoids
from nmt_cli.models.layers import DecoderLayer, EncoderLayer, initialise, new_norm
from nmt_cli.models.output import Output
from nmt_cli.recipe.model import TransformerSettings

_FEWEST_SEEN = 16
"""Positions that a search's attention has at least, if hidden ones: torch's softmax is much slower over fewer."""


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
    """[capacity,L,2,B·k,K·d]: time comes first, so that what is filled is one contiguous block."""
    spare: Tensor
    """The cache before the last selection. Memory that is new each time would cost several times the copy itself."""
    length: int
    future: Tensor
    """[capacity], -inf at places where nothing is said yet, else 0."""
    places: Places
    """Of as many positions as the cache has."""
    hypotheses: int
    source: Tensor
    """[L,2,B,K,S,d], once for each sentence."""
    padding: Tensor
    """[B,K,1,S], -inf at padding, else 0."""

    def said(self) -> list[Seen]:
        """What each layer sees of what was said, and of what is said next."""
        seen, width = max(self.length + 1, _FEWEST_SEEN), self.source.size(-1)
        # Heads are no axis of their own, so that they and the hypotheses are one, without a copy.
        keys, values = self.cache[:seen].view(seen, *self.cache.shape[1:3], -1, width).unbind(2)  # [T,L,n·K,d]
        future = self.future[:seen].view(1, 1, -1)
        each = zip(keys.permute(1, 2, 3, 0).unbind(0), values.permute(1, 2, 0, 3).unbind(0), strict=True)
        return [Seen(key, value, future) for key, value in each]

    def sources(self) -> list[Seen]:
        """What each layer sees of the source."""
        keys, values = self.source.flatten(2, 3).unbind(1)  # [L,B·K,S,d]
        padding = self.padding.flatten(0, 1)
        each = zip(keys.transpose(2, 3).unbind(0), values.unbind(0), strict=True)
        return [Seen(key, value, padding) for key, value in each]

    def select(self, rows: Tensor) -> Self:
        """See State.select."""
        shape = (*self.cache.shape[:3], rows.numel(), self.cache.size(4))
        cache = _room(self.spare, shape)
        torch.index_select(self.cache[: self.length], 3, rows.flatten(), out=cache[: self.length])
        kept = replace(self, cache=cache, spare=self.cache, hypotheses=rows.size(1))
        sentences = sentences_of(rows, self.hypotheses, self.source.size(2))
        if sentences is None:
            return kept
        return replace(
            kept, source=self.source.index_select(2, sentences), padding=self.padding.index_select(0, sentences)
        )


def _room(spare: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A cache of this shape, in the spare memory if that is large enough."""
    size = math.prod(shape)
    return spare.flatten()[:size].view(shape) if spare.numel() >= size else _new_cache(spare, shape)


def _new_cache(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Memory that holds numbers wherever a step may look."""
    cache = like.new_empty(shape)
    cache[:_FEWEST_SEEN] = 0
    return cache


class Transformer(TranslationModel):
    """Self-attention in the encoder; causal self-attention and attention to the source in the decoder."""

    def __init__(self, settings: TransformerSettings, vocabularies: Vocabularies) -> None:
        super().__init__(vocabularies)
        width, tying = settings.width, settings.tied_embeddings
        self.width, self.head_width = width, width // settings.heads
        self.rotary = settings.positions.type == "rotary"
        self.embeddings = Embeddings(vocabularies, width, tying, scale=width**0.5)
        self.dropout = Dropout(settings.dropout)
        self.layer_drop = settings.layer_drop
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
        device, length = source.tokens.device, source.tokens.size(1)
        if source.lengths is not None:
            visible = (torch.arange(length, device=device) < source.lengths[:, None])[:, None, None, :]
        places = self._places(length, device)
        vectors = self._place(self.embeddings.read_source(source), places)
        for layer in self.encoder:
            if not self._skips_layer():
                vectors = self._compute(layer, vectors, places.rotation, visible)
        return TransformerMemory(self.encoder_norm(vectors), visible)

    def decode(self, memory: TransformerMemory, target_in: Tensor, attention: bool = False) -> Decoded:
        """See the contract; attention is that of the last layer, the mean over heads."""
        places = self._places(target_in.size(1), target_in.device)
        vectors = self._place(self.embeddings.read_target(target_in), places)
        weights = None
        for layer in self.decoder:
            wanted = attention and layer is self.decoder[-1]
            if wanted or not self._skips_layer():
                vectors, weights = self._compute(
                    layer, vectors, places.rotation, memory.vectors, memory.visible, wanted
                )
        return Decoded(self.decoder_norm(vectors), weights)

    def scores(self, decoded: Decoded, positions: Tensor | None = None) -> Tensor:
        scores: Tensor = self.output(decoded, self.embeddings.target, positions)
        return scores

    @torch.no_grad()  # the cache is written in place
    def start(self, memory: TransformerMemory) -> TransformerState:
        source = torch.stack([layer.source_attention.remember(memory.vectors) for layer in self._decoder_layers()])
        layers, two, sentences, shared, length, width = source.shape
        padding = source.new_zeros(sentences, shared, 1, length)
        if memory.visible is not None:
            padding = padding.masked_fill(~memory.visible, -torch.inf)
        missing = max(0, _FEWEST_SEEN - length)
        cache = source.new_empty(0, layers, two, sentences, shared * width)
        return TransformerState(
            cache,
            spare=cache,
            length=0,
            future=cache.new_empty(0),
            places=self._places(0, source.device),
            hypotheses=1,
            source=pad(source, (0, 0, 0, missing)),
            padding=pad(padding, (0, missing), value=-torch.inf),
        )

    @torch.no_grad()
    def step(self, tokens: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        state = self._with_room(state)
        place = state.length
        state.future[place] = 0
        vectors = self.embeddings.read_target(tokens).flatten(0, 1)
        if state.places.waves is not None:
            vectors = vectors + state.places.waves[place]
        rotation = None if state.places.rotation is None else state.places.rotation.at(place)
        for layer, said, newest, source in zip(
            self._decoder_layers(), state.said(), state.cache[place].unbind(0), state.sources(), strict=True
        ):
            vectors = layer.step(vectors, rotation, said, newest, source)
        scores = self.scores(Decoded(self.decoder_norm(vectors).unsqueeze(1)))
        return scores.view(*tokens.shape, -1), replace(state, length=place + 1)

    def _with_room(self, state: TransformerState) -> TransformerState:
        """The same state, with at least one free place in the cache."""
        length = state.length
        if length < len(state.cache):
            return state
        capacity = length + state.padding.size(-1)  # translations are about as long as their sources
        cache = _new_cache(state.cache, (capacity, *state.cache.shape[1:]))
        cache[:length] = state.cache
        future = torch.full_like(cache[:, 0, 0, 0, 0], -torch.inf)
        future[:length] = 0
        return replace(state, cache=cache, future=future, places=self._places(capacity, cache.device))

    def _skips_layer(self) -> bool:
        """Whether to leave out a layer; drawn on the CPU, so that no device is waited for."""
        return self.training and self.layer_drop > 0 and float(torch.rand((), device="cpu")) < self.layer_drop

    def _decoder_layers(self) -> Sequence[DecoderLayer]:
        return cast("Sequence[DecoderLayer]", self.decoder)

    def _places(self, positions: int, device: torch.device) -> Places:
        """What the first positions are known by."""
        numbers = torch.arange(positions, device=device)
        if self.rotary:
            return Places(None, Rotation.of(numbers, self.head_width))
        return Places(sinusoids(numbers, self.width), None)

    def _place(self, vectors: Tensor, places: Places) -> Tensor:
        """Tell words [B,T,D] where they stand."""
        placed: Tensor = self.dropout(vectors if places.waves is None else vectors + places.waves)
        return placed
