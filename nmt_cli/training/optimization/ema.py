"""Exponential moving average of the parameters, which often translates better than the latest parameters."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nmt_cli.training.distributed import load_into


class ExponentialMovingAverage:
    """Moving average (Polyak & Juditsky 1992) of the trainable parameters, in fp32 and on their device.

    It starts from the current parameters, so build it after they are loaded, sharded and frozen.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._parameters = {name: each for name, each in model.named_parameters() if each.requires_grad}
        self._averages = {name: each.detach().float().clone() for name, each in self._parameters.items()}

    @torch.no_grad()
    def update(self, update: int) -> None:
        """Add the parameters after an update (1-based). Early updates use a smaller decay, to forget the first ones."""
        decay = min(self._decay, (1 + update) / (10 + update))
        torch._foreach_lerp_(list(self._averages.values()), list(self._parameters.values()), 1 - decay)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averages by parameter name."""
        return dict(self._averages)

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Resume from full tensors of `state_dict()`."""
        for name, average in self._averages.items():
            load_into(average, tensors[name])


@contextmanager
def replaced_parameters(model: nn.Module, values: Mapping[str, Tensor]) -> Iterator[None]:
    """Replace some parameters within the context, and restore them bit for bit afterwards.

    Args:
        values: Full tensors, or tensors sharded like their parameters, by parameter name.
    """
    parameters = {name: each for name, each in model.named_parameters() if name in values}
    saved = {name: each.detach().clone() for name, each in parameters.items()}
    try:
        for name, parameter in parameters.items():
            load_into(parameter, values[name])
        yield
    finally:
        for name, parameter in parameters.items():
            load_into(parameter, saved[name])
