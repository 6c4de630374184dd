"""Whether the sizes and rates in a recipe are in proportion to its corpus, and to one another."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from nmt_cli.data.checking.finding import Finding
from nmt_cli.recipe.model import TransformerSettings
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.training import Training

_FEW_PER_SUBWORD = 40
"""Tokens for each subword: rare ones are seen too seldom to be learned (Gowda & May 2020 want 100 of most)."""
_FEW_UPDATES = 20
"""In an epoch."""
_SMALL_UPDATE = 500
"""Target tokens; Transformers learn badly from less (Popel & Bojar 2018)."""
_MANY_EPOCHS = 300
_RATES = 0.01, 3.0
"""Learning rate times width, at the peak: usual recipes of all sizes have 0.2 to 0.5, such as 1e-3 times 256.

Adam moves each weight by at most the rate, and what a layer says by as much times its width.
"""


@dataclass(frozen=True)
class Size:
    """Of the training text in an epoch, as far as it is known or estimated."""

    pairs: int
    source_tokens: float
    target_tokens: float
    """Both with an end token for each line."""


def vocabulary(recipe: Recipe, size: Size) -> list[Finding]:
    """Finds more subwords than the corpus has examples of."""
    if recipe.tokenizer.path is not None or recipe.tokenizer.algorithm in ("byte", "character"):
        return []
    joint, subwords = recipe.tokenizer.joint, recipe.tokenizer.vocabulary_size
    tokens = size.source_tokens + size.target_tokens if joint else min(size.source_tokens, size.target_tokens)
    if tokens >= _FEW_PER_SUBWORD * subwords or size.pairs < 1:
        return []
    what = f"{subwords:,} subwords are many for this corpus: each comes about {tokens / subwords:.0f} times"
    fewer = max(8, _rounded(tokens / (2 * _FEW_PER_SUBWORD)))
    advice = f"try {fewer:,}" if fewer < subwords else "try fewer"
    return [Finding("warning", "vocabulary", "tokenizer.vocabulary_size", what, advice)]


def schedule(recipe: Recipe, size: Size) -> list[Finding]:
    """Finds a batch, a warm-up or limits out of proportion."""
    return [*_batch(recipe, size), *_warmup(recipe.training, size), *_limits(recipe.training, size)]


def learning_rate(recipe: Recipe) -> list[Finding]:
    """Finds a peak of the learning rate far from what suits the width of the model."""
    settings, width, where = recipe.training, recipe.model.width, "training.optimizer.learning_rate"
    given = settings.optimizer.learning_rate
    rate = settings.schedule.peak_learning_rate(given, width)
    if not settings.optimizer.lr_sets_step_size:
        return []
    lowest, highest = _RATES
    usual = f"{0.3 / width:.0e}".replace("e-0", "e-")
    peaks = f"a peak of {rate:.2g}" if settings.schedule.type == "noam" else f"{rate:g}"
    if rate * width > highest:
        what = f"{peaks} is very high for a width of {width:,}; training will most likely diverge or learn nothing"
    elif rate * width < lowest and settings.init_from is None:
        what = f"{peaks} is very low for a width of {width:,}; a new model will learn very slowly"
    else:
        return []
    if settings.schedule.type == "noam":
        usual = "1 to 2"
    advice = f"about {usual} is usual"
    if given == rate and rate * width > highest and given >= 0.5:
        advice += "; a rate of 1 or 2 belongs to the schedule noam"
    return [Finding("warning", "learning rate", where, what, advice)]


def _batch(recipe: Recipe, size: Size) -> Iterator[Finding]:
    update, where = recipe.training.update_tokens, "training.update_tokens"
    updates = size.target_tokens / update
    if size.pairs and updates < _FEW_UPDATES:
        what = f"an epoch has only {max(1, round(updates)):,} updates of {update:,} target tokens"
        advice = f"a small corpus learns faster by smaller updates: try {_rounded(size.target_tokens / 100):,}"
        if size.target_tokens / 100 < _SMALL_UPDATE:
            advice = "more text is needed than this" if update <= 2 * _SMALL_UPDATE else f"try {_SMALL_UPDATE}"
        yield Finding("warning", "batch", where, what, advice)
    if update < _SMALL_UPDATE and isinstance(recipe.model, TransformerSettings) and updates > 10 * _FEW_UPDATES:
        what = f"{update:,} target tokens are few for one update of a Transformer, whose gradient will be very noisy"
        yield Finding("warning", "batch", where, what, "2,000 to 25,000 are usual")


def _warmup(settings: Training, size: Size) -> Iterator[Finding]:
    warmup, updates = settings.schedule.warmup, _most_updates(settings, size)
    if warmup >= updates:
        what = f"training ends after {updates:,} updates at most, before the warm-up of {warmup:,} is over"
        yield Finding("warning", "schedule", "training.schedule.warmup", what, f"try {max(1, updates // 10):,}")


def _limits(settings: Training, size: Size) -> Iterator[Finding]:
    updates, every = _most_updates(settings, size), settings.validation.every
    if not size.pairs:
        return
    epochs = updates * settings.update_tokens / size.target_tokens
    if epochs < 1:
        what = f"training ends after {updates:,} updates at most, when {epochs:.2g} of the corpus has been seen"
        yield Finding("fact", "limits", "training.limits", what)
    if epochs > _MANY_EPOCHS and settings.validation.patience is None:
        what = f"{updates:,} updates are {epochs:,.0f} passes over this corpus, and nothing ends training earlier"
        yield Finding("warning", "limits", "training.limits", what, "set training.validation.patience")
    if every > updates:
        what = f"only the end is validated: there are {updates:,} updates at most, and {every:,} between validations"
        advice = "validate more often, so that the best checkpoint can be chosen"
        yield Finding("warning", "limits", "training.validation.every", what, advice)


def _most_updates(settings: Training, size: Size) -> int:
    limits = settings.limits
    if limits.epochs is None:
        return limits.updates
    return max(1, min(limits.updates, round(limits.epochs * size.target_tokens / settings.update_tokens)))


def _rounded(number: float) -> int:
    """To one digit, downwards."""
    unit = int(10 ** math.floor(math.log10(max(number, 1))))
    return int(number // unit) * unit
