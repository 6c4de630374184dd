"""How far training is, and whether it is over."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from nmt_cli.recipe.training import Limits, Training
from nmt_cli.training.optimization.schedule import after_validation

Scores = Mapping[str, float]
"""Loss, BLEU, chrF of one validation set."""


@dataclass(frozen=True)
class Learned:
    """How much was learned from a corpus; a pair that came twice counts twice."""

    pairs: int = 0
    target_tokens: int = 0


@dataclass
class Progress:
    """All that must survive a restart besides weights and optimizer.

    Random draws need no state: those of each batch follow from the seed, the update and the batch's number in it.
    """

    step: int = 0
    epoch: int = 0
    block: int = 0
    """Of the epoch: the part of it that is learned from."""
    used: int = 0
    """Batches of this block already learned from, all ranks together."""
    cut: int = 0
    """Tokens by which this block's batches are cut; 0 before the first."""
    epochs: float = 0.0
    target_tokens: int = 0
    mixture: dict[str, Learned] = field(default_factory=dict)
    """What was learned from each corpus so far."""
    seconds: float = 0.0
    """Time spent in training, validations included, over all starts."""
    best: list[tuple[float, int]] = field(default_factory=list)
    """Score and update of the best validations, best first."""
    stale: int = 0
    """Validations since the last best one."""
    rate_factor: float = 1.0
    """What the schedule's learning rate is multiplied by."""
    returns: int = 0
    """How often training went back after it had diverged."""

    def as_state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Progress":
        """What `as_state` gave."""
        best = [(score, step) for score, step in state["best"]]
        mixture = {name: Learned(**learned) for name, learned in state["mixture"].items()}
        return cls(**{**state, "best": best, "mixture": mixture})

    def add(self, target_tokens: int, mixture: "Mapping[str, Learned]") -> None:
        """Count what an update learned from."""
        self.target_tokens += target_tokens
        for name, learned in mixture.items():
            before = self.mixture.get(name, Learned())
            self.mixture[name] = Learned(before.pairs + learned.pairs, before.target_tokens + learned.target_tokens)

    def share(self, limits: Limits) -> float:
        """How much of the training is over, from 0 to 1, by the limit that ends it first."""
        shares = [self.step / limits.updates]
        if limits.epochs is not None:
            shares.append(self.epochs / limits.epochs)
        if limits.minutes is not None:
            shares.append(self.seconds / (60 * limits.minutes))
        return min(max(shares), 1.0)


@dataclass(frozen=True)
class Update:
    """What one update did."""

    loss: Tensor
    """Sum over this rank's tokens, in nats."""
    tokens: int
    """Target tokens of all ranks."""
    gradient_norm: float
    learning_rate: float
    waited: float
    """Seconds in which there was no batch to learn from."""
    pairs: list[int]
    """Some of the pairs it learned from."""

    @property
    def is_skipped(self) -> bool:
        """Whether its gradient was no number, so that it left the weights as they were."""
        return not math.isfinite(self.gradient_norm)


def finished(settings: Training, progress: Progress) -> str:
    """Why training is over, or an empty string."""
    limits = settings.limits
    if progress.share(limits) >= 1:
        if progress.step >= limits.updates:
            limit = f"{limits.updates:,} updates"
        elif limits.epochs is not None and progress.epochs >= limits.epochs:
            limit = f"{limits.epochs:,} epochs"
        else:
            limit = f"{limits.minutes:g} minutes"
        return f"the limit of {limit} is reached (update {progress.step:,}, epoch {progress.epochs:.1f})"
    patience = settings.validation.patience
    if patience is not None and progress.stale >= patience:
        return f"{settings.validation.metric} has not improved in {progress.stale} validations"
    return ""


def record_validation(settings: Training, progress: Progress, scores: Mapping[str, Scores]) -> None:
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
