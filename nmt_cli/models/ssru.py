"""The simpler simple recurrent unit (SSRU, Kim et al. 2019), with which a decoder needs no self-attention."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nmt_cli.models.kernels import Linear
from nmt_cli.models.positions import RotaryCache


class Ssru(nn.Module):
    """Takes the place of causal self-attention: x = W·h; f = σ(W_f·h + b_f); c' = f·c + (1-f)·x; output relu(c').

    The cells c start from zero. As f does not depend on c, only elementwise operations go from position to position.
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

        Cells start anew at each position that may not attend to the one before it by attn_mask [B,1,T,T].
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
