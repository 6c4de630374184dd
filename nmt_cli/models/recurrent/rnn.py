"""The recurrent encoder-decoder and its search state."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
from torch import Tensor, nn

from nmt_cli.models.contract import Decoded, Source, TranslationModel, Vocabularies, sentences_of
from nmt_cli.models.dropout import Dropout
from nmt_cli.models.embeddings import Embeddings
from nmt_cli.models.layers import initialise
from nmt_cli.models.linear import Linear
from nmt_cli.models.output import Output
from nmt_cli.models.recurrent.layers import RecurrentEncoder, RecurrentLayer, new_attention
from nmt_cli.recipe.model import RnnSettings


@dataclass(frozen=True)
class RnnMemory:
    """The encoded source."""

    vectors: Tensor
    """[B,S,D]"""
    keys: Tensor
    """[B,S,D], what the attention compares the decoder's states with."""
    visible: Tensor | None
    """[B,1,S], None if there is no padding."""
    initial: Tensor
    """[L,P,B,D], the first states of the decoder's layers; P is 2 for an LSTM, else 1."""

    def select(self, sentences: Tensor) -> Self:
        return replace(
            self,
            vectors=self.vectors.index_select(0, sentences),
            keys=self.keys.index_select(0, sentences),
            visible=None if self.visible is None else self.visible.index_select(0, sentences),
            initial=self.initial.index_select(2, sentences),
        )


@dataclass(frozen=True)
class RnnState:
    """States of the decoder's layers [L,P,B,k,D] and, if fed back, its last vectors [B,k,D]."""

    layers: Tensor
    fed: Tensor | None
    memory: RnnMemory

    def select(self, rows: Tensor) -> Self:
        """See State.select."""
        sentences = sentences_of(rows, self.layers.size(3), self.layers.size(2))
        memory = self.memory if sentences is None else self.memory.select(sentences)
        layers = self.layers.flatten(2, 3)[:, :, rows]
        fed = None if self.fed is None else self.fed.flatten(0, 1)[rows]
        return replace(self, layers=layers, fed=fed, memory=memory)


class Rnn(TranslationModel):
    """Encoder and decoder of recurrent cells.

    The decoder begins with the encoder's last states. Without attention they are all it knows (Sutskever et al. 2014;
    Cho et al. 2014). With it, the decoder's new state looks at the source, and state and context together predict the
    word (Luong et al. 2015); so whole targets need no loop, unless that prediction is fed back into the next step.
    """

    def __init__(self, settings: RnnSettings, vocabularies: Vocabularies) -> None:
        super().__init__(vocabularies)
        width, tying = settings.width, settings.tied_embeddings
        self.embeddings = Embeddings(vocabularies, settings.embedding_width, tying)
        self.dropout = Dropout(settings.dropout)
        self.encoder = RecurrentEncoder(settings)
        parts = 2 if settings.cell == "lstm" else 1
        self.bridges = nn.ModuleList(Linear(parts * width, parts * width) for _ in range(settings.decoder_layers))
        self.input_feeding = settings.input_feeding
        fed_width = width if self.input_feeding else 0
        widths = [settings.embedding_width + fed_width, *[width] * (settings.decoder_layers - 1)]
        self.decoder = nn.ModuleList(RecurrentLayer(settings.cell, w, width) for w in widths)
        self.attention = new_attention(settings)
        self.combine = Linear(2 * width, width) if self.attention else nn.Identity()
        self.output = Output(width, self.embeddings.target, tying)
        self.apply(initialise)

    def encode(self, source: Source) -> RnnMemory:
        words = self.dropout(self.embeddings.read_source(source))
        vectors, ends = self._compute(self.encoder, words, source.lengths)
        keys = vectors if self.attention is None else self.attention.keys(vectors)
        visible = None
        if source.lengths is not None:
            positions = torch.arange(source.tokens.size(1), device=source.tokens.device)
            visible = (positions < source.lengths[:, None])[:, None, :]
        return RnnMemory(vectors, keys, visible, self._bridge(ends))

    def decode(self, memory: RnnMemory, target_in: Tensor, attention: bool = False) -> Decoded:
        """See the contract; a model without attention has none to give."""
        words = self.dropout(self.embeddings.read_target(target_in))
        decoded = self._walk(words, memory) if self.input_feeding else self._run(words, memory)
        return decoded if attention else Decoded(decoded.vectors)

    def scores(self, decoded: Decoded, positions: Tensor | None = None) -> Tensor:
        scores: Tensor = self.output(decoded, self.embeddings.target, positions)
        return scores

    def start(self, memory: RnnMemory) -> RnnState:
        layers = memory.initial.unsqueeze(3)
        fed = torch.zeros_like(layers[-1, 0]) if self.input_feeding else None
        return RnnState(layers, fed, memory)

    def step(self, tokens: Tensor, state: RnnState) -> tuple[Tensor, RnnState]:
        decoded, state = self._advance(self.dropout(self.embeddings.read_target(tokens)), state)
        return self.scores(decoded).view(*tokens.shape, -1), state

    def _run(self, words: Tensor, memory: RnnMemory) -> Decoded:
        """Whole targets [B,T,E] at once."""
        vectors = words
        for number, layer in enumerate(self.decoder):
            vectors = self._compute(layer, self.dropout(vectors) if number else vectors, memory.initial[number])
        looked: Decoded = self._compute(self._look, vectors, memory)
        return looked

    def _walk(self, words: Tensor, memory: RnnMemory) -> Decoded:
        """Whole targets [B,T,E] step by step, as each step reads what the last one said."""
        state, steps = self.start(memory), []
        for word in torch.split(words, 1, dim=1):
            decoded, state = self._compute(self._advance, word, state)
            steps.append(decoded)
        vectors = torch.cat([step.vectors for step in steps], dim=1)
        return Decoded(vectors, torch.cat([step.attention for step in steps if step.attention is not None], dim=1))

    def _advance(self, words: Tensor, state: RnnState) -> tuple[Decoded, RnnState]:
        """One word [B,k,E] of each hypothesis."""
        inputs = words if state.fed is None else torch.cat([words, state.fed], dim=-1)
        inputs, layers = inputs.flatten(0, 1), []
        before = state.layers.flatten(2, 3)  # [L,P,B·k,D]
        for number, layer in enumerate(cast("Sequence[RecurrentLayer]", self.decoder)):
            layers.append(layer.step(self.dropout(inputs) if number else inputs, before[number]))
            inputs = layers[-1][0]
        after = torch.stack(layers).view(state.layers.shape)
        decoded = self._look(after[-1, 0], state.memory)
        return decoded, replace(state, layers=after, fed=decoded.vectors if self.input_feeding else None)

    def _look(self, states: Tensor, memory: RnnMemory) -> Decoded:
        """The vectors [B,T,D] that predict words: the decoder's states, with what they see of the source."""
        if self.attention is None:
            return Decoded(self.dropout(states))
        scores = self.attention.scores(states, memory.keys)
        if memory.visible is not None:
            scores = scores.masked_fill(~memory.visible, -torch.inf)
        weights = scores.softmax(-1, dtype=torch.float32)
        context = weights.to(memory.vectors.dtype) @ memory.vectors
        vectors = torch.tanh(self.combine(torch.cat([context, states], dim=-1)))
        return Decoded(self.dropout(vectors), weights)

    def _bridge(self, ends: Tensor) -> Tensor:
        """Last states of the encoder [L,P,B,D] → first states of the decoder, whose top layer follows the top one."""
        surplus, initial = len(ends) - len(self.bridges), []
        for number, bridge in enumerate(self.bridges):
            end = ends[max(0, number + surplus)]
            first = torch.tanh(bridge(end.transpose(0, 1).flatten(1)))
            initial.append(first.view(first.size(0), len(end), -1).transpose(0, 1))
        # As precise as the weights, whatever the arithmetic: a recurrent state adds up many small changes.
        return torch.stack(initial).to(self.embeddings.target.weight.dtype)
