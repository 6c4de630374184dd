"""A running mean of the weights, which translates better than where they stand at the moment."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nmt_cli.training.parallel import fill


class WeightAverage:
    """Exponential moving average (Polyak & Juditsky 1992) of the weights that learn, in fp32 and on their device.

    It begins as the weights stand when it is made, so build it after they are loaded, sharded and frozen.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._means = {name: weight.detach().float().clone() for name, weight in self._weights.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after update `step` (the first is 1); early means forget faster, or they would be old."""
        decay = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self._means.values()), list(self._weights.values()), 1 - decay)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within, the model's weights are the average; afterwards they are bit for bit as before, whatever happened."""
        kept = {name: weight.detach().clone() for name, weight in self._weights.items()}
        try:
            self._write(self._means)
            yield
        finally:
            self._write(kept)

    def tensors(self) -> dict[str, Tensor]:
        """The average, by names of weights."""
        return dict(self._means)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        for name, mean in self._means.items():
            fill(mean, tensors[name])

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, weight in self._weights.items():
            weight.copy_(values[name])
