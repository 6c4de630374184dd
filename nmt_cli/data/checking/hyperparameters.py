"""Checks of sizes and rates against the size of the corpus, and estimates of memory and time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from nmt_cli.data.checking import DataFinding
from nmt_cli.recipe.adapting.training_defaults import TrainingSize, expected_updates
from nmt_cli.recipe.model import LayerSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.training import Training

_MIN_TOKENS_PER_SUBWORD = 40
"""With fewer, rare subwords occur too seldom to be learned (Gowda & May 2020 recommend 100 for most)."""
_MIN_UPDATES = 20
"""Per epoch."""
_MIN_UPDATE_TOKENS = 500
"""Target tokens. Transformers learn badly from smaller updates (Popel & Bojar 2018)."""
_MIN_UPDATE_PAIRS = 32
"""Fewer target tokens are enough if they are of this many short targets, such as headlines."""
_MAX_EPOCHS = 300
_RATE_RANGE = 0.01, 3.0
"""Peak learning rate times width; usual recipes of all sizes have 0.2 to 0.5, such as 1e-3 times 256.

Adam changes each parameter by at most the rate, and so the output of a layer by at most the rate times its width.
"""
_BYTES_PER_FLOAT = 4
_MIN_PAIRS = 1000
"""With fewer, a new model learns frequent phrases at best."""


@dataclass(frozen=True)
class TrainingEstimate:
    """Memory and time that training needs."""

    parameters: int
    state_bytes: int
    """Parameters, gradients, optimizer and average."""
    batch_bytes: int
    """Activations of one batch that the backward pass needs, on one device."""
    epoch_seconds: float

    @property
    def bytes(self) -> int:
        """Memory of the device."""
        return self.state_bytes + self.batch_bytes


def estimate_training(
    settings: Training, parameters: int, activations_per_token: int, batch_tokens: int, seconds_per_epoch: float
) -> TrainingEstimate:
    """Estimate the memory of training.

    Args:
        parameters: Number of parameters of the model.
        activations_per_token: See Model.activations_per_token.
        batch_tokens: Padded target tokens of a batch.
    """
    passes = 1 if settings.consistency is None else 2
    copies = 2 + settings.optimizer.num_states + (settings.ema_decay is not None)
    kept = 0.2 if settings.gradient_checkpointing else 1.0
    bytes_each = 2 if settings.precision == "bf16" else _BYTES_PER_FLOAT
    batch_bytes = round(batch_tokens * activations_per_token * bytes_each * passes * kept)
    return TrainingEstimate(parameters, copies * parameters * _BYTES_PER_FLOAT, batch_bytes, seconds_per_epoch)


def check_vocabulary(recipe: Recipe, size: TrainingSize, suitable: int) -> list[DataFinding]:
    """Report a given vocabulary size that is too large for the corpus.

    Args:
        suitable: The size that follows from the text.
    """
    if recipe.tokenizer.path is not None or recipe.tokenizer.algorithm in ("byte", "character"):
        return []
    joint, subwords = recipe.tokenizer.joint, recipe.tokenizer.vocabulary_size
    tokens = size.source_tokens + size.target_tokens if joint else min(size.source_tokens, size.target_tokens)
    if tokens >= _MIN_TOKENS_PER_SUBWORD * subwords or size.num_pairs < 1 or suitable >= subwords:
        return []
    message = f"{subwords:,} subwords are many for this corpus: each occurs about {tokens / subwords:.0f} times"
    advice = f"leave it out; about {suitable:,} follow from the text"
    return [DataFinding("warning", "vocabulary", "tokenizer.vocabulary_size", message, advice)]


def check_schedule(recipe: Recipe, size: TrainingSize, tokens_per_second: float) -> list[DataFinding]:
    """Report too little text, or an update size, warm-up or limits that do not suit it.

    Args:
        tokens_per_second: Estimated speed of training with large updates.
    """
    training = recipe.training
    updates = round(expected_updates(training, size, tokens_per_second))
    return [
        *check_text_size(recipe, size),
        *_check_update_size(recipe, size),
        *_check_warmup(training, updates),
        *_check_limits(training, size, updates),
    ]


def check_learning_rate(recipe: Recipe) -> list[DataFinding]:
    """Report a peak learning rate that does not suit the width of the model."""
    settings, width, where = recipe.training, recipe.model.width, "training.optimizer.learning_rate"
    if not settings.optimizer.lr_sets_step_size:
        return []
    given, is_noam = settings.optimizer.learning_rate, settings.schedule.type == "noam"
    rate = settings.schedule.peak_learning_rate(given, width)
    lowest, highest = _RATE_RANGE
    subject = f"a peak of {rate:.2g}" if is_noam else f"{rate:g}"
    if rate * width > highest:
        message = f"{subject} is very high for a width of {width:,}; training will probably diverge or learn nothing"
    elif rate * width < lowest and settings.start_from is None:
        message = f"{subject} is very low for a width of {width:,}; a new model will learn very slowly"
    else:
        return []
    usual = "1 to 2" if is_noam else f"{0.3 / width:.0e}".replace("e-0", "e-")
    advice = f"about {usual} is usual"
    if given == rate and rate * width > highest and given >= 0.5:
        advice += "; a rate of 1 or 2 belongs to the schedule noam"
    return [DataFinding("warning", "learning rate", where, message, advice)]


def check_text_size(recipe: Recipe, size: TrainingSize) -> Iterator[DataFinding]:
    """Report a corpus of translations that is too small for a new model."""
    is_new = recipe.training.start_from is None and not recipe.data.is_monolingual
    if 0 < size.num_pairs < _MIN_PAIRS and is_new:
        message = f"{size.num_pairs:,} pairs are very few: a new model will hardly learn to translate"
        advice = "add text, or fine-tune a trained model (training.start_from)"
        yield DataFinding("warning", "size", "data.train", message, advice)


def _check_update_size(recipe: Recipe, size: TrainingSize) -> Iterator[DataFinding]:
    update_tokens, where = recipe.training.update_tokens, "training.update_tokens"
    updates = size.target_tokens / update_tokens
    if size.num_pairs and updates < _MIN_UPDATES:
        message = f"an epoch has only {max(1, round(updates)):,} updates of {update_tokens:,} target tokens"
        advice = f"a small corpus learns faster with smaller updates: try {_round_down(size.target_tokens / 100):,}"
        if size.target_tokens / 100 < _MIN_UPDATE_TOKENS:
            is_small = update_tokens <= 2 * _MIN_UPDATE_TOKENS
            advice = "more text than this is needed" if is_small else f"try {_MIN_UPDATE_TOKENS}"
        yield DataFinding("warning", "batch", where, message, advice)
    is_transformer = isinstance(recipe.model, LayerSettings)
    has_few_pairs = update_tokens * size.num_pairs < _MIN_UPDATE_PAIRS * size.target_tokens
    if update_tokens < _MIN_UPDATE_TOKENS and has_few_pairs and is_transformer and updates > 10 * _MIN_UPDATES:
        message = f"{update_tokens:,} target tokens are few for one update of a Transformer; gradients will be noisy"
        yield DataFinding("warning", "batch", where, message, "2,000 to 25,000 are usual")


def _check_warmup(settings: Training, updates: int) -> Iterator[DataFinding]:
    if settings.schedule.warmup >= updates:
        end = f"before the end of the warm-up of {settings.schedule.warmup:,}"
        message, advice = f"training ends after {_updates(settings, updates)}, {end}", f"try {max(1, updates // 10):,}"
        yield DataFinding("warning", "schedule", "training.schedule.warmup", message, advice)


def _check_limits(settings: Training, size: TrainingSize, updates: int) -> Iterator[DataFinding]:
    every = settings.validation.every
    if not size.num_pairs:
        return
    epochs = updates * settings.update_tokens / size.target_tokens
    if epochs < 1:
        message = f"training ends after {_updates(settings, updates)}, which read only {epochs:.2g} of the corpus"
        yield DataFinding("fact", "limits", "training.limits", message)
    if epochs > _MAX_EPOCHS and settings.validation.patience is None:
        message = f"{updates:,} updates are {epochs:,.0f} passes over this corpus, and nothing stops training earlier"
        yield DataFinding("warning", "limits", "training.limits", message, "set training.validation.patience")
    if every > updates:
        message = f"training is validated only at its end, after {_updates(settings, updates)} (every: {every:,})"
        advice = "validate more often, or give it more time, so that the best checkpoint can be chosen"
        yield DataFinding("warning", "limits", "training.validation.every", message, advice)


def _updates(settings: Training, updates: int) -> str:
    minutes = settings.limits.minutes
    return f"at most {updates:,} updates" + (f", estimated for {minutes:g} minutes" if minutes is not None else "")


def _round_down(number: float) -> int:
    """Round down to one digit."""
    unit = int(10 ** math.floor(math.log10(max(number, 1))))
    return int(number // unit) * unit
