"""What may change when a run goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.differences import Change, changes, refuse_changes
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe

Load = Callable[..., Recipe]


@pytest.fixture
def load(good: str, write: Callable[[str], Path]) -> Load:
    return lambda *overrides: load_recipe(write(good), overrides)


def test_equal_recipes_have_no_changes(load: Load) -> None:
    assert changes(load(), load("model.dropout=0.1")) == []


@pytest.mark.parametrize(
    "option",
    [
        "run=elsewhere",
        "training.limits.updates=200",
        "training.limits.epochs=3",
        "training.logging.every=1",
        "training.validation.metric=chrf",
        "training.checkpoints.keep_best=2",
        "evaluation.samples=3",
    ],
)
def test_limits_logging_validation_keep_settings_and_tests_may_change(option: str, load: Load) -> None:
    new = load(option)
    assert len(changes(load(), new)) == 1
    refuse_changes(load(), new)


def test_every_other_change_is_refused_by_key(load: Load) -> None:
    new = load(
        "seed=2", "training.optimizer.learning_rate=2e-3", "training.limits.updates=7", "training.clip_norm=null"
    )
    with pytest.raises(RecipeError) as caught:
        refuse_changes(load(), new)
    advice = "put it back, or start anew with --fresh"
    assert str(caught.value).split("\n") == [
        f"seed: was 1 when the run began, now 2; {advice}",
        f"training.clip_norm: was 1.0 when the run began, now nothing; {advice}",
        f"training.optimizer.learning_rate: was 0.001 when the run began, now 0.002; {advice}",
    ]


def test_corpora_by_name_are_settings(load: Load) -> None:
    new = load("data.train={more: {source: m.en, target: news.de}}")
    assert changes(load(), new) == [
        Change("data.train.news.format", '"lines"', "nothing"),
        Change("data.train.news.source", '"news.en"', "nothing"),
        Change("data.train.news.target", '"news.de"', "nothing"),
        Change("data.train.news.weight", "1.0", "nothing"),
        Change("data.train.more.format", "nothing", '"lines"'),
        Change("data.train.more.source", "nothing", '"m.en"'),
        Change("data.train.more.target", "nothing", '"news.de"'),
        Change("data.train.more.weight", "nothing", "1.0"),
    ]
    with pytest.raises(RecipeError):
        refuse_changes(load(), new)


def test_a_filter_is_told_by_its_number_and_key(load: Load) -> None:
    new = load(
        "data.filters=[{type: length, max: 300}, {type: ratio}, {type: repeats}, {type: overlap}, {type: duplicates}]"
    )
    assert changes(load(), new) == [
        Change("data.filters.1.max", "2000", "300"),
        Change("data.filters.3.type", '"identical"', '"repeats"'),
    ]


def test_lists_of_other_lengths_are_told_whole(load: Load) -> None:
    old, new = load("data.filters=[]"), load("data.filters=[{type: repeats}]")
    assert changes(old, new) == [Change("data.filters", "[]", '[{"type": "repeats"}]')]
    assert changes(old, load("data.filters=[]")) == []
