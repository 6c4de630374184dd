"""Each optimizer follows its paper, applies to the right parameters, and resumes bit for bit."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.models import build
from nmt_cli.models.contract import VocabularyParameter, VocabularySpec
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.recipe.optimization import Optimizer
from nmt_cli.training.optimization.optimizer import Optimizers, build_optimizer, freeze

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
def test_optimizer_steps_follow_the_paper(given: dict[str, object], rule: Rule, size: float) -> None:
    generator = torch.Generator().manual_seed(1)
    model = nn.Linear(4, 3).double()
    optimizers = build_optimizer(settings(**given, learning_rate=RATE, weight_decay=DECAY), model)
    before = copy.deepcopy(model)
    gradients = {
        name: [size * torch.randn(weight.shape, generator=generator, dtype=torch.float64) for _ in range(3)]
        for name, weight in model.named_parameters()
    }
    for update in range(3):
        for name, weight in model.named_parameters():
            weight.grad = gradients[name][update].clone()
        optimizers.step()
    torch.testing.assert_close(model.weight, rule(before.weight.detach(), gradients["weight"], DECAY))
    torch.testing.assert_close(model.bias, rule(before.bias.detach(), gradients["bias"], 0.0))


class TokenModel(nn.Module):
    """An embedding, a matrix, a bias and a scalar parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 4)
        self.inner = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(()))

    def vocabulary_parameters(self) -> list[VocabularyParameter]:
        return [VocabularyParameter("embedding.weight", "target")]

    def fused_parameters(self) -> dict[str, list[int]]:
        return {}

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.inner(self.embedding(tokens)) * self.scale
        return scores.square().sum()


def token_model() -> TokenModel:
    torch.manual_seed(1)
    return TokenModel()


def step(model: nn.Module, optimizers: Optimizers, rate: float = RATE) -> None:
    model(torch.tensor([1, 2, 5])).backward()
    optimizers.set_learning_rate(rate)
    optimizers.step()
    optimizers.zero_grad()


@pytest.mark.parametrize("given", [*ALL, {"type": "sgd", "momentum": 0.0}], ids=str)
def test_restored_optimizer_continues_bit_for_bit(given: dict[str, object]) -> None:
    model, twin = token_model(), token_model()
    optimizers = build_optimizer(settings(**given, weight_decay=DECAY), model)
    for _ in range(3):
        step(model, optimizers)
    twin.load_state_dict(model.state_dict())
    restored = build_optimizer(settings(**given, weight_decay=DECAY), twin)
    restored.load_state_dict({name: tensor.clone() for name, tensor in optimizers.state_dict().items()})
    for _ in range(3):
        step(model, optimizers)
        step(twin, restored)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True))
    assert all(torch.equal(optimizers.state_dict()[name], tensor) for name, tensor in restored.state_dict().items())


@pytest.mark.parametrize("given", ALL, ids=str)
def test_torch_distributed_checkpoint_finds_the_same_state(given: dict[str, object]) -> None:
    """So that torch's functions for sharded checkpoints support these optimizers."""
    model = token_model()
    optimizers = build_optimizer(settings(**given), model)
    step(model, optimizers)
    options = StateDictOptions(full_state_dict=True)
    state = get_optimizer_state_dict(model, tuple(optimizers.optimizers), options=options)["state"]
    theirs = {f"{what}/{name}": value for name, memory in state.items() for what, value in memory.items()}
    assert theirs.keys() == optimizers.state_dict().keys()
    assert all(torch.equal(theirs[key], value) for key, value in optimizers.state_dict().items())


@pytest.mark.parametrize("given", ALL, ids=str)
def test_frozen_parameters_stay_bit_for_bit(given: dict[str, object]) -> None:
    model = token_model()
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
def test_a_single_parameter_can_be_trained_alone(given: dict[str, object], learning: str) -> None:
    model = token_model()
    for name, weight in model.named_parameters():
        weight.requires_grad_(name == learning)
    optimizers = build_optimizer(settings(**given), model)
    groups = [group for optimizer in optimizers.optimizers for group in optimizer.param_groups]
    assert [weight is model.get_parameter(learning) for group in groups for weight in group["params"]] == [True]
    step(model, optimizers)
    assert {key.partition("/")[2] for key in optimizers.state_dict()} == {learning}


@pytest.mark.parametrize("given", ALL, ids=str)
def test_set_learning_rate_reaches_every_parameter(given: dict[str, object]) -> None:
    model = token_model()
    optimizers = build_optimizer(settings(**given), model)
    before = copy.deepcopy(model.state_dict())
    step(model, optimizers, rate=0.0)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("given", ALL, ids=str)
def test_weight_decay_excludes_vectors(given: dict[str, object]) -> None:
    optimizers = build_optimizer(settings(**given, weight_decay=DECAY), token_model())
    decays = {
        (weight.dim() > 1, group["weight_decay"])
        for optimizer in optimizers.optimizers
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    assert decays == {(True, DECAY), (False, 0.0)}


def test_state_of_an_unknown_parameter_is_a_model_error() -> None:
    optimizers = build_optimizer(settings(), token_model())
    with pytest.raises(ModelError, match="other"):
        optimizers.load_state_dict({"exp_avg/other": torch.ones(1)})


def test_adafactor_state_has_one_entry_per_row_and_column() -> None:
    model = nn.Linear(50, 40, bias=False)
    optimizers = build_optimizer(settings(type="adafactor"), model)
    model.weight.grad = torch.ones_like(model.weight)
    optimizers.step()
    assert sum(tensor.numel() for tensor in optimizers.state_dict().values()) == 50 + 40 + 1


def test_adafactor_does_not_depend_on_the_scale_of_gradients() -> None:
    """With torch's default epsilon, it does in fp32."""
    steps = []
    for size in (1.0, 1e-7):
        torch.manual_seed(1)
        model = nn.Linear(5, 4, bias=False)
        optimizers = build_optimizer(settings(type="adafactor"), model)
        model.weight.grad = size * torch.arange(1.0, 21.0).view(4, 5)
        optimizers.step()
        steps.append(model.weight.detach())
    torch.testing.assert_close(*steps)


def test_default_optimizer_is_adamw() -> None:
    chosen = settings(learning_rate=2e-3)
    assert (chosen.type, chosen.learning_rate) == ("adamw", 2e-3)
    assert math.isclose(chosen.weight_decay, 0.0)


def nested_model() -> nn.Module:
    return nn.ModuleDict({"encoder": nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 2)]), "output": nn.Linear(2, 5)})


def trainable(frozen: nn.Module) -> list[str]:
    return [name for name, parameter in frozen.named_parameters() if parameter.requires_grad]


@pytest.mark.parametrize(
    ("patterns", "trained", "count"),
    [
        (["output.*"], ["encoder.0.weight", "encoder.0.bias", "encoder.1.weight", "encoder.1.bias"], 15),
        (["encoder.*"], ["output.weight", "output.bias"], 17),
        (["encoder.0.*", "*.bias"], ["encoder.1.weight", "output.weight"], 16),
        (["encoder.[01].weight", "output.bias"], ["encoder.0.bias", "encoder.1.bias", "output.weight"], 17),
    ],
)
def test_freeze_excludes_parameters_with_matching_names(patterns: list[str], trained: list[str], count: int) -> None:
    frozen = nested_model()
    assert freeze(frozen, patterns) == count
    assert trainable(frozen) == trained


@pytest.mark.parametrize("pattern", ["decoder.*", "Encoder.*", "encoder", ""])
def test_freeze_pattern_without_match_is_an_error_with_examples(pattern: str) -> None:
    with pytest.raises(RecipeError, match=r"^training\.freeze: .*encoder\.0\.weight") as caught:
        freeze(nested_model(), [pattern])
    assert "\n" not in str(caught.value)


def test_freezing_everything_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"^training\.freeze: encoder\.\*, output\.\*"):
        freeze(nested_model(), ["encoder.*", "output.*"])


def test_freeze_without_patterns_trains_everything() -> None:
    untouched = nested_model()
    assert freeze(untouched, []) == 0
    assert len(trainable(untouched)) == 6


def test_freeze_encoder_includes_all_norms_of_the_encoder() -> None:
    settings = {"architecture": "transformer", "preset": "tiny", "norm": {"embeddings": True}}
    model = build(TransformerSettings.model_validate(settings), VocabularySpec(9, 9))
    freeze(model, ["encoder.*"])
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert not [name for name in trained if name.startswith("encoder")]
    assert {name.split(".")[0] for name in trained} > {"decoder", "decoder_norm", "embeddings"}


@pytest.mark.parametrize("kind", ["sgd", "muon"])
def test_learning_rate_factor_of_the_first_pattern_that_matches_applies(kind: str) -> None:
    model_settings = TransformerSettings.model_validate({"architecture": "transformer", "preset": "tiny", "width": 16})
    model = build(model_settings, VocabularySpec(9, 9))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    factors = {"encoder.0.*": 0.5, "encoder.*": 0.25}
    optimizers = build_optimizer(settings(type=kind, learning_rate=9.0), model, factors)
    plain = build_optimizer(settings(type=kind, learning_rate=9.0), other := copy.deepcopy(model))
    for each, steps in ((model, optimizers), (other, plain)):
        for parameter in each.parameters():
            parameter.grad = torch.ones_like(parameter) + parameter.detach()
        steps.set_learning_rate(0.125)
        steps.step()
    for name, weight in model.named_parameters():
        factor = 0.5 if name.startswith("encoder.0.") else 0.25 if name.startswith("encoder") else 1.0
        change = other.get_parameter(name) - before[name]
        assert torch.allclose(weight - before[name], factor * change, atol=1e-6), name


def test_learning_rate_factor_of_no_parameter_is_refused() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(RecipeError, match=r"^training\.learning_rate_factors: .*weight"):
        build_optimizer(settings(type="sgd"), model, {"nothing": 2.0})  # type: ignore[arg-type]
