"""Saves a training run: checkpoints, pointers to the best and the last one, journal and summary."""

import torch

from nmt_cli import files
from nmt_cli.errors import DivergedError, ResourceError
from nmt_cli.runs import checkpoints
from nmt_cli.runs.directory import RunDirectory
from nmt_cli.runs.journal import Journal, update_summary
from nmt_cli.training.trainer import Trainer


class Checkpointer:
    """Keeps the run directory in agreement with a trainer. All ranks must call it alike; the primary rank writes."""

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
