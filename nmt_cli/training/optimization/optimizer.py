"""Optimizers: how gradients change weights."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nmt_cli.errors import ModelError
from nmt_cli.recipe.training.optimization import (
    AdafactorSettings,
    AdamSettings,
    AdamWSettings,
    MuonSettings,
    Optimizer,
    SgdSettings,
)
from nmt_cli.training.optimization.muon import InnerMatrices, Muon, inner_matrices


class Optimizers:
    """One or more of torch's optimizers, each with weights of its own; they share the learning rate."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], model: nn.Module) -> None:
        self.optimizers = list(optimizers)
        self._names: dict[Tensor, str] = {weight: name for name, weight in model.named_parameters()}

    def set_rate(self, rate: float) -> None:
        """The learning rate from the next step on."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate

    def step(self) -> None:
        """Change the weights."""
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def tensors(self) -> dict[str, Tensor]:
        """All that the optimizers remember, keyed `what/weight name`."""
        return {
            f"{what}/{self._names[weight]}": value
            for optimizer in self.optimizers
            for weight, memory in optimizer.state.items()
            for what, value in memory.items()
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Remember what `tensors` gave, bit for bit; ModelError if it belongs to other weights."""
        memories: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            what, _, name = key.partition("/")
            memories[name][what] = value
        for optimizer in self.optimizers:
            state = optimizer.state_dict()
            names = [self._names[weight] for group in optimizer.param_groups for weight in group["params"]]
            state["state"] = {number: memories.pop(name) for number, name in enumerate(names) if name in memories}
            optimizer.load_state_dict(state)  # which knows what belongs on which device
        if memories:
            raise ModelError(f"the checkpoint's optimizer knows a weight {min(memories)}, but this one does not")


def build_optimizer(settings: Optimizer, model: nn.Module) -> Optimizers:
    """The optimizer of all weights that learn; build it after the model is on its device, sharded and frozen.

    Weight decay is for matrices only, not for biases and norms.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if isinstance(settings, MuonSettings):
        inner = inner_matrices(model)
        others = [weight for weight in weights if weight not in set(inner.weights)]
        both = [_muon(settings, inner) if inner.weights else None, _adamw(settings, others) if others else None]
        return Optimizers([optimizer for optimizer in both if optimizer is not None], model)
    return Optimizers([_OPTIMIZERS[settings.type](settings, weights)], model)


def _groups(settings: Optimizer, weights: list[nn.Parameter]) -> list[dict[str, Any]]:
    matrices = [weight for weight in weights if weight.dim() > 1]
    vectors = [weight for weight in weights if weight.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _adamw(settings: AdamWSettings | MuonSettings, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    first, second = settings.betas
    return torch.optim.AdamW(
        _groups(settings, weights), settings.learning_rate, (first, second), settings.epsilon, fused=True
    )


def _muon(settings: MuonSettings, inner: InnerMatrices) -> torch.optim.Optimizer:
    groups = [{"params": inner.weights, "weight_decay": settings.weight_decay}]
    return Muon(groups, settings.learning_rate, settings.momentum, settings.nesterov, inner.parts)


def _adam(settings: AdamSettings, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    first, second = settings.betas
    return torch.optim.Adam(
        _groups(settings, weights), settings.learning_rate, (first, second), settings.epsilon, fused=True
    )


def _sgd(settings: SgdSettings, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    # Not fused: torch's fused kernel does not know sharded weights.
    return torch.optim.SGD(
        _groups(settings, weights),
        settings.learning_rate,
        settings.momentum,
        nesterov=settings.nesterov,
    )


def _adafactor(settings: AdafactorSettings, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    # The paper adds 1e-30 to squared gradients. torch squares its epsilon, and takes 1e-7 if none is given: more than
    # the gradients of rare words.
    return torch.optim.Adafactor(_groups(settings, weights), settings.learning_rate, eps=(1e-15, 1e-3))


_OPTIMIZERS: dict[str, Callable[[Any, list[nn.Parameter]], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adam": _adam,
    "sgd": _sgd,
    "adafactor": _adafactor,
}
"""Those that are one optimizer for all weights."""
