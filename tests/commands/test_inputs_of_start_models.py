"""`training.start_from`: length tags and context are those of the model unless the recipe gives them."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from toy_model import FINE_TUNING_RECIPE, WORDS, save_toy_model

from nmt_cli import files
from nmt_cli.commands.loading import load_model
from nmt_cli.commands.preprocess import preprocess
from nmt_cli.commands.starting import with_start
from nmt_cli.commands.train import train
from nmt_cli.errors import ModelError, RecipeError
from nmt_cli.recipe.data import Context
from nmt_cli.recipe.loading import load_recipe

TAGS = ["length:short", "length:normal", "length:long", "sep"]


def save_base(settings: Mapping[str, object]) -> None:
    """Write the model `base` with settings in its configuration."""
    save_toy_model(Path("base"), TAGS, check=False)
    config = files.read_json(Path("base/config.json"), ModelError)
    files.write_json(Path("base/config.json"), {**config, **settings})
    files.write_manifest(Path("base"), {"format": 1, "averaged_updates": [1]})


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that starts from `base`, which has length tags and context."""
    monkeypatch.chdir(tmp_path)
    save_base({"length_tags": True, "context": {"sentences": 3, "target": False}})
    Path("text").write_text("".join(f"{word} {word}\n" for word in WORDS))
    Path("recipe.yaml").write_text(FINE_TUNING_RECIPE)
    return Path("recipe.yaml")


def test_settings_that_the_recipe_lacks_are_those_of_the_model(recipe: Path) -> None:
    data = with_start(load_recipe(recipe)).data
    assert (data.length_tags, data.context) == (True, Context(sentences=3, target=False))


def test_settings_of_the_recipe_take_precedence(recipe: Path) -> None:
    data = with_start(load_recipe(recipe, ["data.length_tags=false", "data.context=null"])).data
    assert (data.length_tags, data.context) == (False, None)
    assert with_start(load_recipe(recipe, ["data.context={sentences: 2}"])).data.context == Context(sentences=2)


def test_settings_that_contradict_the_data_are_named_with_their_origin(recipe: Path) -> None:
    with pytest.raises(RecipeError, match=r"^data\.length_tags: .*that of training\.start_from: base, unless"):
        with_start(load_recipe(recipe, ["data.language_tags=true"]))


def test_resumed_run_keeps_its_settings_without_the_model(recipe: Path) -> None:
    save_base({"length_tags": True})
    preprocess(load_recipe(recipe))
    train(recipe)
    assert load_model(Path("run")).config.length_tags
    Path("base").rename("elsewhere")
    assert with_start(load_recipe(recipe)).data.length_tags
