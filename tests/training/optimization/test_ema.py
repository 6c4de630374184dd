"""The moving average follows its formula, and using it leaves the parameters unchanged."""

import pytest
import torch
from torch import nn

from nmt_cli.training.optimization.ema import ExponentialMovingAverage, replaced_parameters


def move(model: nn.Module, seed: int) -> None:
    """Set each parameter to other random values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))


def random_walk(model: nn.Module, average: ExponentialMovingAverage, first: int, last: int) -> list[torch.Tensor]:
    values = []
    for update in range(first, last + 1):
        move(model, update)
        average.update(update)
        values.append(next(model.parameters()).detach().double())
    return values


def test_average_equals_the_closed_form() -> None:
    model, decay, last = nn.Linear(3, 2), 0.6, 30
    move(model, 0)
    values = [model.weight.detach().double()]
    average = ExponentialMovingAverage(model, decay)
    values += random_walk(model, average, 1, last)
    decays = [0.0] + [min(decay, (1 + update) / (10 + update)) for update in range(1, last + 1)]
    weights = [(1 - decays[i]) * torch.tensor(decays[i + 1 :], dtype=torch.float64).prod() for i in range(last + 1)]
    assert float(sum(weights)) == pytest.approx(1)
    expected = sum(weight * value for weight, value in zip(weights, values, strict=True))
    torch.testing.assert_close(average.state_dict()["weight"].double(), expected, atol=1e-6, rtol=0)


def test_replaced_parameters_are_restored() -> None:
    model = nn.Linear(3, 2)
    average = ExponentialMovingAverage(model, 0.9)
    random_walk(model, average, 1, 3)
    before = model.weight.detach().clone()
    with replaced_parameters(model, average.state_dict()):
        assert torch.equal(model.weight, average.state_dict()["weight"])
        assert not torch.equal(model.weight, before)
    assert torch.equal(model.weight, before)


def test_replaced_parameters_are_restored_bit_for_bit_after_an_exception() -> None:
    model = nn.Linear(3, 2)
    average = ExponentialMovingAverage(model, 0.9)
    random_walk(model, average, 1, 3)
    with torch.no_grad():
        model.weight[0, 0], model.weight[0, 1] = torch.nan, -0.0
    bits = model.weight.detach().clone().view(torch.int32)
    mean = average.state_dict()["weight"].clone()
    with pytest.raises(RuntimeError), replaced_parameters(model, average.state_dict()):
        raise RuntimeError
    assert torch.equal(model.weight.detach().view(torch.int32), bits)
    assert torch.equal(average.state_dict()["weight"], mean)


def test_restored_average_continues_bit_for_bit() -> None:
    model, twin = nn.Linear(3, 2), nn.Linear(3, 2)
    average = ExponentialMovingAverage(model, 0.9)
    random_walk(model, average, 1, 4)
    restored = ExponentialMovingAverage(twin, 0.9)
    restored.load_state_dict({name: tensor.clone() for name, tensor in average.state_dict().items()})
    random_walk(model, average, 5, 8)
    random_walk(twin, restored, 5, 8)
    assert all(torch.equal(restored.state_dict()[name], tensor) for name, tensor in average.state_dict().items())


def test_frozen_parameters_are_not_averaged() -> None:
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    assert set(ExponentialMovingAverage(model, 0.9).state_dict()) == {"weight"}


def test_average_does_not_share_memory_with_parameters() -> None:
    model = nn.Linear(3, 2)
    average = ExponentialMovingAverage(model, 0.9)
    before = average.state_dict()["weight"].clone()
    move(model, 1)
    assert torch.equal(average.state_dict()["weight"], before)
