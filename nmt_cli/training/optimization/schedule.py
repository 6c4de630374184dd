"""The learning rate over time."""

import math
from collections.abc import Callable
from typing import Any

from nmt_cli.recipe.training.optimization import PlateauSettings, Schedule, WsdSettings, peak_rate

_LEAST = 1e-3
"""Share of the peak that is left at the end: a rate of exactly zero would be an update for nothing."""


def learning_rate(schedule: Schedule, peak: float, step: int, done: float, width: int) -> float:
    """The rate of update `step` (the first is 1): a linear warm-up, then the schedule's own way down.

    `done` is the share of the whole training that is over with this update, in [0,1], by whichever limit comes first;
    `width` is the model's, for noam.
    """
    peak = peak_rate(peak, schedule, width)
    if step <= schedule.warmup:
        return peak * step / schedule.warmup
    # The warm-up is counted in updates, and all else in shares: the share that it took, if shares grow evenly.
    warm = done * schedule.warmup / step
    return peak * max(_DECAYS[schedule.type](schedule, step, done, warm), _LEAST)


def after_validation(schedule: Schedule, stale: int, rate_factor: float) -> float:
    """What all rates are multiplied by from now on, `stale` validations after the best one; until now `rate_factor`."""
    if isinstance(schedule, PlateauSettings) and stale and stale % schedule.patience == 0:
        return rate_factor * schedule.factor
    return rate_factor


def _inverse_sqrt(schedule: Schedule, step: int, done: float, warm: float) -> float:
    return math.sqrt(max(schedule.warmup, 1) / step)


def _linear(schedule: Schedule, step: int, done: float, warm: float) -> float:
    return (1 - done) / (1 - warm)


def _cosine(schedule: Schedule, step: int, done: float, warm: float) -> float:
    return (1 + math.cos(math.pi * (done - warm) / (1 - warm))) / 2


def _wsd(schedule: WsdSettings, step: int, done: float, warm: float) -> float:
    return min(1.0, (1 - done) / (1 - max(warm, 1 - schedule.decay)))


def _plateau(schedule: Schedule, step: int, done: float, warm: float) -> float:
    return 1.0


_DECAYS: dict[str, Callable[[Any, int, float, float], float]] = {
    "inverse_sqrt": _inverse_sqrt,
    "noam": _inverse_sqrt,
    "linear": _linear,
    "cosine": _cosine,
    "wsd": _wsd,
    "plateau": _plateau,
}
"""What is left of the peak after the warm-up, by schedule, update, and the shares `done` and `warm`."""
