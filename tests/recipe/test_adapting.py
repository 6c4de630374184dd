"""Defaults that follow from the text, the limits and each other; values of the recipe are never changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from minimal_recipe import MINIMAL_RECIPE

from nmt_cli.recipe.adapting import keep_adapted, with_possible_tying
from nmt_cli.recipe.adapting.text_defaults import TextSize, default_max_length, default_vocabulary_size
from nmt_cli.recipe.adapting.training_defaults import TrainingSize, adapt_to_training, expected_updates
from nmt_cli.recipe.data import TokenizerSettings
from nmt_cli.recipe.loading import load_recipe, resolved_yaml
from nmt_cli.recipe.schema import Recipe

Write = Callable[[str | bytes], Path]

CAPTIONS_300 = TrainingSize(300, 8_600, 9_900, 6_700)
CAPTIONS_6000 = TrainingSize(6_000, 113_000, 124_000, 4_300)
SENTENCES_160_000 = TrainingSize(160_000, 1_400_000, 1_600_000, 22_000)
SIZES = [CAPTIONS_300, CAPTIONS_6000, SENTENCES_160_000, TrainingSize(10**7, 3e8, 3e8, 80_000)]


def recipe(**sections: Any) -> Recipe:
    return Recipe.model_validate({**MINIMAL_RECIPE, **sections})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "limits",
    [{}, {"updates": 20}, {"updates": 3000}, {"epochs": 5}, {"minutes": 0.5}, {"minutes": 3}, {"minutes": 600}],
)
def test_training_leaves_the_warmup_and_reports_within_its_limits(size: TrainingSize, limits: dict[str, Any]) -> None:
    training = adapt_to_training(recipe(training={"limits": limits}), size, lambda _: 5000.0).training
    updates = expected_updates(training, size, 5000.0)
    assert training.schedule.warmup <= max(1, updates / 8)
    assert training.logging.every <= max(1, updates / 8)
    validation_tokens = 4 * size.validation_tokens * updates / training.validation.every
    is_rare = training.validation.every >= 0.45 * updates
    assert validation_tokens <= 0.25 * updates * training.update_tokens or is_rare


def test_small_corpora_get_small_updates_and_much_dropout() -> None:
    small, large = (adapt_to_training(recipe(), size, lambda _: 1.0) for size in (CAPTIONS_6000, SIZES[-1]))
    assert small.training.update_tokens < large.training.update_tokens == 4096
    assert small.model.dropout > large.model.dropout
    assert small.training.schedule.warmup < large.training.schedule.warmup == 1000


@pytest.mark.parametrize(
    ("size", "limits", "tokens_per_second", "preset"),
    [
        (CAPTIONS_300, {}, 1e5, "tiny"),
        (CAPTIONS_6000, {}, 1e5, "small"),
        (SENTENCES_160_000, {"minutes": 3}, 2e3, "tiny"),
        (SENTENCES_160_000, {"minutes": 60}, 2e3, "small"),
        (SENTENCES_160_000, {"updates": 100}, 1e5, "tiny"),
        (SENTENCES_160_000, {"epochs": 1}, 1e5, "tiny"),
        (SIZES[-1], {}, 1e5, "base"),
        (SIZES[-1], {"minutes": 10}, 1e4, "small"),
    ],
)
def test_preset_suits_the_text_and_the_limits(
    size: TrainingSize, limits: dict[str, Any], tokens_per_second: float, preset: str
) -> None:
    """The speed is that of `small`; it falls with the number of parameters."""
    slower = {"tiny": 0.25, "small": 1, "base": 8}

    def speed(recipe: Recipe) -> float:
        return tokens_per_second / slower[recipe.model.preset]

    given = recipe(model={"architecture": "transformer"}, training={"limits": limits})
    model = adapt_to_training(given, size, speed).model
    assert model.preset == preset
    assert model.width == {"tiny": 128, "small": 256, "base": 512}[preset]


def test_given_size_keeps_the_base_preset() -> None:
    given = recipe(model={"architecture": "transformer", "width": 512})
    assert adapt_to_training(given, CAPTIONS_300, lambda _: 1.0).model.preset == "base"


def test_short_training_on_much_text_makes_small_updates() -> None:
    short = adapt_to_training(recipe(training={"limits": {"minutes": 3}}), SENTENCES_160_000, lambda _: 2000.0).training
    assert 1000 <= short.update_tokens < 2000
    assert (
        adapt_to_training(
            recipe(training={"limits": {"minutes": 600}}), SENTENCES_160_000, lambda _: 2000.0
        ).training.update_tokens
        == 4096
    )


def test_learning_rate_decays_until_the_end_of_a_short_training() -> None:
    short = recipe(training={"limits": {"epochs": 20}, "schedule": {"warmup": 7}})
    schedule = adapt_to_training(short, CAPTIONS_6000, lambda _: 1.0).training.schedule
    assert (schedule.type, schedule.warmup) == ("linear", 7)
    assert adapt_to_training(recipe(), CAPTIONS_6000, lambda _: 1.0).training.schedule.type == "inverse_sqrt"
    given = recipe(training={"limits": {"epochs": 20}, "schedule": {"type": "inverse_sqrt"}})
    assert adapt_to_training(given, CAPTIONS_6000, lambda _: 1.0).training.schedule.type == "inverse_sqrt"


def test_dropout_stays_low_if_the_text_is_read_only_a_few_times() -> None:
    short = recipe(training={"limits": {"epochs": 3}})
    assert adapt_to_training(short, CAPTIONS_6000, lambda _: 1.0).model.dropout == 0.1


@pytest.mark.parametrize("size", SIZES)
def test_given_values_are_never_changed(size: TrainingSize) -> None:
    given = {
        "update_tokens": 7,
        "schedule": {"type": "plateau", "warmup": 11, "patience": 2},
        "validation": {"every": 13, "patience": None},
        "logging": {"every": 17},
    }
    model = {"architecture": "transformer", "preset": "big", "dropout": 0.07, "tied_embeddings": "none"}
    before = recipe(training=given, model=model)
    assert adapt_to_training(with_possible_tying(before, False), size, lambda _: 100.0) == before


def test_adapted_defaults_are_written_and_kept_when_limits_change(write: Write) -> None:
    started = adapt_to_training(recipe(training={"limits": {"updates": 500}}), CAPTIONS_6000, lambda _: 1.0)
    resolved = load_recipe(write(resolved_yaml(started)))
    assert resolved.training.schedule.warmup == started.training.schedule.warmup == 50
    longer = keep_adapted(recipe(training={"limits": {"updates": 5000}}), resolved)
    again = adapt_to_training(longer, CAPTIONS_6000, lambda _: 1.0)
    assert again.training.schedule == started.training.schedule
    assert again.training.validation == started.training.validation


@pytest.mark.parametrize(
    "training",
    [
        {"schedule": {"type": "plateau", "patience": 12}},
        {"schedule": {"type": "plateau"}, "validation": {"patience": 2}},
        {"schedule": {"type": "plateau"}},
    ],
)
def test_learning_rate_is_reduced_before_training_stops(training: dict[str, Any]) -> None:
    adapted = adapt_to_training(recipe(training=training), CAPTIONS_6000, lambda _: 1.0).training
    assert adapted.schedule.type == "plateau"
    assert adapted.schedule.patience < (adapted.validation.patience or 0)


def test_vocabulary_grows_with_the_text_and_has_room_for_its_alphabet() -> None:
    sizes = [default_vocabulary_size(TokenizerSettings(), TextSize(n, 80)) for n in (4e4, 8e5, 4e6, 1.2e7, 1e9, 1e12)]
    assert sizes == sorted(sizes)
    assert 400 < sizes[0] < 800
    assert 1500 < sizes[1] < 2500
    assert 3500 < sizes[2] < 5500
    assert 7000 < sizes[3] < 9500
    assert sizes[-1] < 33_000
    chinese = default_vocabulary_size(TokenizerSettings(), TextSize(2e5, 3000))
    assert chinese > 3000 + 256 + 300


def test_maximum_length_loses_hardly_any_pair_and_ignores_outliers() -> None:
    assert default_max_length([]) == default_max_length([20] * 1000) == 200
    assert default_max_length([100] * 500 + [700] * 500) >= 700
    assert default_max_length([20] * 999 + [1500]) == 200
    assert default_max_length([10**6] * 100) == 2000
