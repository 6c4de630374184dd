"""The SSRU gives what its formula gives, in packed rows as well."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nmt_cli.models.rnn.layers import Ssru
from nmt_cli.recipe.model import TransformerSettings


def expected(ssru: Ssru, hidden_states: Tensor) -> Tensor:
    """The formula in numpy: [B,T,D] → [B,T,D]."""
    weight, gate, bias = (
        parameter.detach().double().numpy()
        for parameter in (ssru.input.weight, ssru.forget_gate.weight, ssru.forget_gate.bias)
    )
    inputs = hidden_states.detach().double().numpy()
    cells, outputs = np.zeros_like(inputs[:, 0]), []
    for t in range(inputs.shape[1]):
        forget = 1 / (1 + np.exp(-(inputs[:, t] @ gate.T + bias)))
        cells = forget * cells + (1 - forget) * (inputs[:, t] @ weight.T)
        outputs.append(np.maximum(cells, 0))
    return torch.from_numpy(np.stack(outputs, axis=1)).float()


def new() -> Ssru:
    torch.manual_seed(1)
    return Ssru(6)


def test_ssru_computes_the_formula() -> None:
    ssru, hidden_states = new(), torch.randn(3, 9, 6)
    assert_close(ssru(hidden_states, None), expected(ssru, hidden_states), atol=1e-6, rtol=1e-5)


def test_each_segment_of_a_packed_row_starts_anew() -> None:
    ssru, segments = new(), [torch.randn(1, length, 6) for length in (3, 1, 4)]
    segment_ids = torch.tensor([[0, 0, 0, 1, 2, 2, 2, 2]])
    attn_mask = (segment_ids[:, :, None] == segment_ids[:, None, :]).tril().unsqueeze(1)
    packed = ssru(torch.cat(segments, dim=1), None, attn_mask)
    assert_close(packed, torch.cat([ssru(segment, None) for segment in segments], dim=1))


def test_gradient_equals_that_of_single_steps() -> None:
    ssru, hidden_states = new(), torch.randn(2, 5, 6, requires_grad=True)
    ssru(hidden_states, None).square().sum().backward()
    gradient = hidden_states.grad
    assert gradient is not None
    stepwise = hidden_states.detach().clone().requires_grad_()
    cells, loss = torch.zeros(2, 6), torch.zeros(())
    for newest in stepwise.unbind(1):
        forget = ssru.forget_gate(newest).sigmoid()
        cells = forget * cells + (1 - forget) * ssru.input(newest)
        loss = loss + cells.relu().square().sum()
    loss.backward()
    assert stepwise.grad is not None
    assert_close(gradient, stepwise.grad)


@pytest.mark.parametrize("positions", ["rotary", "relative"])
def test_positions_inside_self_attention_are_refused(positions: str) -> None:
    with pytest.raises(ValueError, match=f"ssru cannot be combined with {positions} positions"):
        TransformerSettings.model_validate(
            {"architecture": "transformer", "decoder_self_attention": "ssru", "positions": {"type": positions}}
        )
