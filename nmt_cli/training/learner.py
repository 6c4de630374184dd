"""What learns: a model in its objective, its optimizer and its progress; what can be saved and restored."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nmt_cli.errors import ModelError
from nmt_cli.models.contract import TranslationModel
from nmt_cli.recipe.training import Training
from nmt_cli.training.objectives.cross_entropy import CrossEntropy
from nmt_cli.training.optimizer import build_optimizer, load_optimizer, optimizer_tensors
from nmt_cli.training.parallel import Ranks, fill, shared, whole, whole_weights
from nmt_cli.training.progress import Progress


class Learner:
    """One rank's part of what learns."""

    def __init__(self, model: TranslationModel, settings: Training, device: torch.device, ranks: Ranks) -> None:
        self.settings, self.device, self.ranks = settings, device, ranks
        self.model = model.to(device)
        self.objective: nn.Module = CrossEntropy(self.model, settings.label_smoothing).train()
        self.shared = shared(self.objective, settings.parallel, ranks, device)
        """The objective as it must be called to learn from it."""
        self.optimizer = build_optimizer(settings.optimizer, self.model)
        self.progress = Progress()
        self.fits: int | None = None
        """Most padded target tokens that memory holds at once, once it has refused more."""
        self.may_try_again = True
        """Whether this rank can begin its part of an update anew, should memory not suffice."""

    def weights(self) -> dict[str, Tensor]:
        """The model's weights, whole, on the CPU; all ranks must ask for them."""
        return {name: whole(weight) for name, weight in self.model.named_parameters()}

    def memory(self) -> dict[str, Tensor]:
        """What the optimizer remembers, whole, on the CPU; all ranks must ask for it."""
        return {key: whole(value) for key, value in optimizer_tensors(self.optimizer, self.model).items()}

    def restore(self, weights: Mapping[str, Tensor], memory: dict[str, Tensor], state: Mapping[str, Any]) -> None:
        """Be again what gave these weights, this memory and this `Progress.as_state`."""
        try:
            self.progress = Progress.from_state(state)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"this is not the state of a training: {error}") from error
        for name, weight in self.model.named_parameters():
            fill(weight, weights[name])
        load_optimizer(self.optimizer, self.model, memory)

    @contextmanager
    def evaluating(self) -> Iterator[TranslationModel]:
        """The model and its objective, whole on this rank and without dropout; they train again afterwards."""
        try:
            with whole_weights(self.shared):
                self.objective.eval()
                yield self.model
        finally:
            self.objective.train()
