"""Checks early in training whether it develops as healthy runs do, and names the likely cause if not."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nmt_cli.data.batches import Batch
from nmt_cli.devices import autocast
from nmt_cli.training.data_iterator import UpdateBatches
from nmt_cli.training.train_state import UpdateStats
from nmt_cli.training.trainer import Trainer

CHECKED_UPDATES = (100, 500)
"""Updates after which training is checked."""
_WINDOW = 10
"""Updates over which the training loss is averaged, at the start and at the check."""
_NUM_BATCHES = 16
"""Latest batches on which the model is measured."""
_MAX_LOSS_INCREASE = 1.0
"""Nats above the first loss, which no healthy run exceeds."""
_MIN_GAIN = 0.1
"""Nats below the unigram entropy; less may be due to chance and the choice of batches."""
_FLUENT_GAIN = 0.5
"""Nats below the unigram entropy; more means that the decoder has learned which word follows which."""
_MIN_SOURCE_GAIN = 0.02
"""Nats lost with a wrong source; less means that the model has learned nothing from sources."""
_VERY_HIGH_LR, _HIGH_LR, _LOW_LR = 3.0, 1.0, 0.01
"""Peak learning rate times model width. 0.2 to 0.5 is usual for models of all sizes."""
_LR_TOO_HIGH = (
    "the learning rate is most likely too high;"
    " lower training.optimizer.learning_rate, or lengthen training.schedule.warmup"
)
_MAX_UNUSED_VOCABULARY = 0.8
"""Fraction of the target vocabulary. In a joint one, at most half belongs to the source language alone."""
_MIN_LR_SUM = 50.0
"""Sum of all learning rates so far, times width, after which a healthy run is far below the unigram entropy."""


@dataclass(frozen=True)
class Measurements:
    """What is measured of a training run. Losses are in nats per target token."""

    update: int
    first_loss: float | None
    """Training loss of the first updates, with label smoothing; None if they were made before a restart."""
    last_loss: float
    """Training loss of the latest updates, with label smoothing."""
    loss: float
    """Of the model on the latest batches, without label smoothing and dropout. NaN if it could not be measured."""
    wrong_source_loss: float
    """The same with each source replaced by another one of the same length."""
    entropy: float
    """Of the unigram distribution of target tokens: the loss of a model that knows token frequencies only."""
    uniform: float
    """Logarithm of the vocabulary size: the loss of a model that knows nothing."""
    unused_vocabulary: float
    """Fraction of the target vocabulary that has not occurred yet."""
    max_lr: float
    """Highest learning rate so far."""
    peak_lr: float
    """Highest learning rate of the whole schedule."""
    width: int
    """Model width; 0 for optimizers that choose their own step size."""
    lr_sum: float
    """Sum of all learning rates so far, times width."""


@dataclass(frozen=True)
class Diagnosis:
    """Why a training run does not look healthy."""

    cause: str
    """Short name for the journal."""
    message: str
    """Observation, likely cause and remedy."""


class TrainingMonitor:
    """Watches the first updates of a training run and diagnoses it after some of them."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._token_counts = torch.zeros(trainer.model.vocabulary.target_size, dtype=torch.int64)
        self._batches: deque[Batch] = deque(maxlen=_NUM_BATCHES)
        self._first_losses: list[Tensor] = []
        self._last_losses: deque[Tensor] = deque(maxlen=_WINDOW)
        self._rates: list[float] = []

    def watch(self, updates: Iterator[UpdateBatches]) -> Iterator[UpdateBatches]:
        """Yield the same batches; count their tokens as long as a check is still to come."""
        for update in updates:
            if self._trainer.state.num_updates < CHECKED_UPDATES[-1]:
                for each in (each for each in update.micro_batches if not each.is_dummy):
                    counts = torch.bincount(each.batch.labels, minlength=len(self._token_counts))
                    self._token_counts += counts[: len(self._token_counts)]  # beyond: copied words
                    self._batches.append(each.batch)
            yield update

    def after(self, stats: UpdateStats) -> Diagnosis | None:
        """Return what is wrong after this update, if a check is due. All ranks must call this."""
        update = self._trainer.state.num_updates
        if update > CHECKED_UPDATES[-1]:
            return None
        self._rates.append(stats.learning_rate)
        self._last_losses.append(stats.loss / stats.tokens)
        if update <= _WINDOW:
            self._first_losses.append(stats.loss / stats.tokens)
        diagnosis = diagnose(self._measure()) if update in CHECKED_UPDATES else None
        if update == CHECKED_UPDATES[-1]:
            self._batches.clear()
        return diagnosis

    def _measure(self) -> Measurements:
        trainer, settings = self._trainer, self._trainer.settings
        width = trainer.width if settings.optimizer.lr_sets_step_size else 0
        peak = settings.schedule.peak_learning_rate(settings.optimizer.learning_rate, trainer.width)
        loss, wrong_source_loss = self._losses()
        used, total = self._token_counts[self._token_counts > 0], int(self._token_counts.sum())
        probs = used / total
        return Measurements(
            update=trainer.state.num_updates,
            first_loss=self._mean_over_updates(self._first_losses) if len(self._first_losses) == _WINDOW else None,
            last_loss=self._mean_over_updates(self._last_losses),
            loss=loss,
            wrong_source_loss=wrong_source_loss,
            # The second term corrects the bias of a small sample (Miller 1955).
            entropy=float(-(probs * probs.log()).sum()) + (len(used) - 1) / (2 * total),
            uniform=math.log(len(self._token_counts)),
            unused_vocabulary=float((self._token_counts == 0).float().mean()),
            max_lr=max(self._rates),
            peak_lr=peak * trainer.state.lr_scale,
            width=width,
            lr_sum=sum(self._rates) * width,
        )

    def _mean_over_updates(self, losses: Iterable[Tensor]) -> float:
        # Each rank's losses are already divided by the tokens of all ranks, so they add up.
        (summed,) = self._trainer.distributed.all_reduce_sum(float(torch.stack(list(losses)).mean()))
        return summed

    def _losses(self) -> tuple[float, float]:
        """Return the loss of the latest batches with right and with wrong sources; NaN if there is no other source."""
        trainer, right, wrong, tokens = self._trainer, 0.0, 0.0, 0
        with trainer.evaluating(), torch.no_grad(), autocast(trainer.device, trainer.settings.precision):
            for batch in self._batches:
                for piece in batch.split(trainer.max_tokens_that_fit or batch.padded_tokens):
                    if len(piece.source) > 1:
                        on_device = piece.to(trainer.device)
                        loss, count, _ = trainer.objective(on_device)
                        other, *_ = trainer.objective(replace(on_device, source=on_device.source.roll(1, 0)))
                        right, wrong, tokens = right + float(loss), wrong + float(other), tokens + count
        right, wrong, summed = trainer.distributed.all_reduce_sum(right, wrong, tokens)
        return (right / summed, wrong / summed) if summed else (math.nan, math.nan)


def diagnose(measured: Measurements) -> Diagnosis | None:
    """Return what is certainly wrong, if anything. Slow but healthy training is not reported."""
    first, last = measured.first_loss, measured.last_loss
    if first is not None and last > first + _MAX_LOSS_INCREASE:
        return Diagnosis("rate too high", f"the loss has risen from {first:.2f} to {last:.2f}: {_LR_TOO_HIGH}")
    gain = measured.entropy - measured.loss  # NaN if it could not be measured; then nothing is reported
    if gain < _MIN_GAIN:
        return _nothing_learned(measured)
    source_gain = measured.wrong_source_loss - measured.loss
    is_late = measured.update >= CHECKED_UPDATES[-1] and measured.lr_sum >= _MIN_LR_SUM
    if not (is_late and gain > _FLUENT_GAIN and source_gain < _MIN_SOURCE_GAIN):
        return None
    observation = "the model has learned the target language, but ignores the source"
    if measured.max_lr * measured.width > _HIGH_LR:
        return Diagnosis("rate too high", f"{observation}: {_LR_TOO_HIGH}")
    cause = "the two sides are most likely not aligned line by line; look at the text, or run `nmt check`"
    return Diagnosis("source unused", f"{observation}: {cause}")


def _nothing_learned(measured: Measurements) -> Diagnosis | None:
    """Return why a model is no better than one that knows token frequencies only."""
    loss, entropy, uniform = measured.loss, measured.entropy, measured.uniform
    width, peak = measured.width, measured.peak_lr
    observation = (
        f"the model has learned token frequencies only (loss without label smoothing {loss:.2f}; token frequencies"
        f" alone give {entropy:.2f}, a uniform distribution {uniform:.2f})"
    )
    if measured.max_lr * width > _VERY_HIGH_LR:
        return Diagnosis("rate too high", f"{observation}: {_LR_TOO_HIGH}")
    if loss > (entropy + uniform) / 2 and peak * width < _LOW_LR:
        cause = f"the learning rate ({peak:.1g} at most) is most likely too low for a new model"
        return Diagnosis("rate too low", f"{observation}: {cause}; about {0.3 / width:.0e} is usual for this width")
    if measured.update < CHECKED_UPDATES[-1] or measured.lr_sum < _MIN_LR_SUM:
        return None
    if measured.unused_vocabulary > _MAX_UNUSED_VOCABULARY:
        unused = f"{100 * measured.unused_vocabulary:.0f} % of the target vocabulary have not occurred yet"
        cause = f"{unused}, so it is most likely far too large"
        return Diagnosis("vocabulary too large", f"{observation}: {cause}; lower tokenizer.vocabulary_size")
    cause = "the learning rate may be too high, or the two sides may not be translations; `nmt check` checks both"
    return Diagnosis("nothing learned", f"{observation}: {cause}")
