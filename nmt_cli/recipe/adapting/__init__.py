"""Defaults that follow from the text, the limits of training and each other. A value in the recipe is never changed.

`nmt preprocess` settles the first of these, `nmt train` the others; `nmt check` foresees them. docs/training.md has the
rules. A run that is resumed keeps the values that it was started with.
"""

import math
from collections.abc import Mapping
from typing import Any

from nmt_cli.recipe.model import DecoderOnlySettings
from nmt_cli.recipe.schema import Recipe

TEXT_KEYS = ("tokenizer.vocabulary_size", "data.max_length")
"""Keys whose defaults follow from the text."""
LENGTH_BOUNDS = "data.length_bounds"
"""Follows from the text, too, but only with `data.length_tags`."""
TRAINING_KEYS = (
    "model.preset",
    "model.tied_embeddings",
    "model.dropout",
    "training.update_tokens",
    "training.schedule.type",
    "training.schedule.warmup",
    "training.schedule.patience",
    "training.validation.every",
    "training.validation.patience",
    "training.logging.every",
)
"""Keys whose defaults follow from the prepared data and the limits."""


def with_defaults(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with values for those of the dotted keys that it does not give, or bounds that are null."""
    for key, value in values.items():
        if not recipe.gives(key) or (key == LENGTH_BOUNDS and recipe.data.length_bounds is None):
            recipe = recipe.with_value(key, value)
    return recipe


def has_key(recipe: Recipe, key: str) -> bool:
    """Return whether the recipe's classes of sections have a setting."""
    section, _, name = key.rpartition(".")
    return name in type(recipe.value(section)).model_fields


def keep_adapted(recipe: Recipe, resolved: Recipe) -> Recipe:
    """Return the recipe with the adapted defaults of the run that it resumes."""
    keys = [key for key in TRAINING_KEYS if has_key(recipe, key) and has_key(resolved, key)]
    return with_defaults(recipe, {key: resolved.value(key) for key in keys})


def with_possible_tying(recipe: Recipe, is_joint: bool) -> Recipe:
    """Return the recipe with embeddings tied as the tokenizer allows, which may have a vocabulary for each side."""
    if is_joint or isinstance(recipe.model, DecoderOnlySettings):  # which reads one vocabulary
        return recipe
    return with_defaults(recipe, {"model.tied_embeddings": "decoder"})


def round_to_two_digits(value: float) -> int:
    """Round to two digits; at least 1."""
    unit = int(10 ** max(0, math.floor(math.log10(max(value, 1))) - 1))
    return max(1, round(value / unit) * unit)
