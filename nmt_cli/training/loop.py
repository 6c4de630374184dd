"""The training loop: `train_steps` makes updates, `train` decides when to log, validate, save and stop."""

import math
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from nmt_cli.data.prepared import Prepared
from nmt_cli.devices import autocast, is_out_of_memory, release_freed_memory, seed_generators
from nmt_cli.errors import DivergedError, ResourceError
from nmt_cli.training.data_iterator import UpdateBatches
from nmt_cli.training.distributed import Distributed, full_tensor, gradient_sync
from nmt_cli.training.train_state import TrainState, UpdateStats, record_validation, stop_reason
from nmt_cli.training.trainer import Checkpointer, Trainer
from nmt_cli.training.training_log import TrainingLog
from nmt_cli.training.validation import ValidationDecoder, validate


def train_steps(trainer: Trainer, updates: Iterator[UpdateBatches], seed: int) -> Iterator[UpdateStats]:
    """Make one optimizer update per element of `updates` and yield its statistics.

    The gradient is that of the mean loss per target token of the whole update, independent of batch boundaries and
    ranks. An update with a non-finite gradient is skipped on all ranks; it is yielded with `is_skipped`.

    Raises:
        DivergedError: More than `divergence.max_skipped` updates in a row were skipped.
    """
    settings = trainer.settings
    parameters = [parameter for parameter in trainer.model.parameters() if parameter.requires_grad]
    num_skipped = 0
    while True:
        requested = time.perf_counter()
        batches = next(updates)
        data_wait = time.perf_counter() - requested
        loss = _forward_backward_with_retry(trainer, batches, seed)
        norm = float(full_tensor(nn.utils.clip_grad_norm_(parameters, settings.clip_norm or math.inf)))
        state = trainer.state
        state.data = batches.data_state
        rate = trainer.learning_rate()
        pair_ids = [int(pair) for each in batches.micro_batches for pair in each.batch.pair_ids[:3]]
        stats = UpdateStats(loss, batches.target_tokens, norm, rate, data_wait, pair_ids)
        num_skipped = num_skipped + 1 if stats.is_skipped else 0
        if not num_skipped:
            trainer.step(rate)
            state.add_exposure(batches.target_tokens, batches.exposure)
        trainer.optimizers.zero_grad()
        yield stats
        if num_skipped > settings.divergence.max_skipped:
            raise DivergedError(f"update {state.num_updates + 1}: {num_skipped} gradients in a row are not finite")


def _forward_backward_with_retry(trainer: Trainer, batches: UpdateBatches, seed: int) -> Tensor:
    """Compute the gradient of an update; return its loss, summed over this rank's tokens.

    If memory runs out, repeat the update in smaller batches.
    """
    while True:
        try:
            return _forward_backward(trainer, batches, seed)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            largest = max(each.batch.padded_tokens for each in batches.micro_batches)
            tried = min(largest, trainer.max_tokens_that_fit or largest)
            longest = max(each.batch.decoder_input.size(1) for each in batches.micro_batches)
            if tried <= longest or not trainer.can_retry:
                raise ResourceError(
                    f"out of memory with {tried:,} target tokens at once; lower training.batch_tokens"
                    " (training is saved up to the last checkpoint: rerun the same command to resume)"
                ) from error
        # Outside `except`: the traceback of the error would keep the tensors that filled the memory.
        trainer.max_tokens_that_fit = tried // 2
        trainer.optimizers.zero_grad()
        if trainer.device.type == "cuda":
            torch.cuda.empty_cache()
        else:
            release_freed_memory()


def _forward_backward(trainer: Trainer, batches: UpdateBatches, seed: int) -> Tensor:
    settings, distributed, update = trainer.settings, trainer.distributed, trainer.state.num_updates
    total = torch.zeros((), dtype=torch.float64, device=trainer.device)
    scale = distributed.world_size / batches.target_tokens  # gradients are averaged over ranks
    # After ranks have exchanged gradients, or shards of parameters, a single rank cannot start again.
    trainer.can_retry = distributed.world_size == 1 or settings.parallel.type == "ddp"
    trainer.objective.num_updates = update
    trainer.objective.fraction_done = trainer.state.fraction_done(settings.limits)
    for micro_batch in batches.micro_batches:
        limit = trainer.max_tokens_that_fit
        pieces = micro_batch.batch.split(limit) if limit else [micro_batch.batch]
        seed_generators(trainer.device, _batch_seed(seed, update, micro_batch.index))
        weight = 0.0 if micro_batch.is_dummy else 1.0
        for piece in pieces:
            is_last = micro_batch is batches.micro_batches[-1] and piece is pieces[-1]
            with gradient_sync(trainer.parallel_objective, is_last):
                with autocast(trainer.device, settings.precision):
                    loss, *_ = trainer.parallel_objective(piece.to(trainer.device))
                trainer.can_retry &= distributed.world_size == 1 or not is_last
                (loss * (weight * scale)).backward()
            total += loss.detach() * weight
    return total


def _batch_seed(seed: int, update: int, index: int) -> int:
    """Return the seed of all random draws for one batch, which is the same on any rank and after any restart."""
    return int(np.random.SeedSequence([seed, update, index]).generate_state(1, np.uint64)[0])


def train(
    steps: Iterator[UpdateStats],
    trainer: Trainer,
    log: TrainingLog,
    checkpointer: Checkpointer,
    prepared: Prepared,
    decoder: ValidationDecoder,
    is_stop_requested: Callable[[], bool],
) -> bool:
    """Train until a limit, early stopping or a stop request; return whether training is finished.

    A checkpoint is saved after each validation, at the end, and before stopping.
    """
    settings, state = trainer.settings, trainer.state
    if stop_reason(settings, state):
        return True
    ranks = _RankSync(state, trainer.distributed)
    with log.progress_bar:
        for stats in steps:
            is_stopping = ranks.sync(is_stop_requested())
            log.add(stats)
            is_over = state.fraction_done(settings.limits) >= 1
            is_validating = not stats.is_skipped and (is_over or state.num_updates % settings.validation.every == 0)
            if is_validating:
                scores = validate(trainer, prepared, decoder)
                record_validation(settings, state, scores)
                log.add_validation(scores)
                is_stopping = ranks.sync(is_stop_requested())
            every = settings.checkpoints.every
            if is_validating or is_stopping or (every and state.num_updates % every == 0 and not stats.is_skipped):
                checkpointer.save()
            if stop_reason(settings, state):
                return True
            if is_stopping:
                return False
    raise AssertionError("the data iterator never ends")


class _RankSync:
    """Shares the training time of the primary rank, and a stop request to any rank, with all ranks."""

    def __init__(self, state: TrainState, distributed: Distributed) -> None:
        self._state, self._distributed = state, distributed
        self._last_sync = time.monotonic()

    def sync(self, is_stop_requested: bool) -> bool:
        """Add the time since the last call to the training time; return whether any rank was asked to stop."""
        now = time.monotonic()
        passed = now - self._last_sync if self._distributed.is_primary else 0.0
        seconds, num_requests = self._distributed.all_reduce_sum(passed, is_stop_requested)
        self._last_sync = now
        self._state.seconds += seconds
        return num_requests > 0
