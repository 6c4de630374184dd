"""The learning rate follows its schedule; the optimizer's memory survives a round trip."""

import pytest
import torch
from torch import nn

from nmt_cli.errors import ModelError
from nmt_cli.recipe.training.optimization import Optimizer, Schedule
from nmt_cli.training.optimizer import build_optimizer, learning_rate, load_optimizer, optimizer_tensors


@pytest.mark.parametrize("kind", ["inverse_sqrt", "linear", "cosine"])
def test_the_rate_rises_to_its_peak_and_falls(kind: str) -> None:
    schedule = Schedule.model_validate({"type": kind, "warmup": 10})
    rates = [learning_rate(schedule, 2.0, step, 100) for step in range(1, 101)]
    assert rates[4] == pytest.approx(1.0)
    assert rates[9] == max(rates) == 2.0
    assert rates[9:] == sorted(rates[9:], reverse=True)


def test_each_schedule_has_its_shape() -> None:
    def halfway(kind: str) -> float:
        return learning_rate(Schedule.model_validate({"type": kind, "warmup": 20}), 1.0, 60, 100)

    assert halfway("linear") == pytest.approx(0.5)
    assert halfway("cosine") == pytest.approx(0.5)
    assert halfway("inverse_sqrt") == pytest.approx((20 / 60) ** 0.5)


def test_without_warmup_the_first_rate_is_near_the_peak() -> None:
    assert learning_rate(Schedule(type="linear", warmup=0), 1.0, 1, 100) == pytest.approx(0.99)


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model(torch.ones(1, 3)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_a_restored_optimizer_goes_on_alike() -> None:
    torch.manual_seed(1)
    model, twin = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer, restored = build_optimizer(Optimizer(), model), build_optimizer(Optimizer(), twin)
    step(model, optimizer)
    twin.load_state_dict(model.state_dict())
    tensors = {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer, model).items()}
    load_optimizer(restored, twin, tensors)

    step(model, optimizer)
    step(twin, restored)

    assert torch.equal(model.weight, twin.weight)


def test_memory_of_another_model_is_refused() -> None:
    model = nn.Linear(3, 2)
    with pytest.raises(ModelError, match="other"):
        load_optimizer(build_optimizer(Optimizer(), model), model, {"exp_avg/other": torch.ones(1)})


def test_weight_decay_spares_biases() -> None:
    groups = build_optimizer(Optimizer(weight_decay=0.1), nn.Linear(3, 2)).param_groups
    assert [(group["weight_decay"], group["params"][0].dim()) for group in groups] == [(0.1, 2), (0.0, 1)]
