"""Tags of the length of each training pair in prepared data."""

from typing import Any

import pytest
from preparing import MakeRecipe, Sentences, changed, contents, prepared

from nmt_cli.data.context import TEXT_SEPARATOR
from nmt_cli.data.prepared import Prepared, is_current
from nmt_cli.recipe.schema import Recipe


def tags_before(made: Prepared, name: str = "train") -> list[list[str]]:
    """Return the tags before each source of the training corpus or the validation set."""
    corpus = made.train[0] if name == "train" else made.valid["corpus"]
    names = {i: tag for tag, i in made.tokenizer.source.tags.items()}
    rows = corpus.read_all().sources
    return [[names[i] for i in rows[pair].tolist() if i in names] for pair in range(len(rows))]


def classes(made: Prepared, low: float, high: float) -> list[str]:
    """Return the tag that each training pair should have; in context, that of its last sentence."""
    found = []
    for pair in zip(*made.train[0].read_text(), strict=True):
        source, target = (len(line.rpartition(TEXT_SEPARATOR)[2]) for line in pair)
        found.append(f"length:{'short' if target / source < low else 'long' if target / source > high else 'normal'}")
    return found


@pytest.mark.parametrize("settings", [{}, {"max_length": 80}])
def test_default_bounds_divide_the_pairs_into_three_parts(make_recipe: MakeRecipe, settings: dict[str, Any]) -> None:
    made = prepared(changed(make_recipe(), length_tags=True, **settings))
    low, high = made.adapted["data.length_bounds"]
    tags = tags_before(made)
    assert tags == [[each] for each in classes(made, low, high)]
    assert all(18 <= tags.count([f"length:{each}"]) <= 22 for each in ("short", "normal", "long"))


def test_given_bounds_classify_training_pairs(make_recipe: MakeRecipe) -> None:
    made = prepared(changed(make_recipe(), length_tags=True, length_bounds=[0.5, 2.0]))
    assert tags_before(made) == [[each] for each in classes(made, 0.5, 2.0)]
    assert "data.length_bounds" not in made.adapted


def test_validation_sets_have_the_normal_length(make_recipe: MakeRecipe) -> None:
    made = prepared(changed(make_recipe(), length_tags=True, length_bounds=[0.9, 1.1]))
    assert tags_before(made, "valid") == [["length:normal"]] * 5


def test_tag_of_the_length_follows_that_of_the_corpus_and_precedes_context(
    make_recipe: MakeRecipe, sentences: Sentences
) -> None:
    recipe = make_recipe(sentences(0, 30), sentences(1, 30))
    train = {"corpus": recipe.data.train["corpus"].model_dump() | {"tag": "bt"}}
    made = prepared(changed(recipe, train=train, length_tags=True, context={"sentences": 1}))
    expected = classes(made, *made.adapted["data.length_bounds"])
    assert tags_before(made)[1:] == [["bt", each, "sep"] for each in expected[1:]]


def test_result_does_not_depend_on_processes_and_stays_current(make_recipe: MakeRecipe) -> None:
    recipe = changed(make_recipe(), length_tags=True)
    prepared(recipe, processes=2)
    found = contents(recipe.data.prepared)
    assert is_current(recipe)
    prepared(recipe)
    assert contents(recipe.data.prepared) == found
    assert not is_current(changed(recipe, length_tags=False))
    assert not is_current(changed(recipe, length_bounds=[0.9, 1.1]))


def test_pretrained_tokenizer_needs_the_text_for_bounds(make_recipe: MakeRecipe) -> None:
    recipe: Recipe = make_recipe()
    tokenizer = prepared(changed(recipe, length_tags=True)).tokenizer
    again = recipe.with_value("tokenizer.path", recipe.data.prepared / "tokenizer")
    made = prepared(changed(again, length_tags=True), tokenizer)
    assert tags_before(made) == [[each] for each in classes(made, *made.adapted["data.length_bounds"])]
