"""Update size, dropout, warm-up and intervals, which follow from the size of the data and the limits."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nmt_cli.recipe.adapting import round_to_two_digits, with_defaults
from nmt_cli.recipe.decoding import SamplingSettings
from nmt_cli.recipe.model import LayerSettings, Preset
from nmt_cli.recipe.optimization import NoamSettings, PlateauSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.training import Limits, Training

_MIN_SIZES: dict[Preset, tuple[float, float]] = {"base": (20e6, 100e6), "small": (100e3, 2e6)}
"""The target tokens that a model of a preset needs: in the corpus, and read in training. With fewer, it is smaller."""
_MIN_UPDATE_TOKENS, _MAX_UPDATE_TOKENS = 500, 4096
_UPDATES_PER_EPOCH = 100
_MIN_UPDATES, _SHORT_UPDATE_TOKENS = 1000, 1000
"""A training that reads few tokens makes so many updates, unless they would be smaller than the second number."""
_SHORT_UPDATES = 10_000
"""Up to as many updates, the learning rate decays until the end; in longer trainings, the end may not be reached."""
_WARMUP_FRACTION, _WARMUP_EPOCHS = 0.1, 8
_MIN_WARMUP, _MAX_WARMUP = 100, 1000
_NOAM_WARMUP = 4
"""The warm-up of noam, relative to those of other schedules; a short one would raise its learning rate."""
_VALIDATIONS, _MIN_VALIDATIONS, _VALIDATION_EPOCHS = 10, 2, 2
_MIN_INTERVAL, _MAX_INTERVAL = 100, 1000
_VALIDATION_COST = 10.0
"""Time to translate and score a token of a validation set, relative to the time to train on a token: on a CPU, 2 to 4
for `small`, but 12 for `tiny`, whose steps are too small to use the processor well."""
_VALIDATION_FRACTION = 0.2
"""Fraction of the time that validation may take."""
_LITTLE_TEXT, _MUCH_TEXT = 500_000, 2_000_000
"""Target tokens below which a model overfits easily, and from which on it hardly does."""
_FEW_EPOCHS = 15
_PEAK_FRACTION, _OVERHEAD_TOKENS = 0.45, 350
"""Fraction of the speed of a large matrix product that training reaches, within a factor of 2; with updates of as many
tokens as the second number, half of it."""
_OPERATIONS = 6
"""Floating-point operations per parameter and target token (Kaplan et al. 2020)."""


_LANGUAGE_MODEL_SEARCH = {"decoding": SamplingSettings(strategy="sampling", top_p=0.95)}
_LANGUAGE_MODEL_DEFAULTS = {
    "training.validation.metric": "loss",
    "training.label_smoothing": 0.0,
    **_LANGUAGE_MODEL_SEARCH,
}
"""Defaults for text without translations. Label smoothing would raise the perplexity; text is sampled, because beam
search repeats itself."""


@dataclass(frozen=True)
class TrainingSize:
    """Size of the training text of one epoch."""

    num_pairs: int
    source_tokens: float
    """With one eos per line."""
    target_tokens: float
    """With one eos per line."""
    validation_tokens: float = 0.0
    """Target tokens of all validation sets."""


def adapt_to_training(recipe: Recipe, size: TrainingSize, speed: Callable[[Recipe], float]) -> Recipe:
    """Return the recipe with the defaults that suit the size of the data and the limits.

    Args:
        speed: Estimates the speed of training with large updates, in target tokens per second; used with
            limits.minutes.
    """
    if recipe.data.is_monolingual:
        recipe = with_defaults(recipe, _LANGUAGE_MODEL_DEFAULTS)
    if not recipe.model.gives_sizes:
        recipe = _with_preset(recipe, size, speed)
    tokens_per_second = speed(recipe)
    tokens = _default_update_tokens(recipe.training.limits, size, tokens_per_second)
    recipe = with_defaults(recipe, {"training.update_tokens": tokens})
    if isinstance(recipe.model, LayerSettings):
        recipe = with_defaults(recipe, {"model.dropout": _default_dropout(recipe.training, size, tokens_per_second)})
    updates = expected_updates(recipe.training, size, tokens_per_second)
    if updates <= _SHORT_UPDATES:
        recipe = with_defaults(recipe, {"training.schedule.type": "linear"})
    training = recipe.training
    return with_defaults(recipe, {f"training.{key}": value for key, value in _intervals(training, size, updates)})


def adapt_search(recipe: Recipe) -> Recipe:
    """Return the recipe with the default search of its kind of text."""
    return with_defaults(recipe, _LANGUAGE_MODEL_SEARCH) if recipe.data.is_monolingual else recipe


def expected_updates(training: Training, size: TrainingSize, tokens_per_second: float) -> float:
    """Return the number of updates at which the first limit is reached, at an estimated speed."""
    tokens = training.update_tokens
    read = _tokens_read(training.limits, size, tokens_per_second * efficiency(tokens))
    return max(1.0, min(training.limits.updates, read / tokens))


def training_speed(parameters: int, flops: float, training: Training) -> float:
    """Return the estimated speed of training with large updates, in target tokens per second.

    Args:
        flops: Speed of a large matrix product, in FLOP/s.
    """
    passes = 1 if training.consistency is None else 2
    return flops * _PEAK_FRACTION / (_OPERATIONS * parameters * passes)


def efficiency(update_tokens: int) -> float:
    """Return the fraction of the speed of large updates that is reached with updates of this size."""
    return update_tokens / (update_tokens + _OVERHEAD_TOKENS)


def _with_preset(recipe: Recipe, size: TrainingSize, speed: Callable[[Recipe], float]) -> Recipe:
    """Return the recipe with the largest preset that the data and the limits can train."""
    limits = recipe.training.limits
    for preset, (text, read) in _MIN_SIZES.items():
        larger = recipe.with_value("model.preset", preset)
        possible = min(_tokens_read(limits, size, speed(larger)), limits.updates * _MAX_UPDATE_TOKENS)
        if size.target_tokens >= text and possible >= read:
            return larger
    return recipe.with_value("model.preset", "tiny")


def _tokens_read(limits: Limits, size: TrainingSize, tokens_per_second: float) -> float:
    """Return the number of target tokens that the limits of epochs and minutes allow; infinite without either."""
    epochs = math.inf if limits.epochs is None else limits.epochs
    minutes = math.inf if limits.minutes is None else limits.minutes
    return min(epochs * size.target_tokens, 60 * minutes * (1 - _VALIDATION_FRACTION) * tokens_per_second)


def _default_update_tokens(limits: Limits, size: TrainingSize, tokens_per_second: float) -> int:
    """Return a size that makes many updates in an epoch, and in a short training."""
    read = _tokens_read(limits, size, tokens_per_second * efficiency(_SHORT_UPDATE_TOKENS))
    tokens = min(size.target_tokens / _UPDATES_PER_EPOCH, max(_SHORT_UPDATE_TOKENS, read / _MIN_UPDATES))
    return _clamp(round_to_two_digits(tokens), _MIN_UPDATE_TOKENS, _MAX_UPDATE_TOKENS)


def _intervals(training: Training, size: TrainingSize, updates: float) -> Iterable[tuple[str, int]]:
    """Yield the defaults that are numbers of updates or validations."""
    epoch = size.target_tokens / training.update_tokens
    warmup = min(_MAX_WARMUP, max(_MIN_WARMUP, _WARMUP_EPOCHS * epoch), _WARMUP_FRACTION * updates)
    factor = _NOAM_WARMUP if isinstance(training.schedule, NoamSettings) else 1
    yield "schedule.warmup", round_to_two_digits(factor * warmup)
    cost = _VALIDATION_COST * size.validation_tokens / training.update_tokens
    every = min(_MAX_INTERVAL, max(_MIN_INTERVAL, _VALIDATION_EPOCHS * epoch), updates / _VALIDATIONS)
    every = round_to_two_digits(max(every, min(cost / _VALIDATION_FRACTION, updates / _MIN_VALIDATIONS)))
    yield "validation.every", every
    yield "logging.every", _clamp(round_to_two_digits(min(updates / 20, every / 2)), 1, 50)
    if isinstance(training.schedule, PlateauSettings):
        stop, patience = training.validation.patience, training.schedule.patience
        if training.gives("schedule.patience"):
            yield "validation.patience", max(stop or 0, 3 * patience + 1)
        elif stop is not None:
            yield "schedule.patience", max(1, min(patience, (stop - 1) // 2))


def _default_dropout(training: Training, size: TrainingSize, tokens_per_second: float) -> float:
    """Return a dropout that prevents overfitting where it is likely: little text, read often."""
    epochs = expected_updates(training, size, tokens_per_second) * training.update_tokens / max(1, size.target_tokens)
    if size.target_tokens >= _MUCH_TEXT or epochs < _FEW_EPOCHS:
        return 0.1
    return 0.3 if size.target_tokens < _LITTLE_TEXT else 0.2


def _clamp(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))
