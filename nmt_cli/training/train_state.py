"""The counters of a training run, and when it is over."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from torch import Tensor

from nmt_cli.recipe.training import Limits, Training
from nmt_cli.runs.journal import CorpusExposure
from nmt_cli.training.optimization.schedule import plateau_factor

Scores = Mapping[str, float]
"""Loss, BLEU, chrF++ and the like of one validation set, by name."""


@dataclass(frozen=True)
class DataState:
    """Position in the training data after an update; the iteration resumes from it."""

    epoch: int = 0
    block: int = 0
    """Index in the epoch."""
    pairs_consumed: int = 0
    """Pairs of this block, in the order of its batches, that were trained on."""
    updates_ahead: int = 0
    """Updates made of later pairs, while the next ones waited for others to form an update."""
    passes: float = 0.0
    """Passes over the data so far, with fractions; reported as the epoch."""

    def __post_init__(self) -> None:
        assert min(self.epoch, self.block, self.pairs_consumed, self.updates_ahead, self.passes) >= 0


@dataclass
class TrainState:
    """Everything that must survive a restart besides parameters and optimizer state.

    Random generators need no state: the draws of a batch follow from the seed, the update and the batch's index in it.
    """

    num_updates: int = 0
    """Updates made so far; skipped ones do not count."""
    data: DataState = DataState()
    target_tokens: int = 0
    mixture: dict[str, CorpusExposure] = field(default_factory=dict)
    """Training data seen so far, by corpus; `mixture` in journal and checkpoint."""
    seconds: float = 0.0
    """Training time, including validation, over all starts."""
    best: list[tuple[float, int]] = field(default_factory=list)
    """Score and update of the best validations, best first."""
    num_not_improved: int = 0
    """Validations since the best one, or since the warm-up."""
    lr_scale: float = 1.0
    """Factor on the learning rate of the schedule."""
    num_rollbacks: int = 0
    """Times that training went back to a checkpoint after it had diverged."""

    def state_dict(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> "TrainState":
        """Rebuild the state from `state_dict()`. Raises KeyError, TypeError or ValueError if it is malformed."""
        best = [(score, update) for score, update in state["best"]]
        mixture = {name: CorpusExposure(**exposure) for name, exposure in state["mixture"].items()}
        return cls(**{**state, "data": DataState(**state["data"]), "best": best, "mixture": mixture})

    def add_exposure(self, target_tokens: int, exposure: Mapping[str, CorpusExposure]) -> None:
        """Count the training data of an update."""
        self.target_tokens += target_tokens
        for name, added in exposure.items():
            before = self.mixture.get(name, CorpusExposure())
            self.mixture[name] = CorpusExposure(before.pairs + added.pairs, before.target_tokens + added.target_tokens)

    def fraction_done(self, limits: Limits) -> float:
        """Return the completed fraction of the training, in [0,1], by the limit that is reached first."""
        fractions = [self.num_updates / limits.updates]
        if limits.epochs is not None:
            fractions.append(self.data.passes / limits.epochs)
        if limits.minutes is not None:
            fractions.append(self.seconds / (60 * limits.minutes))
        return min(max(fractions), 1.0)


@dataclass(frozen=True)
class UpdateStats:
    """Statistics of one update."""

    loss: Tensor
    """Sum over this rank's target tokens, in nats; stays on the device."""
    tokens: int
    """Target tokens over all ranks."""
    gradient_norm: float
    learning_rate: float
    data_wait: float
    """Seconds spent waiting for batches."""
    pair_ids: list[int]
    """Some of the sentence pairs that were trained on."""

    @property
    def is_skipped(self) -> bool:
        """Whether the gradient was not finite, so that the parameters were left unchanged."""
        return not math.isfinite(self.gradient_norm)


def stop_reason(settings: Training, state: TrainState) -> str:
    """Return why training is over, or an empty string if it is not."""
    limits = settings.limits
    if state.fraction_done(limits) >= 1:
        if state.num_updates >= limits.updates:
            limit = f"{limits.updates:,} updates"
        elif limits.epochs is not None and state.data.passes >= limits.epochs:
            limit = f"{limits.epochs:,} epochs"
        else:
            limit = f"{limits.minutes:g} minutes"
        return f"the limit of {limit} is reached (update {state.num_updates:,}, epoch {state.data.passes:.1f})"
    patience = settings.validation.patience
    if patience is not None and state.num_not_improved >= patience:
        return f"{settings.validation.metric} has not improved in {state.num_not_improved} validations"
    return ""


def main_score(settings: Training, scores: Mapping[str, Scores]) -> float:
    """Return the score that ranks checkpoints: `validation.metric` of the first set, or its mean over all sets."""
    values = [each[settings.validation.metric] for each in scores.values()]
    return values[0] if settings.validation.sets == "first" else fmean(values)


def score_sign(settings: Training) -> float:
    """Return 1 if a higher `validation.metric` is better, else -1."""
    return -1.0 if settings.validation.lower_is_better else 1.0


def record_validation(settings: Training, state: TrainState, scores: Mapping[str, Scores]) -> None:
    """Rank this update among the best by its main score; of equal scores the latest is first.

    A score that is not finite is never best.

    Validations during the warm-up do not count towards patience.
    """
    score, sign = main_score(settings, scores), score_sign(settings)
    has_improved = math.isfinite(score) and (not state.best or sign * score > sign * state.best[0][0])
    is_warming_up = state.num_updates <= settings.schedule.warmup
    state.num_not_improved = 0 if has_improved or is_warming_up else state.num_not_improved + 1
    state.lr_scale *= plateau_factor(settings.schedule, state.num_not_improved)
    if math.isfinite(score):
        ranked = sorted([*state.best, (score, state.num_updates)], key=lambda entry: (-sign * entry[0], -entry[1]))
        state.best = ranked[: settings.checkpoints.keep_best]
