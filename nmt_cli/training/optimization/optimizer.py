"""Optimizers, and the selection of the parameters that they train."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.models.contract import Model
from nmt_cli.recipe.optimization import (
    AdafactorSettings,
    AdamBaseSettings,
    AdamSettings,
    MuonSettings,
    Optimizer,
    SgdSettings,
)
from nmt_cli.training.optimization.muon import Muon, inner_matrices
from nmt_cli.training.optimization.parameter_names import matching_names

NO_FACTORS: Mapping[str, float] = {}


def freeze(model: Model, patterns: list[str]) -> int:
    """Exclude parameters whose names match a pattern from training. Return the number of all frozen values.

    Raises:
        RecipeError: A pattern matches no parameter, or no parameter is left to train.
    """
    parameters = dict(model.named_parameters())
    for pattern in patterns:
        for name in matching_names(list(parameters), pattern, "training.freeze"):
            parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise RecipeError(f"training.freeze: {', '.join(patterns)} leave no parameter to train")
    return sum(parameter.numel() for parameter in parameters.values() if not parameter.requires_grad)


class Optimizers:
    """One or more torch optimizers over disjoint parameters, with one learning rate, times the factor of each group."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], model: Model) -> None:
        self.optimizers = list(optimizers)
        self._names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the following steps."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]

    def step(self) -> None:
        """Update the parameters."""
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self) -> None:
        """Remove the gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of all parameters, with keys `STATE/PARAMETER`."""
        return {
            f"{key}/{self._names[parameter]}": value
            for optimizer in self.optimizers
            for parameter, state in optimizer.state.items()
            for key, value in state.items()
        }

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the result of `state_dict()`. ModelError if it has the state of a parameter that is not trained."""
        states: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            state_name, _, parameter = key.partition("/")
            states[parameter][state_name] = value
        for optimizer in self.optimizers:
            saved = optimizer.state_dict()
            names = [self._names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
            saved["state"] = {index: states.pop(name) for index, name in enumerate(names) if name in states}
            optimizer.load_state_dict(saved)  # moves each tensor to the device where torch needs it
        if states:
            raise ModelError(f"the checkpoint has optimizer state of {min(states)}, which is not trained here")


def trained_parameters(model: Model, factors: Mapping[str, float]) -> dict[Tensor, float]:
    """Return the trainable parameters, each with the factor on its learning rate. See `build_optimizer`.

    Raises:
        RecipeError: A pattern matches no trainable parameter.
    """
    parameters: dict[Tensor, float] = {each: 1.0 for each in model.parameters() if each.requires_grad}
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    for pattern, factor in reversed(list(factors.items())):
        for name in matching_names(names, pattern, "training.learning_rate_factors"):
            parameters[model.get_parameter(name)] = factor
    return parameters


def build_optimizer(settings: Optimizer, model: Model, factors: Mapping[str, float] = NO_FACTORS) -> Optimizers:
    """Build the optimizer of all trainable parameters. Call this after the model is on its device, sharded and frozen.

    Weight decay applies to matrices only, not to biases and norms.

    Args:
        factors: Factors on the learning rate, by pattern of parameter names; the first that matches applies.
    """
    parameters = trained_parameters(model, factors)
    optimizers = list[torch.optim.Optimizer]()
    if isinstance(settings, MuonSettings) and (row_splits := inner_matrices(model)):
        inner = _groups({each: parameters.pop(each) for each in row_splits}, settings.weight_decay)
        optimizers.append(Muon(inner, settings.learning_rate, settings.momentum, settings.nesterov, row_splits))
    if parameters:
        optimizers.append(_OPTIMIZERS[settings.type](settings, _groups(parameters, settings.weight_decay)))
    return Optimizers(optimizers, model)


def _groups(factors: Mapping[Tensor, float], weight_decay: float) -> list[dict[str, Any]]:
    """Return groups of parameters with the same weight decay and the same factor on the learning rate."""
    groups: dict[tuple[float, float], list[Tensor]] = defaultdict(list)
    for parameter, factor in factors.items():
        groups[weight_decay if parameter.dim() > 1 else 0.0, factor].append(parameter)
    return [{"params": each, "weight_decay": decay, "factor": factor} for (decay, factor), each in groups.items()]


def _adam(settings: AdamBaseSettings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    optimizer = torch.optim.Adam if isinstance(settings, AdamSettings) else torch.optim.AdamW
    first, second = settings.betas
    return optimizer(groups, settings.learning_rate, (first, second), settings.epsilon, fused=True)


def _sgd(settings: SgdSettings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    # Not fused: torch's fused kernel does not support sharded parameters.
    return torch.optim.SGD(groups, settings.learning_rate, settings.momentum, nesterov=settings.nesterov)


def _adafactor(settings: AdafactorSettings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    # The paper adds 1e-30 to squared gradients; torch squares its epsilon, so that is 1e-15. torch's default of 1e-7
    # exceeds the gradients of rare words.
    return torch.optim.Adafactor(groups, settings.learning_rate, eps=(1e-15, 1e-3))


_OPTIMIZERS: dict[str, Callable[[Any, list[dict[str, Any]]], torch.optim.Optimizer]] = {
    "adamw": _adam,
    "adam": _adam,
    "sgd": _sgd,
    "adafactor": _adafactor,
    "muon": _adam,
}
"""Constructors by `type`. That of muon builds the optimizer of the parameters other than inner matrices."""
