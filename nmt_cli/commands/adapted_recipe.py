"""The recipe of a run with its adapted defaults, and the expected size and speed of its training."""

from collections.abc import Callable
from functools import cache

import torch

from nmt_cli.commands.loading import model_without_weights, vocabulary_spec
from nmt_cli.data.prepared import Prepared
from nmt_cli.devices import has_fast_bf16, pick_device
from nmt_cli.models.contract import Model, VocabularySpec
from nmt_cli.models.kernels import matmul_speed
from nmt_cli.recipe.adapting import keep_adapted, with_defaults, with_possible_tying
from nmt_cli.recipe.adapting.training_defaults import TrainingSize, adapt_to_training, training_speed
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.runs.directory import RunDirectory


def adapted_recipe(recipe: Recipe, prepared: Prepared, num_ranks: int = 1) -> Recipe:
    """Return the recipe with all adapted defaults. A run with checkpoints keeps those that it was started with."""
    run = RunDirectory(recipe.run)
    recipe = with_possible_tying(with_defaults(recipe, prepared.adapted), prepared.tokenizer.joint)
    if run.saved_updates():
        recipe = keep_adapted(recipe, load_recipe(run.resolved))
    # The speed is measured only if a default depends on it, so that all others are equal on every machine.
    is_timed = recipe.training.limits.minutes is not None
    speed = speed_on_device(vocabulary_spec(prepared.tokenizer), num_ranks) if is_timed else lambda recipe: 1.0
    return adapt_to_training(recipe, training_size(prepared), speed)


def training_size(prepared: Prepared) -> TrainingSize:
    """Return the size of prepared data."""
    train = prepared.train
    return TrainingSize(
        num_pairs=sum(map(len, train)),
        source_tokens=sum(corpus.source_tokens + len(corpus) for corpus in train),
        target_tokens=sum(corpus.target_tokens + len(corpus) for corpus in train),
        validation_tokens=sum(corpus.target_tokens + len(corpus) for corpus in prepared.valid.values()),
    )


def count_parameters_of(model: Model) -> int:
    """Return the number of parameters; a shared one counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def speed_on_device(vocabulary: VocabularySpec, num_ranks: int = 1) -> Callable[[Recipe], float]:
    """Return a function that estimates the speed of training with large updates on this machine.

    It is in target tokens per second; the device is measured once for each precision.
    """
    device = pick_device()

    @cache
    def flops(dtype: torch.dtype) -> float:
        return max(matmul_speed(device, dtype) for _ in range(3))  # others may run

    def speed(recipe: Recipe) -> float:
        is_fast = recipe.training.precision == "bf16" and has_fast_bf16(device)
        parameters = count_parameters_of(model_without_weights(recipe.model, vocabulary))
        found = flops(torch.bfloat16 if is_fast else torch.float32)
        return num_ranks * training_speed(parameters, found, recipe.training)

    return speed
