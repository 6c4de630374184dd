"""Sizes and rates out of proportion are found; the recipes that we ship are in proportion."""

from pathlib import Path
from typing import Any

import pytest

from nmt_cli.data.checking.proportions import Size, learning_rate, schedule, vocabulary
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe

MULTI30K = Size(29_000, 450_000, 480_000)
RECIPES = sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml"))


def recipe(training: dict[str, Any] | None = None, **sections: Any) -> Recipe:
    pair = {"source": "a", "target": "b"}
    data = {
        "source_language": "en",
        "target_language": "de",
        "prepared": "p",
        "train": {"t": pair},
        "valid": {"v": pair},
    }
    model = {"architecture": "transformer", "preset": "small"}
    training = {"limits": {"updates": 5000}, **(training or {})}
    return Recipe.model_validate({"run": "r", "data": data, "model": model, "training": training, **sections})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_our_own_recipes_are_left_alone(path: Path) -> None:
    ours = load_recipe(path)
    size = MULTI30K if "multi30k" in path.stem else Size(20_000, 600_000, 600_000)
    assert not [*vocabulary(ours, size), *schedule(ours, size), *learning_rate(ours)]


def test_more_subwords_than_the_corpus_has_examples_of_are_a_warning() -> None:
    (found,) = vocabulary(recipe(tokenizer={"vocabulary_size": 32_000}), MULTI30K)
    assert "each comes about 29 times" in found.what
    assert not vocabulary(recipe(tokenizer={"vocabulary_size": 10_000}), MULTI30K)


@pytest.mark.parametrize("settings", [{"path": "x"}, {"algorithm": "byte"}, {"algorithm": "character"}])
def test_vocabularies_that_are_not_chosen_are_left_alone(settings: dict[str, Any]) -> None:
    assert not vocabulary(recipe(tokenizer={"vocabulary_size": 100_000, **settings}), MULTI30K)


@pytest.mark.parametrize(
    ("training", "size", "told"),
    [
        ({"update_tokens": 50_000}, MULTI30K, "an epoch has only 10 updates"),
        ({"update_tokens": 100}, MULTI30K, "few for one update of a Transformer"),
        ({"limits": {"updates": 800}, "validation": {"every": 400}}, MULTI30K, "before the warm-up of 1,000 is over"),
        ({"limits": {"updates": 2000}, "validation": {"every": 4000}}, MULTI30K, "only the end is validated"),
        ({"limits": {"updates": 100_000}, "validation": {"patience": None}}, MULTI30K, "853 passes over this corpus"),
        ({}, Size(10**7, 2e8, 2e8), "0.1 of the corpus has been seen"),
    ],
)
def test_batches_and_limits_out_of_proportion_are_told(training: dict[str, Any], size: Size, told: str) -> None:
    (found,) = schedule(recipe(training), size)
    assert told in found.what


def test_usual_ones_are_left_alone() -> None:
    assert not schedule(recipe(), MULTI30K)
    assert not schedule(recipe({"limits": {"epochs": 10}}), MULTI30K)


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({"optimizer": {"learning_rate": 1.0}}, "very high"),
        ({"optimizer": {"learning_rate": 1e-6}}, "very low"),
        ({"optimizer": {"learning_rate": 1e-3}, "schedule": {"type": "noam"}}, "very low"),
    ],
)
def test_rates_far_from_what_suits_the_width_are_told(training: dict[str, Any], told: str) -> None:
    (found,) = learning_rate(recipe(training))
    assert told in found.what


@pytest.mark.parametrize(
    "training",
    [
        {"optimizer": {"learning_rate": 2e-3}},
        {"optimizer": {"learning_rate": 1.0}, "schedule": {"type": "noam"}},
        {"optimizer": {"type": "sgd", "learning_rate": 1.0}},
        {"optimizer": {"learning_rate": 1e-6}, "init_from": "runs/other"},
    ],
)
def test_rates_that_may_be_right_are_left_alone(training: dict[str, Any]) -> None:
    assert not learning_rate(recipe(training))
