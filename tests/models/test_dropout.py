"""Dropout drops the right share, keeps the mean, and follows the seed."""

import pytest
import torch
from torch.testing import assert_close

from nmt_cli.models.kernels import Dropout, dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_of_zeros_is_the_rate(rate: float) -> None:
    torch.manual_seed(1)
    values = dropout(torch.ones(1000, 1000), rate)
    assert abs((values == 0).float().mean().item() - rate) < 0.002
    assert abs(values.mean().item() - 1) < 0.01


def test_all_places_in_a_draw_are_dropped_alike() -> None:
    torch.manual_seed(1)
    places = (dropout(torch.ones(100_000, 4), 0.1) == 0).float().mean(0)
    assert_close(places, torch.full((4,), 0.1), atol=0.005, rtol=0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_that_stay_are_scaled_and_so_are_their_gradients(dtype: torch.dtype) -> None:
    values = torch.randn(33, 7, dtype=dtype, requires_grad=True)
    dropped = dropout(values, 0.25)
    dropped.sum().backward()
    kept = dropped != 0
    assert dropped.dtype == dtype
    assert_close(dropped, torch.where(kept, values * (4 / 3), 0))
    assert_close(values.grad, torch.where(kept, 4 / 3, 0).to(dtype))


def test_the_seed_decides_what_is_dropped() -> None:
    values, module = torch.ones(50), Dropout(0.5)
    torch.manual_seed(3)
    first, other = module(values), module(values)
    torch.manual_seed(3)
    assert torch.equal(module(values), first)
    assert not torch.equal(first, other)


def test_evaluation_drops_nothing() -> None:
    values = torch.randn(50)
    assert Dropout(0.5).eval()(values) is values
    assert Dropout(0.0).train()(values) is values


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (5,)])
def test_any_shape_will_do(shape: tuple[int, ...]) -> None:
    assert dropout(torch.ones(shape), 0.5).shape == shape


def test_rates_next_to_zero_and_one_stay_finite() -> None:
    assert dropout(torch.ones(1000), 1 - 1e-9).isfinite().all()
    assert_close(dropout(torch.ones(8), 1e-9).max(), torch.tensor(1.0), atol=1e-4, rtol=0.0)
