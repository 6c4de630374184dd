"""Recurrent layers: the encoder, one layer of a decoder, and the attentions they use."""

from abc import ABC, abstractmethod
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint

from nmt_cli.models.dropout import Dropout
from nmt_cli.models.linear import Linear, Packing, Product, linear
from nmt_cli.recipe.model import RnnSettings

Cell = Literal["rnn", "gru", "lstm"]

_CELLS: dict[Cell, type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}

_ADDITIVE_LIMIT = 2**24
"""Most numbers that additive attention holds at once for its B·T·S vectors."""


class RecurrentEncoder(nn.Module):
    """Reads the source in one direction, or in both with half the width each."""

    def __init__(self, settings: RnnSettings) -> None:
        super().__init__()
        width = settings.width
        widths = [settings.embedding_width, *[width] * (settings.encoder_layers - 1)]
        each = width // 2 if settings.bidirectional else width
        self.layers = nn.ModuleList(new_cells(settings.cell, w, each, settings.bidirectional) for w in widths)
        self.dropout = Dropout(settings.dropout)

    def forward(self, vectors: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Vectors [B,S,E] → states of the last layer [B,S,D], and last states of each layer [L,P,B,D].

        P is 2 for an LSTM, state and cell, else 1. Lengths [B] are needed on the CPU: elsewhere they cost a wait.
        """
        sequence: Tensor | PackedSequence = vectors
        if lengths is not None:
            sequence = pack_padded_sequence(vectors, lengths.cpu(), batch_first=True, enforce_sorted=False)
        ends = []
        for number, layer in enumerate(self.layers):
            sequence, end = layer(self._drop(sequence) if number else sequence)
            both = torch.stack(end if isinstance(end, tuple) else (end,))  # [P,directions,B,·]
            ends.append(both.transpose(1, 2).flatten(2))
        if isinstance(sequence, PackedSequence):
            sequence, _ = pad_packed_sequence(sequence, batch_first=True, total_length=vectors.size(1))
        return sequence, torch.stack(ends)

    def _drop(self, sequence: Tensor | PackedSequence) -> Tensor | PackedSequence:
        if isinstance(sequence, PackedSequence):
            return sequence._replace(data=self.dropout(sequence.data))
        return cast(Tensor, self.dropout(sequence))


class RecurrentLayer(nn.Module):
    """One layer of a decoder; its state is [P,B,D], where P is 2 for an LSTM (state and cell), else 1."""

    def __init__(self, cell: Cell, input_width: int, width: int) -> None:
        super().__init__()
        self.cells = new_cells(cell, input_width, width)
        self.by_input: Product | None = None
        """The cells' products in a step of search, if others than with their weights."""
        self.by_state: Product | None = None

    def pack(self, packed: Packing) -> None:
        """Have matrices for the steps of a search."""
        input_weight, state_weight, input_bias, state_bias = self.cells.parameters()
        self.by_input, self.by_state = packed(input_weight, input_bias, False), packed(state_weight, state_bias, False)

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """All positions at once: [B,T,I] → [B,T,D]."""
        outputs: Tensor
        if isinstance(self.cells, nn.LSTM):
            outputs, _ = self.cells(inputs, (state[:1].contiguous(), state[1:].contiguous()))
        else:
            outputs, _ = self.cells(inputs, state.contiguous())
        return outputs

    def step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """One position, with the same weights: [B,I] → the next state [P,B,D]."""
        heard, known = self._products(inputs, state[0])
        if isinstance(self.cells, nn.LSTM):
            enter, keep, new, leave = (heard + known).chunk(4, dim=-1)
            cell = keep.sigmoid() * state[1] + enter.sigmoid() * new.tanh()
            return torch.stack([leave.sigmoid() * cell.tanh(), cell])
        if isinstance(self.cells, nn.GRU):
            width = state.size(-1)
            reset, keep = (heard[:, : 2 * width] + known[:, : 2 * width]).sigmoid().chunk(2, dim=-1)
            new = torch.tanh(heard[:, 2 * width :] + reset * known[:, 2 * width :])
            return (new + keep * (state[0] - new)).unsqueeze(0)
        return torch.tanh(heard + known).unsqueeze(0)

    def _products(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        if self.by_input is not None and self.by_state is not None:
            return self.by_input(inputs), self.by_state(state)
        # torch's own steps multiply by MKL, see `linear`.
        input_weight, state_weight, input_bias, state_bias = self.cells.parameters()
        return linear(inputs, input_weight, input_bias), linear(state, state_weight, state_bias)


class RecurrentAttention(nn.Module, ABC):
    """How well each source position fits the decoder's state."""

    @abstractmethod
    def keys(self, memory: Tensor) -> Tensor:
        """What does not depend on the target: memory [B,S,D] → [B,S,D]."""

    @abstractmethod
    def scores(self, states: Tensor, keys: Tensor) -> Tensor:
        """States [B,T,D], keys [B,S,D] → [B,T,S]."""


class DotAttention(RecurrentAttention):
    """h · s (Luong et al. 2015)."""

    def keys(self, memory: Tensor) -> Tensor:
        return memory

    def scores(self, states: Tensor, keys: Tensor) -> Tensor:
        return states @ keys.transpose(1, 2)


class GeneralAttention(DotAttention):
    """h · W s (Luong et al. 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = Linear(width, width, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        keys: Tensor = self.key(memory)
        return keys


class AdditiveAttention(RecurrentAttention):
    """v · tanh(W h + U s) (Bahdanau et al. 2015), of the decoder's new state, as in Luong's forms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = Linear(width, width)
        self.key = Linear(width, width, bias=False)
        self.score = Linear(width, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        keys: Tensor = self.key(memory)
        return keys

    def scores(self, states: Tensor, keys: Tensor) -> Tensor:
        queries: Tensor = self.query(states)
        positions = max(1, _ADDITIVE_LIMIT // keys.numel())
        if queries.size(1) <= positions:
            return self._compare(queries, keys)
        # Many long sentences: some positions at a time, and once again for the gradient instead of keeping all.
        parts = [
            checkpoint(self._compare, part, keys, use_reentrant=False, preserve_rng_state=False)
            for part in torch.split(queries, positions, dim=1)
        ]
        return torch.cat(parts, dim=1)

    def _compare(self, queries: Tensor, keys: Tensor) -> Tensor:
        fits: Tensor = self.score(torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1)))  # [B,T,S,1]
        return fits.squeeze(-1)


def new_attention(settings: RnnSettings) -> RecurrentAttention | None:
    """The attention a recipe asks for, if any."""
    if settings.attention == "additive":
        return AdditiveAttention(settings.width)
    if settings.attention == "general":
        return GeneralAttention(settings.width)
    return DotAttention() if settings.attention == "dot" else None


def new_cells(cell: Cell, input_width: int, width: int, bidirectional: bool = False) -> nn.RNN | nn.GRU | nn.LSTM:
    """One layer of torch's fused cells; an LSTM begins by remembering (Józefowicz et al. 2015)."""
    cells = _CELLS[cell](input_width, width, batch_first=True, bidirectional=bidirectional)
    if isinstance(cells, nn.LSTM):
        for name, bias in cells.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(bias)
            if name.startswith("bias_ih"):
                nn.init.ones_(bias[width : 2 * width])  # the forget gate
    return cells
