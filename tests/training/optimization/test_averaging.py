"""The average of the weights is that of the formula, and the weights themselves never suffer from it."""

import pytest
import torch
from torch import nn

from nmt_cli.training.optimization.averaging import WeightAverage


def move(model: nn.Module, number: int) -> None:
    """Another place for each weight."""
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))


def wander(model: nn.Module, average: WeightAverage, first: int, last: int) -> list[torch.Tensor]:
    places = []
    for step in range(first, last + 1):
        move(model, step)
        average.update(step)
        places.append(next(model.parameters()).detach().double())
    return places


def test_the_average_is_the_closed_sum() -> None:
    model, decay, last = nn.Linear(3, 2), 0.6, 30
    move(model, 0)
    places = [model.weight.detach().double()]
    average = WeightAverage(model, decay)
    places += wander(model, average, 1, last)
    decays = [0.0] + [min(decay, (1 + step) / (10 + step)) for step in range(1, last + 1)]
    shares = [(1 - decays[i]) * torch.tensor(decays[i + 1 :], dtype=torch.float64).prod() for i in range(last + 1)]
    assert float(sum(shares)) == pytest.approx(1)
    expected = sum(share * place for share, place in zip(shares, places, strict=True))
    torch.testing.assert_close(average.tensors()["weight"].double(), expected, atol=1e-6, rtol=0)


def test_inside_the_weights_are_the_average_and_afterwards_as_before() -> None:
    model = nn.Linear(3, 2)
    average = WeightAverage(model, 0.9)
    wander(model, average, 1, 3)
    before = model.weight.detach().clone()
    with average.swapped():
        assert torch.equal(model.weight, average.tensors()["weight"])
        assert not torch.equal(model.weight, before)
    assert torch.equal(model.weight, before)


def test_weights_return_bit_for_bit_even_after_an_exception() -> None:
    model = nn.Linear(3, 2)
    average = WeightAverage(model, 0.9)
    wander(model, average, 1, 3)
    with torch.no_grad():
        model.weight[0, 0], model.weight[0, 1] = torch.nan, -0.0
    bits = model.weight.detach().clone().view(torch.int32)
    mean = average.tensors()["weight"].clone()
    with pytest.raises(RuntimeError), average.swapped():
        raise RuntimeError
    assert torch.equal(model.weight.detach().view(torch.int32), bits)
    assert torch.equal(average.tensors()["weight"], mean)


def test_a_restored_average_goes_on_bit_for_bit() -> None:
    model, twin = nn.Linear(3, 2), nn.Linear(3, 2)
    average = WeightAverage(model, 0.9)
    wander(model, average, 1, 4)
    restored = WeightAverage(twin, 0.9)
    restored.load({name: tensor.clone() for name, tensor in average.tensors().items()})
    wander(model, average, 5, 8)
    wander(twin, restored, 5, 8)
    assert all(torch.equal(restored.tensors()[name], tensor) for name, tensor in average.tensors().items())


def test_weights_that_do_not_learn_are_not_averaged() -> None:
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    assert set(WeightAverage(model, 0.9).tensors()) == {"weight"}


def test_the_average_is_kept_apart_from_the_weights() -> None:
    model = nn.Linear(3, 2)
    average = WeightAverage(model, 0.9)
    before = average.tensors()["weight"].clone()
    move(model, 1)
    assert torch.equal(average.tensors()["weight"], before)
