"""Learning rate schedules, as pure functions of the update. They have no state to save."""

import math
from collections.abc import Callable
from typing import Any

from nmt_cli.recipe.optimization import PlateauSettings, Schedule

_MIN_LR_FACTOR = 1e-2
"""Lower bound of the rate after the warm-up, as a fraction of the peak: a rate near zero would have no effect."""


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
    # The warm-up is given in updates and the rest in fractions of the training. This assumes updates of equal size. The
    # fraction left includes this update, so that the decay reaches zero one update after the last.
    fraction_per_update = fraction_done / update
    left = 1 - (update - 1) * fraction_per_update
    decay_length = 1 - (schedule.warmup - 1) * fraction_per_update
    decay = _DECAYS[schedule.type](schedule, update, left, decay_length)
    return peak * max(decay, _MIN_LR_FACTOR)


def plateau_factor(schedule: Schedule, num_not_improved: int) -> float:
    """Return the factor on all later rates after `num_not_improved` validations in a row without improvement."""
    if isinstance(schedule, PlateauSettings) and num_not_improved and num_not_improved % schedule.patience == 0:
        return schedule.factor
    return 1.0


def _inverse_sqrt(schedule: Schedule, update: int, left: float, decay_length: float) -> float:
    return math.sqrt(max(schedule.warmup, 1) / update)


_DECAYS: dict[str, Callable[[Any, int, float, float], float]] = {
    "inverse_sqrt": _inverse_sqrt,
    "noam": _inverse_sqrt,
    "linear": lambda schedule, update, left, decay_length: left / decay_length,
    "cosine": lambda schedule, update, left, decay_length: (1 - math.cos(math.pi * left / decay_length)) / 2,
    "wsd": lambda schedule, update, left, decay_length: min(1.0, left / min(decay_length, schedule.decay)),
    "plateau": lambda schedule, update, left, decay_length: 1.0,
}
"""Functions that return the rate after the warm-up as a fraction of the peak. `left` is the fraction of the training
from this update on, `decay_length` that from the last update of the warm-up on."""
