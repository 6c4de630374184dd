"""Each optimizer does the arithmetic of its paper, to the right weights, and goes on bit for bit when restored."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

from nmt_cli.errors import ModelError
from nmt_cli.recipe.training.optimization import Optimizer
from nmt_cli.training.optimization.optimizer import Optimizers, build_optimizer

RATE, DECAY = 0.01, 0.1
Rule = Callable[[Tensor, list[Tensor]], Tensor]
"""A weight and its gradients, one after another → the weight after them."""


def settings(**given: object) -> Optimizer:
    found: Optimizer = TypeAdapter(Optimizer).validate_python(given)
    return found


def adam(weight: Tensor, gradients: list[Tensor], decay: float, decoupled: bool) -> Tensor:
    """Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2."""
    mean, square = torch.zeros_like(weight), torch.zeros_like(weight)
    for step, gradient in enumerate(gradients, 1):
        weight, gradient = (weight * (1 - RATE * decay), gradient) if decoupled else (weight, gradient + decay * weight)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.98 * square + 0.02 * gradient**2
        weight = weight - RATE * (mean / (1 - 0.9**step)) / ((square / (1 - 0.98**step)).sqrt() + 1e-9)
    return weight


def sgd(weight: Tensor, gradients: list[Tensor], decay: float, nesterov: bool) -> Tensor:
    """Sutskever et al. 2013."""
    velocity = torch.zeros_like(weight)
    for gradient in gradients:
        gradient = gradient + decay * weight
        velocity = 0.9 * velocity + gradient
        weight = weight - RATE * (gradient + 0.9 * velocity if nesterov else velocity)
    return weight


def adafactor(weight: Tensor, gradients: list[Tensor], decay: float) -> Tensor:
    """Shazeer & Stern 2018, algorithms 4 and 5."""
    rows = columns = every = torch.zeros(())
    for step, gradient in enumerate(gradients, 1):
        beta, square = 1 - step**-0.8, gradient**2 + 1e-30
        scale = max(1e-3, float(weight.square().mean().sqrt())) * min(RATE, step**-0.5)
        weight = weight * (1 - RATE * decay)
        if weight.dim() > 1:
            rows = beta * rows + (1 - beta) * square.sum(1)
            columns = beta * columns + (1 - beta) * square.sum(0)
            estimate = torch.outer(rows, columns) / rows.sum()
        else:
            every = beta * every + (1 - beta) * square
            estimate = every
        update = gradient / estimate.sqrt()
        weight = weight - scale * update / max(1.0, float(update.square().mean().sqrt()))
    return weight


RULES: list[tuple[dict[str, object], Callable[[Tensor, list[Tensor], float], Tensor]]] = [
    ({"type": "adamw"}, lambda weight, gradients, decay: adam(weight, gradients, decay, decoupled=True)),
    ({"type": "adam"}, lambda weight, gradients, decay: adam(weight, gradients, decay, decoupled=False)),
    ({"type": "sgd"}, lambda weight, gradients, decay: sgd(weight, gradients, decay, nesterov=False)),
    (
        {"type": "sgd", "nesterov": True},
        lambda weight, gradients, decay: sgd(weight, gradients, decay, nesterov=True),
    ),
    ({"type": "adafactor"}, adafactor),
]
ALL = [{"type": "adamw"}, {"type": "adam"}, {"type": "sgd"}, {"type": "adafactor"}, {"type": "muon"}]


@pytest.mark.parametrize(("given", "rule"), RULES, ids=[str(given) for given, _ in RULES])
@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_steps_are_those_of_the_paper(given: dict[str, object], rule: Rule, size: float) -> None:
    generator = torch.Generator().manual_seed(1)
    model = nn.Linear(4, 3).double()
    optimizers = build_optimizer(settings(**given, learning_rate=RATE, weight_decay=DECAY), model)
    before = copy.deepcopy(model)
    gradients = {
        name: [size * torch.randn(weight.shape, generator=generator, dtype=torch.float64) for _ in range(3)]
        for name, weight in model.named_parameters()
    }
    for number in range(3):
        for name, weight in model.named_parameters():
            weight.grad = gradients[name][number].clone()
        optimizers.step()
    torch.testing.assert_close(model.weight, rule(before.weight.detach(), gradients["weight"], DECAY))
    torch.testing.assert_close(model.bias, rule(before.bias.detach(), gradients["bias"], 0.0))


class Words(nn.Module):
    """An embedding, a matrix, a bias and a weight of its own kind."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.inner = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, words: Tensor) -> Tensor:
        scores: Tensor = self.inner(self.embedding(words)) * self.scale
        return scores.square().sum()


def words_model() -> Words:
    torch.manual_seed(1)
    return Words()


def step(model: nn.Module, optimizers: Optimizers, rate: float = RATE) -> None:
    model(torch.tensor([1, 2, 5])).backward()
    optimizers.set_rate(rate)
    optimizers.step()
    optimizers.zero_grad()


@pytest.mark.parametrize("given", [*ALL, {"type": "sgd", "momentum": 0.0}], ids=str)
def test_a_restored_optimizer_goes_on_bit_for_bit(given: dict[str, object]) -> None:
    model, twin = words_model(), words_model()
    optimizers = build_optimizer(settings(**given, weight_decay=DECAY), model)
    for _ in range(3):
        step(model, optimizers)
    twin.load_state_dict(model.state_dict())
    restored = build_optimizer(settings(**given, weight_decay=DECAY), twin)
    restored.load({name: tensor.clone() for name, tensor in optimizers.tensors().items()})
    for _ in range(3):
        step(model, optimizers)
        step(twin, restored)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True))
    assert all(torch.equal(optimizers.tensors()[name], tensor) for name, tensor in restored.tensors().items())


@pytest.mark.parametrize("given", ALL, ids=str)
def test_distributed_checkpoints_find_the_same_memory(given: dict[str, object]) -> None:
    """Sharded training saves through torch's functions: they have to know these optimizers."""
    model = words_model()
    optimizers = build_optimizer(settings(**given), model)
    step(model, optimizers)
    options = StateDictOptions(full_state_dict=True)
    state = get_optimizer_state_dict(model, tuple(optimizers.optimizers), options=options)["state"]
    theirs = {f"{what}/{name}": value for name, memory in state.items() for what, value in memory.items()}
    assert theirs.keys() == optimizers.tensors().keys()
    assert all(torch.equal(theirs[key], value) for key, value in optimizers.tensors().items())


@pytest.mark.parametrize("given", ALL, ids=str)
def test_weights_that_do_not_learn_stay_bit_for_bit(given: dict[str, object]) -> None:
    model = words_model()
    model.embedding.weight.requires_grad_(False)
    before = model.embedding.weight.clone()
    inner = model.inner.weight.clone()
    optimizers = build_optimizer(settings(**given, weight_decay=DECAY), model)
    for _ in range(2):
        step(model, optimizers)
    assert torch.equal(model.embedding.weight, before)
    assert not torch.equal(model.inner.weight, inner)


@pytest.mark.parametrize("given", ALL, ids=str)
@pytest.mark.parametrize("learning", ["inner.weight", "inner.bias", "embedding.weight"])
def test_one_kind_of_weight_can_learn_alone(given: dict[str, object], learning: str) -> None:
    model = words_model()
    for name, weight in model.named_parameters():
        weight.requires_grad_(name == learning)
    optimizers = build_optimizer(settings(**given), model)
    groups = [group for optimizer in optimizers.optimizers for group in optimizer.param_groups]
    assert [weight is model.get_parameter(learning) for group in groups for weight in group["params"]] == [True]
    step(model, optimizers)
    assert {key.partition("/")[2] for key in optimizers.tensors()} == {learning}


@pytest.mark.parametrize("given", ALL, ids=str)
def test_the_rate_reaches_every_weight(given: dict[str, object]) -> None:
    model = words_model()
    optimizers = build_optimizer(settings(**given), model)
    before = copy.deepcopy(model.state_dict())
    step(model, optimizers, rate=0.0)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("given", ALL, ids=str)
def test_weight_decay_spares_vectors(given: dict[str, object]) -> None:
    optimizers = build_optimizer(settings(**given, weight_decay=DECAY), words_model())
    decays = {
        (weight.dim() > 1, group["weight_decay"])
        for optimizer in optimizers.optimizers
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    assert decays == {(True, DECAY), (False, 0.0)}


def test_memory_of_another_model_is_refused() -> None:
    optimizers = build_optimizer(settings(), words_model())
    with pytest.raises(ModelError, match="knows a weight other"):
        optimizers.load({"exp_avg/other": torch.ones(1)})


def test_adafactor_remembers_rows_and_columns_only() -> None:
    model = nn.Linear(50, 40, bias=False)
    optimizers = build_optimizer(settings(type="adafactor"), model)
    model.weight.grad = torch.ones_like(model.weight)
    optimizers.step()
    assert sum(tensor.numel() for tensor in optimizers.tensors().values()) == 50 + 40 + 1


def test_adafactor_does_not_care_how_large_gradients_are() -> None:
    """In fp32, with torch's own epsilon, it would."""
    steps = []
    for size in (1.0, 1e-7):
        torch.manual_seed(1)
        model = nn.Linear(5, 4, bias=False)
        optimizers = build_optimizer(settings(type="adafactor"), model)
        model.weight.grad = size * torch.arange(1.0, 21.0).view(4, 5)
        optimizers.step()
        steps.append(model.weight.detach())
    torch.testing.assert_close(*steps)


def test_the_default_is_adamw() -> None:
    chosen = settings(learning_rate=2e-3)
    assert (chosen.type, chosen.learning_rate) == ("adamw", 2e-3)
    assert math.isclose(chosen.weight_decay, 0.0)
