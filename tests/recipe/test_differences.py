"""Differences between recipes, and those that are allowed when a run is resumed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt_cli.errors import RecipeError
from nmt_cli.recipe.loading import load_recipe
from nmt_cli.recipe.schema import Recipe, SettingChange, changed_settings, check_resumable

Load = Callable[..., Recipe]


@pytest.fixture
def load(good: str, write: Callable[[str], Path]) -> Load:
    return lambda *overrides: load_recipe(write(good), overrides)


def test_equal_recipes_have_no_changed_settings(load: Load) -> None:
    assert changed_settings(load(), load("model.dropout=0.1")) == []


@pytest.mark.parametrize(
    "option",
    [
        "run=elsewhere",
        "training.limits.updates=200",
        "training.limits.epochs=3",
        "training.optimizer.learning_rate=2e-3",
        "training.optimizer.weight_decay=0.1",
        "training.schedule.warmup=50",
        "training.clip_norm=null",
        "training.label_smoothing=0.2",
        "training.logging.every=1",
        "training.validation.metric=chrf",
        "training.checkpoints.keep_best=2",
        "evaluation.samples=3",
    ],
)
def test_check_resumable_allows_changes_of_limits_logging_and_validation(option: str, load: Load) -> None:
    new = load(option)
    assert len(changed_settings(load(), new)) == 1
    check_resumable(load(), new)


def test_check_resumable_rejects_other_changes_by_key(load: Load) -> None:
    new = load("seed=2", "training.optimizer.epsilon=0.1", "training.limits.updates=7", "training.ema_decay=0.9")
    with pytest.raises(RecipeError) as caught:
        check_resumable(load(), new)
    lines = str(caught.value).split("\n")
    assert [re.findall(r"^(\S+): was (\S+) .* now (\S+);", line) for line in lines] == [
        [("seed", "1", "2")],
        [("training.optimizer.epsilon", "1e-09", "0.1")],
        [("training.ema_decay", "null", "0.9")],
    ]


def test_changed_settings_of_corpora_by_name(load: Load) -> None:
    new = load("data.train={more: {source: m.en, target: news.de}}")
    assert changed_settings(load(), new) == [
        SettingChange("data.train.news.format", '"lines"', "null"),
        SettingChange("data.train.news.source", '"news.en"', "null"),
        SettingChange("data.train.news.target", '"news.de"', "null"),
        SettingChange("data.train.news.weight", "1.0", "null"),
        SettingChange("data.train.more.format", "null", '"lines"'),
        SettingChange("data.train.more.source", "null", '"m.en"'),
        SettingChange("data.train.more.target", "null", '"news.de"'),
        SettingChange("data.train.more.weight", "null", "1.0"),
    ]
    with pytest.raises(RecipeError):
        check_resumable(load(), new)


def test_changed_settings_of_a_filter_have_its_index(load: Load) -> None:
    new = load(
        "data.filters=[{type: length, max: 300}, {type: ratio}, {type: repeats}, {type: overlap}, {type: duplicates}]"
    )
    assert changed_settings(load(), new) == [
        SettingChange("data.filters.1.max", "2000", "300"),
        SettingChange("data.filters.3.type", '"identical"', '"repeats"'),
    ]


def test_changed_settings_of_lists_of_different_length(load: Load) -> None:
    old, new = load("data.filters=[]"), load("data.filters=[{type: repeats}]")
    assert changed_settings(old, new) == [SettingChange("data.filters", "[]", '[{"type": "repeats"}]')]
    assert changed_settings(old, load("data.filters=[]")) == []
