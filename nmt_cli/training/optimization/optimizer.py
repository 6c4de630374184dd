"""Optimizers: which parameters are trained, and how gradients change them."""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
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

_NAMES_SHOWN = 8


def freeze(model: Model, patterns: list[str]) -> int:
    """Exclude parameters whose names match a pattern from training; return how many numbers that is.

    `encoder_norm.weight` also matches as `encoder.norm.weight`, so that `encoder.*` covers a whole encoder.

    Raises:
        RecipeError: A pattern matches no parameter, or none is left to train.
    """
    parameters = dict(model.named_parameters())
    for pattern in patterns:
        matching = [
            name
            for name in parameters
            if fnmatchcase(name, pattern) or fnmatchcase(re.sub("^(encoder|decoder)_", r"\1.", name), pattern)
        ]
        if not matching:
            names = list(parameters)
            examples = ", ".join(names[:: -(-len(names) // _NAMES_SHOWN)])
            raise RecipeError(f"training.freeze: no parameter matches {pattern}; some names are {examples}")
        for name in matching:
            parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise RecipeError(f"training.freeze: {', '.join(patterns)} leave no parameter to train")
    return sum(parameter.numel() for parameter in parameters.values() if not parameter.requires_grad)


class Optimizers:
    """One or more torch optimizers over disjoint parameters, with one learning rate."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], model: Model) -> None:
        self.optimizers = list(optimizers)
        self._names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the following steps."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate

    def step(self) -> None:
        """Update the parameters."""
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self) -> None:
        """Drop the gradients."""
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
        """Resume from `state_dict()`, bit for bit. Raises ModelError if it names a parameter that is not trained."""
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


def build_optimizer(settings: Optimizer, model: Model) -> Optimizers:
    """Build the optimizer of all trainable parameters. Call this after the model is on its device, sharded and frozen.

    Weight decay applies to matrices only, not to biases and norms.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizers = list[torch.optim.Optimizer]()
    if isinstance(settings, MuonSettings) and (row_splits := inner_matrices(model)):
        inner = [{"params": list(row_splits), "weight_decay": settings.weight_decay}]
        optimizers.append(Muon(inner, settings.learning_rate, settings.momentum, settings.nesterov, row_splits))
        parameters = [parameter for parameter in parameters if parameter not in row_splits]
    groups = [
        {"params": [each for each in parameters if each.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [each for each in parameters if each.dim() <= 1], "weight_decay": 0.0},
    ]
    if parameters:
        optimizers.append(_OPTIMIZERS[settings.type](settings, [group for group in groups if group["params"]]))
    return Optimizers(optimizers, model)


def _adam(settings: AdamBaseSettings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    optimizer = torch.optim.Adam if isinstance(settings, AdamSettings) else torch.optim.AdamW
    first, second = settings.betas
    return optimizer(groups, settings.learning_rate, (first, second), settings.epsilon, fused=True)


def _sgd(settings: SgdSettings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    # Not fused: torch's fused kernel does not support sharded parameters.
    return torch.optim.SGD(groups, settings.learning_rate, settings.momentum, nesterov=settings.nesterov)


def _adafactor(settings: AdafactorSettings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    # The paper adds 1e-30 to squared gradients. torch squares its epsilon; its default of 1e-7 exceeds the gradients of
    # rare words.
    return torch.optim.Adafactor(groups, settings.learning_rate, eps=(1e-15, 1e-3))


_OPTIMIZERS: dict[str, Callable[[Any, list[dict[str, Any]]], torch.optim.Optimizer]] = {
    "adamw": _adam,
    "adam": _adam,
    "sgd": _sgd,
    "adafactor": _adafactor,
    "muon": _adam,
}
"""By type; for muon, the optimizer of parameters other than inner matrices."""
