"""Recurrent layers: the encoder, one layer of a decoder, their attention functions, and the SSRU."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint

from nmt_cli.models.kernels import Backend, Dropout, Linear, linear
from nmt_cli.models.kernels.int8 import LinearFn
from nmt_cli.models.positions import RotaryCache
from nmt_cli.recipe.model import RnnSettings

Cell = Literal["rnn", "gru", "lstm"]

_CELLS: dict[Cell, type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}

_MAX_ADDITIVE_VALUES = 2**24
"""Values that additive attention holds at once for its B·T·S vectors."""


class RecurrentEncoder(nn.Module):
    """Encoder in one direction, or in both with half the width each."""

    def __init__(self, settings: RnnSettings) -> None:
        super().__init__()
        width = settings.width
        widths = [settings.embedding_width, *[width] * (settings.encoder_layers - 1)]
        width_each = width // 2 if settings.bidirectional else width
        self.layers = nn.ModuleList(new_cells(settings.cell, w, width_each, settings.bidirectional) for w in widths)
        self.dropout = Dropout(settings.dropout)

    def forward(self, embedded: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map [B,S,E] → states of the last layer [B,S,D] and final states of each layer [L,P,B,D].

        P is 2 for an LSTM (state and cell), else 1. Pass lengths [B] on the CPU: elsewhere they cost a synchronisation.
        """
        sequence: Tensor | PackedSequence = embedded
        if lengths is not None:
            sequence = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        final_states = []
        for index, layer in enumerate(self.layers):
            if index and isinstance(sequence, PackedSequence):
                sequence = sequence._replace(data=self.dropout(sequence.data))
            elif index:
                sequence = self.dropout(sequence)
            sequence, final = layer(sequence)
            stacked = torch.stack(final if isinstance(final, tuple) else (final,))  # [P,directions,B,·]
            final_states.append(stacked.transpose(1, 2).flatten(2))
        if isinstance(sequence, PackedSequence):
            sequence, _ = pad_packed_sequence(sequence, batch_first=True, total_length=embedded.size(1))
        return sequence, torch.stack(final_states)


class RecurrentLayer(nn.Module):
    """One layer of a decoder; its state is [P,B,D], where P is 2 for an LSTM (state and cell), else 1."""

    def __init__(self, cell: Cell, input_width: int, width: int) -> None:
        super().__init__()
        self.cells = new_cells(cell, input_width, width)
        self.prepacked: tuple[LinearFn, LinearFn] | None = None
        """The products with input and state in a step of search, if prepacked."""

    def prepare_for_inference(self, backend: Backend) -> None:
        """Prepack the matrices for the steps of search."""
        input_weight, state_weight, input_bias, state_bias = self.cells.parameters()
        self.prepacked = backend.linear(input_weight, input_bias), backend.linear(state_weight, state_bias)

    def forward(self, inputs: Tensor, state: Tensor) -> Tensor:
        """Run over all positions at once: [B,T,I] → [B,T,D]."""
        parts = tuple(part.contiguous() for part in torch.split(state, 1))
        outputs: Tensor = self.cells(inputs, parts if isinstance(self.cells, nn.LSTM) else parts[0])[0]
        return outputs

    def step(self, inputs: Tensor, state: Tensor) -> Tensor:
        """Run over one position, with the same weights: [B,I] → the next state [P,B,D]."""
        if self.prepacked is not None:
            by_input, by_state = self.prepacked
            input_gates, hidden_gates = by_input(inputs), by_state(state[0])
        else:  # torch's own steps multiply by MKL, see `linear`
            input_weight, state_weight, input_bias, state_bias = self.cells.parameters()
            input_gates = linear(inputs, input_weight, input_bias)
            hidden_gates = linear(state[0], state_weight, state_bias)
        if isinstance(self.cells, nn.LSTM):
            i, f, g, o = (input_gates + hidden_gates).chunk(4, dim=-1)
            cell = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
            return torch.stack([o.sigmoid() * cell.tanh(), cell])
        if isinstance(self.cells, nn.GRU):
            width = state.size(-1)
            r, z = (input_gates[:, : 2 * width] + hidden_gates[:, : 2 * width]).sigmoid().chunk(2, dim=-1)
            n = torch.tanh(input_gates[:, 2 * width :] + r * hidden_gates[:, 2 * width :])
            return (n + z * (state[0] - n)).unsqueeze(0)
        return torch.tanh(input_gates + hidden_gates).unsqueeze(0)


class RecurrentAttention(nn.Module, ABC):
    """Scores how well each source position matches the decoder's state."""

    key: Callable[[Tensor], Tensor]
    """Projects the encoder output [B,S,D] to keys [B,S,D], which do not depend on the target."""

    @abstractmethod
    def scores(self, states: Tensor, keys: Tensor) -> Tensor:
        """States [B,T,D], keys [B,S,D] → [B,T,S]."""


class DotAttention(RecurrentAttention):
    """h · s (Luong et al. 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Identity()

    def scores(self, states: Tensor, keys: Tensor) -> Tensor:
        return states @ keys.transpose(1, 2)


class GeneralAttention(DotAttention):
    """h · W s (Luong et al. 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.key = Linear(width, width, bias=False)


class AdditiveAttention(RecurrentAttention):
    """v · tanh(W h + U s) (Bahdanau et al. 2015), where h is the decoder's new state, as in Luong's attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = Linear(width, width)
        self.key = Linear(width, width, bias=False)
        self.score = Linear(width, 1, bias=False)

    def scores(self, states: Tensor, keys: Tensor) -> Tensor:
        queries = self.query(states)
        max_positions = max(1, _MAX_ADDITIVE_VALUES // keys.numel())
        if queries.size(1) <= max_positions:
            return self._compare(queries, keys)
        # For many long sentences, score a few positions at a time, and recompute them in the backward pass.
        parts = [
            checkpoint(self._compare, part, keys, use_reentrant=False, preserve_rng_state=False)
            for part in torch.split(queries, max_positions, dim=1)
        ]
        return torch.cat(parts, dim=1)

    def _compare(self, queries: Tensor, keys: Tensor) -> Tensor:
        return self.score(torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1))).squeeze(-1)


ATTENTIONS: dict[str, Callable[[int], RecurrentAttention]] = {
    "additive": AdditiveAttention,
    "dot": DotAttention,
    "general": GeneralAttention,
}


def new_cells(cell: Cell, input_width: int, width: int, bidirectional: bool = False) -> nn.RNN | nn.GRU | nn.LSTM:
    """Return one layer of torch's fused cells; an LSTM's forget gate starts open (Józefowicz et al. 2015)."""
    cells = _CELLS[cell](input_width, width, batch_first=True, bidirectional=bidirectional)
    if isinstance(cells, nn.LSTM):
        for name, bias in cells.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(bias)
            if name.startswith("bias_ih"):
                nn.init.ones_(bias[width : 2 * width])  # the forget gate
    return cells


class Ssru(nn.Module):
    """The simpler simple recurrent unit (Kim et al. 2019), used instead of causal self-attention.

    x = W·h; f = σ(W_f·h + b_f); c' = f·c + (1-f)·x; output relu(c'). The cells c start from zero. As f does not depend
    on c, only elementwise operations go from position to position.
    """

    def __init__(self, width: int, bias: bool = True) -> None:
        """`bias` is that of the forget gate."""
        super().__init__()
        self.input = Linear(width, width, bias=False)
        self.forget_gate = Linear(width, width, bias)

    def forward(
        self,
        hidden_states: Tensor,
        rotary: RotaryCache | None,
        attn_mask: Tensor | None = None,
        is_causal: bool = True,
    ) -> Tensor:
        """Map [B,T,D] → [B,T,D].

        Cells start from zero at each position that may not attend to the one before it by attn_mask [B,1,T,T].
        """
        # Always in fp32, also under autocast: a cell sums many small changes.
        inputs, forget = self.input(hidden_states).float(), self.forget_gate(hidden_states).float().sigmoid()
        decay = forget
        if attn_mask is not None:
            continues = torch.zeros_like(forget[:, :, :1])
            continues[:, 1:, 0] = attn_mask[:, 0].diagonal(-1, 1, 2)
            decay = forget * continues
        cells: Tensor = _LinearScan.apply(decay, (1 - forget) * inputs)  # type: ignore[no-untyped-call]
        return cells.relu().to(hidden_states.dtype)

    def step(self, hidden_states: Tensor, rotary: RotaryCache | None, past: None, cells: Tensor) -> Tensor:
        """Map the newest position of each hypothesis, [n,D] → [n,D]; the cells [n,D] are updated in place."""
        inputs, forget = self.input(hidden_states), self.forget_gate(hidden_states).sigmoid()
        cells.copy_(torch.lerp(inputs.to(cells.dtype), cells, forget.to(cells.dtype)))
        return cells.relu()


class _LinearScan(torch.autograd.Function):
    """c_t = decay_t · c_{t-1} + values_t for [B,T,D], from c_{-1} = 0; keeps only its decays and results.

    On a CPU, one product per position is faster than a parallel scan, which reads everything log T times.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, values: Tensor) -> Tensor:
        cells = values.clone()
        for t in range(1, cells.size(1)):
            cells[:, t].addcmul_(decay[:, t], cells[:, t - 1])
        ctx.save_for_backward(decay, cells)
        return cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, Tensor]:
        decay, cells = ctx.saved_tensors
        grad_values = grad_output.clone()
        for t in range(cells.size(1) - 1, 0, -1):
            grad_values[:, t - 1].addcmul_(decay[:, t], grad_values[:, t])
        grad_decay = torch.zeros_like(decay)
        torch.mul(grad_values[:, 1:], cells[:, :-1], out=grad_decay[:, 1:])
        return grad_decay, grad_values
