"""Local attention with global tokens against full attention with a mask."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from nmt_cli.models.attention import SelfAttention
from nmt_cli.models.attention.local import LocalSelfAttention
from nmt_cli.models.positions import RotaryCache


def masked(local: LocalSelfAttention, hidden_states: Tensor, rotary: RotaryCache | None, lengths: list[int]) -> Tensor:
    """Full attention, masked token by token."""
    full = SelfAttention(16, 4, 2, 0.0)
    full.load_state_dict(local.state_dict())
    positions, num_global = hidden_states.size(1), local.num_global
    mask = torch.zeros(len(hidden_states), 1, positions, positions, dtype=torch.bool)
    for sentence, length in enumerate(lengths):
        for query in range(positions):
            for key in range(num_global + length):
                blocks = [(position - num_global) // local.block_tokens for position in (query, key)]
                is_near = abs(blocks[0] - blocks[1]) <= 1
                mask[sentence, 0, query, key] = is_near or min(query, key) < num_global
    return full(hidden_states, rotary, mask)


@pytest.mark.parametrize("block_tokens", [1, 2, 3, 4, 11, 20])
@pytest.mark.parametrize("num_global", [1, 3])
@pytest.mark.parametrize("has_padding", [False, True])
def test_local_attention_is_full_attention_with_a_mask(block_tokens: int, num_global: int, has_padding: bool) -> None:
    torch.manual_seed(1)
    local = LocalSelfAttention(16, 4, 2, 0.0, block_tokens=block_tokens, num_global=num_global)
    nn.init.normal_(local.query_key_value.weight)
    hidden_states, lengths = torch.randn(2, num_global + 11, 16), [11, 4] if has_padding else [11, 11]
    indices = torch.arange(num_global + 11)
    attn_mask = (indices < num_global + torch.tensor(lengths)[:, None])[:, None, None]
    rotary = RotaryCache.from_positions(indices, 4)
    found = local(hidden_states, rotary, attn_mask if has_padding else None)
    expected = masked(local, hidden_states, rotary, lengths)
    for sentence, length in enumerate(lengths):
        assert_close(found[sentence, : num_global + length], expected[sentence, : num_global + length])


def test_gradients_are_those_of_full_attention_with_a_mask() -> None:
    torch.manual_seed(1)
    local = LocalSelfAttention(16, 4, 2, 0.0, block_tokens=2, num_global=1)
    hidden_states = torch.randn(1, 10, 16, requires_grad=True)
    weights = torch.randn(1, 10, 16)
    gradients = [
        torch.autograd.grad((output * weights).sum(), hidden_states)[0]
        for output in (local(hidden_states, None), masked(local, hidden_states, None, [9]))
    ]
    assert_close(gradients[0], gradients[1])
