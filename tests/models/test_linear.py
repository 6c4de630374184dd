"""Our linear layer against torch's, value and gradients."""

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from nmt_cli.models.linear import Linear, linear


@pytest.mark.parametrize("shape", [(7, 6), (3, 5, 6), (1, 6), (0, 6), (2, 1, 4, 6)])
@pytest.mark.parametrize("has_bias", [False, True])
def test_values_and_gradients_are_those_of_torch(shape: tuple[int, ...], has_bias: bool) -> None:
    torch.manual_seed(1)
    inputs, weight = torch.randn(shape, requires_grad=True), torch.randn(4, 6, requires_grad=True)
    given = [inputs, weight, *([torch.randn(4, requires_grad=True)] if has_bias else [])]
    ours, theirs = linear(*given), functional.linear(*given)
    assert_close(ours, theirs)
    change = torch.randn_like(ours)
    assert_close(torch.autograd.grad(ours, given, change), torch.autograd.grad(theirs, given, change))


@pytest.mark.parametrize("learning", [0, 1, 2])
def test_only_what_learns_gets_a_gradient(learning: int) -> None:
    given = [torch.randn(8, 6), torch.randn(4, 6), torch.randn(4)]
    given[learning].requires_grad_()
    linear(*given).sum().backward()
    assert [part.grad is not None for part in given] == [place == learning for place in range(3)]


def test_strides_do_not_matter() -> None:
    inputs, weight = torch.randn(6, 9, 5).transpose(0, 2), torch.randn(6, 4).t()
    assert_close(linear(inputs, weight), functional.linear(inputs, weight))


def test_autocast_is_obeyed() -> None:
    layer, inputs = Linear(6, 4), torch.randn(8, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(inputs).dtype == torch.bfloat16
