"""The training loop: `updates` learns, `train` decides when to log, validate, save and stop."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nmt_cli import console
from nmt_cli.devices import arithmetic
from nmt_cli.errors import DivergedError
from nmt_cli.recipe.training import Limits, Training
from nmt_cli.runs.journal import Journal
from nmt_cli.training.feed import Portion
from nmt_cli.training.optimizer import Optimizers
from nmt_cli.training.schedule import after_validation, learning_rate

Scores = Mapping[str, float]
"""Loss, BLEU, chrF of one validation set."""


@dataclass
class Progress:
    """All that must survive a restart besides weights, optimizer and random state."""

    step: int = 0
    epoch: int = 0
    used: int = 0
    """Batches of this epoch already learned from."""
    epochs: float = 0.0
    target_tokens: int = 0
    seconds: float = 0.0
    """Time spent in training, validations included, over all starts."""
    best: list[tuple[float, int]] = field(default_factory=list)
    """Score and update of the best validations, best first."""
    stale: int = 0
    """Validations since the last best one."""
    rate_factor: float = 1.0
    """What the schedule's learning rate is multiplied by."""

    def as_state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Progress":
        """What `as_state` gave."""
        return cls(**{**state, "best": [(score, step) for score, step in state["best"]]})


@dataclass(frozen=True)
class Update:
    """What one update did."""

    loss: Tensor
    """Sum over its tokens, in nats."""
    tokens: int
    gradient_norm: float
    learning_rate: float


def updates(
    objective: nn.Module,
    optimizers: Optimizers,
    portions: Iterable[Portion],
    settings: Training,
    progress: Progress,
    device: torch.device,
    width: int,
) -> Iterator[Update]:
    """Learn from one portion after another; `progress` stands after the update that was just yielded.

    The gradient is that of the mean loss per target token of the whole update, however its batches
    were cut. A loss or gradient that is not finite raises DivergedError before it reaches a weight.
    """
    weights = list(objective.parameters())
    clip_norm = settings.clip_norm or math.inf
    for portion in portions:
        tokens = portion.target_tokens
        total = torch.zeros((), device=device)
        for batch in portion.batches:
            with arithmetic(device, settings.precision):
                loss, _ = objective(batch.to(device))
            (loss / tokens).backward()
            total += loss.detach()
        norm = float(nn.utils.clip_grad_norm_(weights, clip_norm))
        if not math.isfinite(norm):
            pairs = ", ".join(str(pair) for batch in portion.batches for pair in batch.pairs[:3])
            raise DivergedError(
                f"update {progress.step + 1}: the gradient is not finite (pairs {pairs}, …);"
                " lower training.optimizer.learning_rate or lengthen training.schedule.warmup"
            )
        step = progress.step + 1
        done = _share_done(settings.limits, step, portion.epochs)
        peak = settings.optimizer.learning_rate
        rate = progress.rate_factor * learning_rate(settings.schedule, peak, step, done, width)
        optimizers.set_rate(rate)
        optimizers.step()
        optimizers.zero_grad()
        progress.step += 1
        progress.epoch, progress.used, progress.epochs = portion.epoch, portion.used, portion.epochs
        progress.target_tokens += tokens
        yield Update(total, tokens, norm, rate)


@dataclass(frozen=True)
class Hooks:
    """What the loop asks of the rest of the house."""

    validate: Callable[[], Mapping[str, Scores]]
    """Scores of each validation set; the first one decides what is best."""
    save: Callable[[Progress], None]
    """Save a checkpoint and drop those no longer kept."""
    stopping: Callable[[], bool]
    """Whether a signal asked to stop."""


def train(steps: Iterator[Update], settings: Training, progress: Progress, journal: Journal, hooks: Hooks) -> bool:
    """Run until a limit, early stopping or a signal; True if training is finished, False if it was stopped.

    A checkpoint is saved after each validation, at the end, and when stopped.
    """
    if finished(settings, progress):
        return True
    report = _Report(settings, progress, journal)
    with report.bar:
        for update in steps:
            report.add(update)
            done = _limit_reached(settings.limits, progress)
            validating = done or progress.step % settings.validation.every == 0
            if validating:
                report.validated(record_validation(settings, progress, hooks.validate()))
            stopping = hooks.stopping()
            every = settings.checkpoints.every
            if validating or stopping or (every and progress.step % every == 0):
                report.count_time()
                hooks.save(progress)
            if finished(settings, progress):
                return True
            if stopping:
                return False
    raise AssertionError("the feed never ends")


def finished(settings: Training, progress: Progress) -> str:
    """Why training is over, or an empty string."""
    if _limit_reached(settings.limits, progress):
        return f"the limit of {progress.step:,} updates or {progress.epochs:.1f} epochs is reached"
    patience = settings.validation.patience
    if patience is not None and progress.stale >= patience:
        return f"{settings.validation.metric} has not improved in {progress.stale} validations"
    return ""


def record_validation(settings: Training, progress: Progress, scores: Mapping[str, Scores]) -> Mapping[str, Scores]:
    """Rank this update among the best by the first set's score; a score that is no number is never best."""
    metric = settings.validation.metric
    score = next(iter(scores.values()))[metric]
    sign = -1.0 if metric == "loss" else 1.0
    improved = math.isfinite(score) and (not progress.best or sign * score > sign * progress.best[0][0])
    progress.stale = 0 if improved else progress.stale + 1
    progress.rate_factor = after_validation(settings.schedule, progress.stale, progress.rate_factor)
    if math.isfinite(score):
        ranked = sorted([*progress.best, (score, progress.step)], key=lambda entry: (-sign * entry[0], entry[1]))
        progress.best = ranked[: settings.checkpoints.keep_best]
    return scores


def _limit_reached(limits: Limits, progress: Progress) -> bool:
    return _share_done(limits, progress.step, progress.epochs) >= 1


def _share_done(limits: Limits, step: int, epochs: float) -> float:
    """How much of the training is over, in [0,1], by whichever limit comes first."""
    return min(max(step / limits.updates, epochs / limits.epochs if limits.epochs is not None else 0.0), 1.0)


class _Report:
    """Tells the journal and the terminal how training goes."""

    def __init__(self, settings: Training, progress: Progress, journal: Journal) -> None:
        self._settings, self._progress, self._journal = settings, progress, journal
        self.bar = console.Progress("training", "updates", settings.limits.updates, progress.step, plain_lines=False)
        self._losses: list[Tensor] = []
        self._tokens = 0
        self._counted = self._since = time.monotonic()

    def count_time(self) -> None:
        """Add the time since last asked to the training's total."""
        now = time.monotonic()
        self._progress.seconds += now - self._counted
        self._counted = now

    def add(self, update: Update) -> None:
        """Count an update, and report when it is time."""
        self._losses.append(update.loss)
        self._tokens += update.tokens
        progress = self._progress
        facts: dict[str, str] = {}
        if progress.step % self._settings.logging.every == 0:
            loss = float(torch.stack(self._losses).sum()) / self._tokens
            speed = self._tokens / (time.monotonic() - self._since)
            facts = {"loss": f"{loss:.3f}", "tokens/s": f"{speed:,.0f}", "epoch": f"{progress.epochs:.1f}"}
            self._record(
                "train",
                loss=loss,
                learning_rate=update.learning_rate,
                gradient_norm=update.gradient_norm,
                target_tokens_per_second=speed,
            )
            self._start_anew()
        self.bar.advance(facts=facts)
        if facts and not self.bar.on_terminal:
            left = self.bar.time_left()
            console.say(
                f"update {progress.step:,}  epoch {facts['epoch']}  loss {facts['loss']}"
                f"  {facts['tokens/s']} tokens/s" + (f"  {left} left" if left else "")
            )

    def validated(self, scores: Mapping[str, Scores]) -> None:
        """Report the scores of all validation sets."""
        progress = self._progress
        for name, values in scores.items():
            self._record("valid", set=name, stale=progress.stale, **values)
            shown = "  ".join(f"{metric} {value:.3f}" for metric, value in values.items())
            console.say(f"update {progress.step:,}  {name}: {shown}" + ("" if progress.stale else "  (best so far)"))
        self._start_anew()

    def _record(self, kind: str, **values: Any) -> None:
        progress = self._progress
        self._journal.write(kind, progress.step, progress.epochs, progress.target_tokens, **values)

    def _start_anew(self) -> None:
        """Begin a new stretch of updates; a validation in between must not count as slow training."""
        self._losses, self._tokens, self._since = [], 0, time.monotonic()
