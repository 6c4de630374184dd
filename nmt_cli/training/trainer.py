"""The trainer: a model in its objective, its optimizers and its state, and how they are saved and restored."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nmt_cli import files
from nmt_cli.errors import DivergedError, ModelError, ResourceError
from nmt_cli.models.contract import Model
from nmt_cli.recipe.training import Training
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import Journal, update_summary
from nmt_cli.training.distributed import Distributed, full_tensor, load_into, parallelize, shard_like, unsharded_weights
from nmt_cli.training.objectives import Objective
from nmt_cli.training.optimization.ema import ExponentialMovingAverage, replaced_parameters
from nmt_cli.training.optimization.optimizer import build_optimizer, freeze
from nmt_cli.training.optimization.schedule import learning_rate
from nmt_cli.training.train_state import TrainState

_PARAMETER_PREFIX = "parameter/"
"""With a moving average, a checkpoint's model is the average, and the trained parameters are in the optimizer state,
with this prefix."""


class Trainer:
    """One rank's model, objective, optimizers and state."""

    def __init__(
        self, objective: Objective, width: int, settings: Training, device: torch.device, distributed: Distributed
    ) -> None:
        self.settings, self.device, self.distributed = settings, device, distributed
        self.width = width
        """Model width; peak learning rates may depend on it."""
        self.objective = objective.to(device).train()
        self.model = objective.model
        freeze(self.model, settings.freeze)
        self.parallel_objective = parallelize(self.objective, settings.parallel, distributed, device)
        """The objective as it must be called for training."""
        self.optimizers = build_optimizer(settings.optimizer, self.model, settings.learning_rate_factors)
        self._ema = None if settings.ema_decay is None else ExponentialMovingAverage(self.model, settings.ema_decay)
        self.state = TrainState()
        self.max_tokens_that_fit: int | None = None
        """Maximum padded target tokens that fit into memory at once; None until memory has run out."""
        self.can_retry = True
        """Whether this rank can restart its part of an update if memory runs out."""

    def learning_rate(self) -> float:
        """Return the learning rate of the next update."""
        settings, update = self.settings, self.state.num_updates + 1
        fraction_done = replace(self.state, num_updates=update).fraction_done(settings.limits)
        peak = settings.optimizer.learning_rate
        return self.state.lr_scale * learning_rate(settings.schedule, peak, update, fraction_done, self.width)

    def step(self, rate: float) -> None:
        """Update the parameters by their gradients."""
        self.optimizers.set_learning_rate(rate)
        self.optimizers.step()
        self.state.num_updates += 1
        if self._ema is not None:
            self._ema.update(self.state.num_updates)

    def model_state(self) -> dict[str, Tensor]:
        """Return the parameters to translate with, in full and on the CPU. All ranks must call this."""
        tensors = dict(self.model.named_parameters()) | (self._ema.state_dict() if self._ema else {})
        return {name: full_tensor(tensor) for name, tensor in tensors.items()}

    def optimizer_state(self) -> dict[str, Tensor]:
        """Return everything else that resuming needs, in full and on the CPU. All ranks must call this."""
        tensors = self.optimizers.state_dict()
        if self._ema is not None:
            trained = ((name, each) for name, each in self.model.named_parameters() if each.requires_grad)
            tensors |= {_PARAMETER_PREFIX + name: parameter for name, parameter in trained}
        # Sorted: gathering a sharded tensor is collective, so that all ranks must do it in the same order.
        return {key: full_tensor(tensors[key]) for key in sorted(tensors)}

    def load_state(
        self, model_state: Mapping[str, Tensor], optimizer_state: Mapping[str, Tensor], train_state: Mapping[str, Any]
    ) -> None:
        """Resume from `model_state()`, `optimizer_state()` and `TrainState.state_dict()`.

        With an empty optimizer state, training starts from the given parameters.
        """
        try:
            self.state = TrainState.from_state_dict(train_state)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"this is not a training state: {error}") from error
        parameters = dict(self.model.named_parameters())
        for name, parameter in parameters.items():
            load_into(parameter, optimizer_state.get(_PARAMETER_PREFIX + name, model_state[name]))
        if self._ema is not None:
            self._ema.load_state_dict(model_state)
        # The other keys are STATE/PARAMETER.
        self.optimizers.load_state_dict(
            {
                key: shard_like(parameters.get(key.partition("/")[2]), value)
                for key, value in optimizer_state.items()
                if not key.startswith(_PARAMETER_PREFIX)
            }
        )

    @contextmanager
    def evaluating(self, weights: Mapping[str, Tensor] | None = None) -> Iterator[Model]:
        """Switch model and objective to evaluation within the context: averaged, unsharded and without dropout.

        `weights` replace the parameters and their moving average.
        """
        if weights is None:
            weights = self._ema.state_dict() if self._ema else {}
        try:
            with replaced_parameters(self.model, weights), unsharded_weights(self.parallel_objective):
                self.objective.eval()
                yield self.model
        finally:
            self.objective.train()


class Checkpointer:
    """Keeps the run directory in agreement with a trainer.

    Every rank must make the same calls; only the primary rank writes.
    """

    def __init__(self, run: RunDirectory, trainer: Trainer, journal: Journal) -> None:
        self._run, self._trainer, self._journal = run, trainer, journal

    def save(self) -> None:
        """Save a checkpoint and remove those that are no longer kept.

        Raises:
            DivergedError: A parameter or the optimizer state is not finite.
            ResourceError: The run directory is gone, or the disk is full.
        """
        run, state = self._run, self._trainer.state
        model_state, optimizer_state = self._trainer.model_state(), self._trainer.optimizer_state()
        tensors = (*model_state.values(), *optimizer_state.values())
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise DivergedError(f"update {state.num_updates:,}: some parameters are not finite")
        if not self._trainer.distributed.is_primary:
            return
        if not run.summary.is_file():
            raise ResourceError(f"{run.path}: was moved or removed; update {state.num_updates:,} could not be saved")
        checkpoints.save_checkpoint(run, state.num_updates, model_state, optimizer_state, state.state_dict())
        self._update_pointers()

    def sync_run_directory(self) -> None:
        """Remove everything after the trainer's update, which a kill or a rollback may have left behind."""
        num_updates = self._trainer.state.num_updates
        if not self._trainer.distributed.is_primary:
            return
        checkpoints.remove_checkpoints_after(self._run, num_updates)
        self._journal.rewind(num_updates)
        if num_updates:
            self._update_pointers()

    def _update_pointers(self) -> None:
        """Update pointers and summary for the newest checkpoint, and remove checkpoints that are no longer kept."""
        run, state = self._run, self._trainer.state
        best = [update for _, update in state.best]
        files.write_json(run.pointer("last"), {"update": state.num_updates})
        if best:
            files.write_json(run.pointer("best"), {"update": best[0], "score": state.best[0][0]})
        else:
            files.remove(run.pointer("best"))
        last = run.saved_updates()[-self._trainer.settings.checkpoints.keep_last :]
        checkpoints.prune_checkpoints(run, {*last, *best})
        update_summary(run, update=state.num_updates, best=[list(entry) for entry in state.best])
