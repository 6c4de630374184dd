"""The optimizer and its learning rate over time."""

import math

import torch
from torch import Tensor, nn

from nmt_cli.errors import ModelError
from nmt_cli.recipe.training.optimization import Optimizer, Schedule


def build_optimizer(settings: Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    """AdamW over all weights; weight decay is for matrices only, not for biases and norms."""
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups,
        lr=settings.learning_rate,
        betas=(settings.betas[0], settings.betas[1]),
        eps=settings.epsilon,
        fused=True,
    )


def learning_rate(settings: Schedule, peak: float, step: int, last_step: int) -> float:
    """The rate of update `step` (the first is 1): a linear warm-up to `peak`, then the schedule's decay."""
    if step <= settings.warmup:
        return peak * step / settings.warmup
    if settings.type == "inverse_sqrt":
        return peak * math.sqrt(max(settings.warmup, 1) / step)
    done = min((step - settings.warmup) / max(last_step - settings.warmup, 1), 1.0)
    # The last update keeps a little: a rate of exactly zero would be an update for nothing.
    falling = 1 - done if settings.type == "linear" else (1 + math.cos(math.pi * done)) / 2
    return peak * max(falling, 1e-3)


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimizer's memory, keyed `what/weight name`."""
    return {
        f"{what}/{name}": value
        for name, weight in model.named_parameters()
        for what, value in optimizer.state[weight].items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give an optimizer back what `optimizer_tensors` took from it."""
    weights = dict(model.named_parameters())
    for key, value in tensors.items():
        what, _, name = key.partition("/")
        if name not in weights:
            raise ModelError(f"the checkpoint's optimizer knows a weight {name}, but the model does not")
        place = torch.device("cpu") if what == "step" and weights[name].device.type == "cpu" else weights[name].device
        optimizer.state[weights[name]][what] = value.to(place)
