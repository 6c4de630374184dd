"""Learning rate schedules, as pure functions of the update: nothing has to be saved to resume one."""

import math
from collections.abc import Callable
from typing import Any

from nmt_cli.recipe.optimization import PlateauSettings, Schedule

_MIN_LR_FACTOR = 1e-2
"""Lower bound of the rate, as a fraction of the peak: an update with a rate near zero would be wasted."""


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
    # Warm-up is counted in updates, everything else in fractions. Assumes that the fraction grows evenly. One update is
    # added to the decay, so that it reaches zero after the last update, not in it.
    each = fraction_done / update
    left, total = (1 + each * (1 - number) for number in (update, schedule.warmup))
    decay = _DECAYS[schedule.type](schedule, update, left, total)
    return peak * max(decay, _MIN_LR_FACTOR)


def plateau_factor(schedule: Schedule, num_not_improved: int) -> float:
    """Return the factor on all later rates after a validation, the `num_not_improved`-th since the best one."""
    if isinstance(schedule, PlateauSettings) and num_not_improved and num_not_improved % schedule.patience == 0:
        return schedule.factor
    return 1.0


def _inverse_sqrt(schedule: Schedule, update: int, left: float, total: float) -> float:
    return math.sqrt(max(schedule.warmup, 1) / update)


_DECAYS: dict[str, Callable[[Any, int, float, float], float]] = {
    "inverse_sqrt": _inverse_sqrt,
    "noam": _inverse_sqrt,
    "linear": lambda schedule, update, left, total: left / total,
    "cosine": lambda schedule, update, left, total: (1 - math.cos(math.pi * left / total)) / 2,
    "wsd": lambda schedule, update, left, total: min(1.0, left / min(total, schedule.decay)),
    "plateau": lambda schedule, update, left, total: 1.0,
}
"""Fraction of the peak after the warm-up, given the fraction of the training left, from this update on, and that left
when the warm-up ended."""
