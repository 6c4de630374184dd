"""The training loop: `updates` learns, `train` decides when to log, validate, save and stop."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nmt_cli.devices import arithmetic, is_out_of_memory, seed_draws
from nmt_cli.errors import DivergedError, ResourceError
from nmt_cli.training.feed import Portion
from nmt_cli.training.learner import Learner
from nmt_cli.training.parallel import Ranks, sharing, whole
from nmt_cli.training.progress import Progress, Scores, Update, finished, record_validation
from nmt_cli.training.report import Report


def updates(learner: Learner, portions: Iterator[Portion], seed: int) -> Iterator[Update]:
    """Learn from one portion after another; the learner's progress stands after the update that was just yielded.

    The gradient is that of the mean loss per target token of the whole update, however its batches were cut and shared
    out to ranks. An update whose gradient is not finite is skipped on all ranks alike; DivergedError if too many are.
    """
    settings, progress = learner.settings, learner.progress
    weights = [weight for weight in learner.model.parameters() if weight.requires_grad]
    skipped = 0
    while True:
        asked = time.perf_counter()
        portion = next(portions)
        waited = time.perf_counter() - asked
        loss = _gradient(learner, portion, seed)
        norm = float(whole(nn.utils.clip_grad_norm_(weights, settings.clip_norm or math.inf)))
        progress.epoch, progress.block, progress.used = portion.epoch, portion.block, portion.used
        progress.cut, progress.epochs = portion.cut, portion.epochs
        rate = learner.rate()
        pairs = [int(pair) for part in portion.parts for pair in part.batch.pairs[:3]]
        update = Update(loss, portion.target_tokens, norm, rate, waited, pairs)
        skipped = skipped + 1 if update.is_skipped else 0
        if not skipped:
            learner.learn(rate)
            progress.add(portion.target_tokens, portion.mixture)
        learner.optimizers.zero_grad()
        yield update
        if skipped > settings.divergence.skips:
            raise DivergedError(f"update {progress.step + 1}: {skipped} gradients in a row are not finite")


def _gradient(learner: Learner, portion: Portion, seed: int) -> Tensor:
    """Leave the gradient of a portion in the weights; its loss, summed over this rank's tokens.

    Where memory does not hold a batch, all is done again in smaller pieces.
    """
    while True:
        try:
            return _accumulate(learner, portion, seed)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            largest = max(part.batch.padded_tokens for part in portion.parts)
            tried = min(largest, learner.fits or largest)
            longest = max(part.batch.target_in.size(1) for part in portion.parts)
            if tried <= longest or not learner.may_try_again:
                raise ResourceError(
                    f"out of memory with {tried:,} target tokens at once; lower training.batch_tokens"
                    " (what is trained so far is saved: the same command goes on)"
                ) from error
        # Outside `except`: the error's traceback would keep what filled the memory.
        learner.fits = tried // 2
        learner.optimizers.zero_grad()
        if learner.device.type == "cuda":
            torch.cuda.empty_cache()


def _accumulate(learner: Learner, portion: Portion, seed: int) -> Tensor:
    settings, total = learner.settings, torch.zeros((), device=learner.device)
    scale = learner.ranks.count / portion.target_tokens  # the ranks' gradients will be averaged
    # Once ranks exchange gradients, or shares of weights, none of them can begin again by itself.
    learner.may_try_again = learner.ranks.count == 1 or settings.parallel.type == "ddp"
    learner.objective.step = learner.progress.step
    for part in portion.parts:
        pieces = part.batch.pieces(learner.fits) if learner.fits else [part.batch]
        seed_draws(learner.device, _draws(seed, learner.progress.step, part.number))
        for piece in pieces:
            is_last = part is portion.parts[-1] and piece is pieces[-1]
            with sharing(learner.shared, is_last):
                with arithmetic(learner.device, settings.precision):
                    loss, _ = learner.shared(piece.to(learner.device))
                learner.may_try_again &= learner.ranks.count == 1 or not is_last
                (loss * (part.weight * scale)).backward()
            total += loss.detach() * part.weight
    return total


def _draws(seed: int, step: int, number: int) -> int:
    """The seed of all random draws for one batch of one update: the same on whatever rank, after whatever restart."""
    return int(np.random.SeedSequence([seed, step, number]).generate_state(1, np.uint64)[0])


@dataclass(frozen=True)
class Hooks:
    """What the loop asks of the rest of the house."""

    validate: Callable[[], Mapping[str, Scores]]
    """Scores of each validation set; the first one decides what is best."""
    save: Callable[[], None]
    """Save a checkpoint and drop those no longer kept."""
    stopping: Callable[[], bool]
    """Whether this process was asked to stop."""


def train(steps: Iterator[Update], learner: Learner, report: Report, hooks: Hooks) -> bool:
    """Run until a limit, early stopping or a signal; True if training is finished, False if it was stopped.

    A checkpoint is saved after each validation, at the end, and when stopped.
    """
    settings, progress = learner.settings, learner.progress
    if finished(settings, progress):
        return True
    clock = _Clock(progress, learner.ranks)
    with report.bar:
        for update in steps:
            stopping = clock.tick(hooks.stopping())
            report.add(update)
            over = progress.share(settings.limits) >= 1
            validating = not update.is_skipped and (over or progress.step % settings.validation.every == 0)
            if validating:
                scores = hooks.validate()
                record_validation(settings, progress, scores)
                report.validated(scores)
                stopping = clock.tick(hooks.stopping())
            every = settings.checkpoints.every
            if validating or stopping or (every and progress.step % every == 0 and not update.is_skipped):
                hooks.save()
            if finished(settings, progress):
                return True
            if stopping:
                return False
    raise AssertionError("the feed never ends")


class _Clock:
    """Counts the training's time, that of the first rank, and lets one rank's wish to stop reach all."""

    def __init__(self, progress: Progress, ranks: Ranks) -> None:
        self._progress, self._ranks = progress, ranks
        self._counted = time.monotonic()

    def tick(self, stopping: bool) -> bool:
        """Add the time since the last tick to the total; whether any rank is to stop."""
        now = time.monotonic()
        passed = now - self._counted if self._ranks.is_first else 0.0
        seconds, wishes = self._ranks.sum(passed, stopping)
        self._counted = now
        self._progress.seconds += seconds
        return wishes > 0
