"""What learns: a model in its objective, its optimizers and its progress; what can be saved and restored."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nmt_cli.errors import ModelError
from nmt_cli.models.contract import TranslationModel
from nmt_cli.recipe.training import Training
from nmt_cli.training.objectives.cross_entropy import CrossEntropy
from nmt_cli.training.optimization.averaging import WeightAverage
from nmt_cli.training.optimization.freezing import freeze
from nmt_cli.training.optimization.optimizer import build_optimizer
from nmt_cli.training.optimization.schedule import learning_rate
from nmt_cli.training.parallel import Ranks, fill, share_like, shared, whole, whole_weights
from nmt_cli.training.progress import Progress

_WEIGHT = "weight/"
"""Marks the weights that learn, where a checkpoint's model is their running mean."""


class Learner:
    """One rank's part of what learns."""

    def __init__(
        self, objective: CrossEntropy, width: int, settings: Training, device: torch.device, ranks: Ranks
    ) -> None:
        self.settings, self.device, self.ranks = settings, device, ranks
        self.width = width
        self.objective = objective.to(device).train()
        self.model = objective.model
        freeze(self.model, settings.freeze)
        self.shared = shared(self.objective, settings.parallel, ranks, device)
        """The objective as it must be called to learn from it."""
        self.optimizers = build_optimizer(settings.optimizer, self.model)
        self._average = None if settings.ema_decay is None else WeightAverage(self.model, settings.ema_decay)
        self.progress = Progress()
        self.fits: int | None = None
        """Most padded target tokens that memory holds at once, once it has refused more."""
        self.may_try_again = True
        """Whether this rank can begin its part of an update anew, should memory not suffice."""

    def rate(self) -> float:
        """The learning rate of the coming update."""
        settings, step = self.settings, self.progress.step + 1
        done = replace(self.progress, step=step).share(settings.limits)
        peak = settings.optimizer.learning_rate
        return self.progress.rate_factor * learning_rate(settings.schedule, peak, step, done, self.width)

    def learn(self, rate: float) -> None:
        """Change the weights by their gradients: one update."""
        self.optimizers.set_rate(rate)
        self.optimizers.step()
        self.progress.step += 1
        if self._average is not None:
            self._average.update(self.progress.step)

    def weights(self) -> dict[str, Tensor]:
        """The weights to translate with, whole, on the CPU; all ranks must ask for them."""
        found = dict(self.model.named_parameters()) | (self._average.tensors() if self._average else {})
        return {name: whole(weight) for name, weight in found.items()}

    def memory(self) -> dict[str, Tensor]:
        """What else is needed to go on learning, whole, on the CPU; all ranks must ask for it."""
        found = self.optimizers.tensors()
        if self._average is not None:
            found |= {_WEIGHT + name: weight for name, weight in self.model.named_parameters()}
        # In one order on all ranks, as each share is gathered from all.
        return {key: whole(found[key]) for key in sorted(found)}

    def restore(self, weights: Mapping[str, Tensor], memory: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Be again what gave these weights, this memory and this `Progress.as_state`.

        With no memory, it is as if these weights were its first.
        """
        try:
            self.progress = Progress.from_state(state)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"this is not the state of a training: {error}") from error
        own = dict(self.model.named_parameters())
        for name, weight in own.items():
            fill(weight, memory.get(_WEIGHT + name, weights[name]))
        if self._average is not None:
            self._average.load(weights)
        remembered = {key: value for key, value in memory.items() if not key.startswith(_WEIGHT)}
        self.optimizers.load(
            {key: share_like(own.get(key.partition("/")[2]), value) for key, value in remembered.items()}
        )

    @contextmanager
    def evaluating(self) -> Iterator[TranslationModel]:
        """The model and its objective, whole on this rank and without dropout; they train again afterwards."""
        try:
            with self._average.swapped() if self._average else nullcontext(), whole_weights(self.shared):
                self.objective.eval()
                yield self.model
        finally:
            self.objective.train()
