"""Learning rate schedules, as pure functions of the update: nothing has to be saved to resume one."""

import math
from collections.abc import Callable
from typing import Any

from nmt_cli.recipe.optimization import PlateauSettings, Schedule

_MIN_LR_FACTOR = 1e-3
"""Lower bound of the rate, as a fraction of the peak: an update with a rate of zero would be wasted."""


def learning_rate(schedule: Schedule, peak: float, update: int, fraction_done: float, width: int) -> float:
    """Return the rate of an update: a linear warm-up, then the decay of the schedule.

    Args:
        peak: `learning_rate` of the recipe.
        update: 1-based.
        fraction_done: Completed fraction of the training after this update, in [0,1].
        width: Width of the model, for noam.
    """
    peak = schedule.peak_learning_rate(peak, width)
    if update <= schedule.warmup:
        return peak * update / schedule.warmup
    # Warm-up is counted in updates, everything else in fractions. Assumes that the fraction grows evenly.
    warmup_fraction = fraction_done * schedule.warmup / update
    return peak * max(_DECAYS[schedule.type](schedule, update, fraction_done, warmup_fraction), _MIN_LR_FACTOR)


def plateau_factor(schedule: Schedule, num_not_improved: int) -> float:
    """Return the factor on all later rates after a validation, the `num_not_improved`-th since the best one."""
    if isinstance(schedule, PlateauSettings) and num_not_improved and num_not_improved % schedule.patience == 0:
        return schedule.factor
    return 1.0


def _inverse_sqrt(schedule: Schedule, update: int, fraction_done: float, warmup_fraction: float) -> float:
    return math.sqrt(max(schedule.warmup, 1) / update)


_DECAYS: dict[str, Callable[[Any, int, float, float], float]] = {
    "inverse_sqrt": _inverse_sqrt,
    "noam": _inverse_sqrt,
    "linear": lambda schedule, update, done, warmup: (1 - done) / (1 - warmup),
    "cosine": lambda schedule, update, done, warmup: (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2,
    "wsd": lambda schedule, update, done, warmup: min(1.0, (1 - done) / (1 - max(warmup, 1 - schedule.decay))),
    "plateau": lambda schedule, update, done, warmup: 1.0,
}
"""Fraction of the peak after the warm-up, given the completed fraction of the training and that of the warm-up."""
