"""Sizes and rates that do not suit the corpus, and estimates of memory and time."""

from pathlib import Path
from typing import Any

import pytest
from minimal_recipe import MINIMAL_RECIPE

from nmt_cli.data.checking.hyperparameters import (
    TrainingEstimate,
    check_learning_rate,
    check_schedule,
    check_vocabulary,
    estimate_training,
)
from nmt_cli.recipe.adapting.training_defaults import TrainingSize
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe
from nmt_cli.recipe.training import Training

MULTI30K = TrainingSize(29_000, 450_000, 480_000)
SIZES = {"email_subjects": TrainingSize(14_436, 1_000_000, 90_000)}  # about six tokens in a subject
SPEED = 5000.0
RECIPES = sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml"))


def recipe(training: dict[str, Any] | None = None, **sections: Any) -> Recipe:
    training = {"limits": {"updates": 5000}, **(training or {})}
    return Recipe.model_validate({**MINIMAL_RECIPE, "training": training, **sections})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_bundled_recipes_have_no_findings(path: Path) -> None:
    ours = load_recipe(path)
    size = SIZES.get(path.stem, MULTI30K if "multi30k" in path.stem else TrainingSize(20_000, 600_000, 600_000))
    assert not [*check_vocabulary(ours, size, 2000), *check_schedule(ours, size, SPEED), *check_learning_rate(ours)]


def test_vocabulary_too_large_for_the_corpus_is_a_warning() -> None:
    (found,) = check_vocabulary(recipe(tokenizer={"vocabulary_size": 32_000}), MULTI30K, 5000)
    assert "29 times" in found.message
    assert not check_vocabulary(recipe(tokenizer={"vocabulary_size": 10_000}), MULTI30K, 5000)


@pytest.mark.parametrize("settings", [{"path": "x"}, {"algorithm": "byte"}, {"algorithm": "character"}])
def test_vocabulary_of_fixed_size_has_no_findings(settings: dict[str, Any]) -> None:
    assert not check_vocabulary(recipe(tokenizer={"vocabulary_size": 100_000, **settings}), MULTI30K, 5000)


@pytest.mark.parametrize(
    ("training", "size", "message"),
    [
        ({"update_tokens": 50_000}, MULTI30K, " 10 updates"),
        ({"update_tokens": 100}, MULTI30K, "100 "),
        (
            {"limits": {"updates": 800}, "validation": {"every": 400}},
            MULTI30K,
            "1,000",
        ),
        ({"limits": {"updates": 2000}, "validation": {"every": 4000}}, MULTI30K, "2,000"),
        ({"limits": {"updates": 100_000}, "validation": {"patience": None}}, MULTI30K, "853 "),
        ({}, TrainingSize(10**7, 2e8, 2e8), "0.1 "),
    ],
)
def test_unsuitable_update_size_or_limit_is_reported(
    training: dict[str, Any], size: TrainingSize, message: str
) -> None:
    (found,) = check_schedule(recipe(training), size, SPEED)
    assert message in found.message


def test_usual_schedules_have_no_findings() -> None:
    assert not check_schedule(recipe(), MULTI30K, SPEED)
    assert not check_schedule(recipe({"limits": {"epochs": 10}}), MULTI30K, SPEED)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"optimizer": {"learning_rate": 1.0}}, "high"),
        ({"optimizer": {"learning_rate": 1e-6}}, "low"),
        ({"optimizer": {"learning_rate": 1e-3}, "schedule": {"type": "noam"}}, "low"),
    ],
)
def test_unsuitable_learning_rate_is_reported(training: dict[str, Any], message: str) -> None:
    (found,) = check_learning_rate(recipe(training))
    assert message in found.message


@pytest.mark.parametrize(
    "training",
    [
        {"optimizer": {"learning_rate": 2e-3}},
        {"optimizer": {"learning_rate": 1.0}, "schedule": {"type": "noam"}},
        {"optimizer": {"type": "sgd", "learning_rate": 1.0}},
        {"optimizer": {"learning_rate": 1e-6}, "start_from": "runs/other"},
    ],
)
def test_usual_learning_rates_have_no_findings(training: dict[str, Any]) -> None:
    assert not check_learning_rate(recipe(training))


GRU_ACTIVATIONS = 2 * 12 * 256


def estimate(batch_tokens: int = 4096, **training: Any) -> TrainingEstimate:
    return estimate_training(Training.model_validate(training), 1_000_000, GRU_ACTIVATIONS, batch_tokens, 60.0)


def test_estimated_state_depends_on_the_optimizer() -> None:
    assert estimate().state_bytes == 16_000_000
    assert estimate(ema_decay=0.999).state_bytes == 20_000_000
    assert estimate(optimizer={"type": "sgd"}).state_bytes == 12_000_000
    assert estimate(optimizer={"type": "adafactor"}).state_bytes == 8_000_000


def test_estimated_activations_grow_with_the_batch() -> None:
    assert estimate().batch_bytes == 4096 * GRU_ACTIVATIONS * 4
    assert estimate(batch_tokens=2048).batch_bytes == estimate().batch_bytes // 2
    assert estimate(precision="bf16").batch_bytes == estimate().batch_bytes // 2
    assert estimate(gradient_checkpointing=True).batch_bytes < estimate().batch_bytes / 4
    assert estimate().bytes == estimate().batch_bytes + estimate().state_bytes


def test_warmup_that_outlasts_the_minutes_is_reported() -> None:
    training = {"limits": {"minutes": 4}, "schedule": {"warmup": 1000}, "validation": {"every": 50}}
    (found,) = check_schedule(recipe(training), MULTI30K, SPEED)
    assert found.where == "training.schedule.warmup"
    assert not check_schedule(recipe(training), MULTI30K, 100 * SPEED)


def test_very_small_corpus_is_a_warning_unless_a_model_is_fine_tuned() -> None:
    small = TrainingSize(300, 8000, 9000)
    training = {"update_tokens": 400, "validation": {"every": 50}}
    assert "data.train" in [found.where for found in check_schedule(recipe(training), small, SPEED)]
    tuned = check_schedule(recipe({**training, "start_from": "other"}), small, SPEED)
    assert "data.train" not in [found.where for found in tuned]


def test_suitable_vocabulary_is_the_advice() -> None:
    (found,) = check_vocabulary(recipe(tokenizer={"vocabulary_size": 32_000}), MULTI30K, 4900)
    assert "4,900" in found.advice
    assert not check_vocabulary(recipe(tokenizer={"vocabulary_size": 32_000}), MULTI30K, 33_000)
