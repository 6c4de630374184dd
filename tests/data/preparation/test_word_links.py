"""Word alignments in prepared data."""

import pytest
from preparing import MakeRecipe, Sentences, aligned, changed, links_of, prepared

from nmt_cli.data.preparation.preparing import prepare
from nmt_cli.data.prepared import is_current
from nmt_cli.errors import DataError


def test_dropped_pair_drops_its_alignment(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    long = " ".join(sentences(0, 40))
    recipe = make_recipe(
        ["a b", "", *sentences(0, 60), long, "x" * 90, "a"], ["c d", "x", *sentences(1, 60), "b", "b", "c"]
    )
    recipe = aligned(recipe, ["0-1 1-0", "7-7", *[""] * 60, "100-0", "0-0", "0-0"])
    assert prepared(recipe).manifest["corpora"]["train/corpus"]["dropped"] == {"empty": 1, "too_long": 2}
    assert links_of(recipe) == [[[0, 1], [1, 0]], *[[]] * 60, [[0, 0]]]
    assert is_current(recipe)


def test_duplicate_drops_its_alignment(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    recipe = make_recipe(["a b", "a b", *sentences(0, 60), "a"], ["c d", "c d", *sentences(1, 60), "c"])
    recipe = aligned(recipe, ["0-1 1-0", "0-0", *[""] * 60, "0-0"])
    recipe = changed(recipe, filters=[{"type": "duplicates"}])
    assert prepared(recipe).manifest["corpora"]["train/corpus"]["dropped"] == {"duplicates": 1}
    assert links_of(recipe) == [[[0, 1], [1, 0]], *[[]] * 60, [[0, 0]]]


def test_alignment_indices_refer_to_raw_words(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    recipe = make_recipe(["1\xa0000 b", *sentences(0, 60)], ["c d", *sentences(1, 60)], normalization="nfkc")
    recipe = aligned(recipe, ["0-0 1-1", *[""] * 60])
    prepare(recipe)
    assert links_of(recipe)[0] == [[0, 0], [1, 0], [2, 1]]


@pytest.mark.parametrize("lines", [0, 59, 61])
def test_alignment_file_of_other_length_is_a_data_error(make_recipe: MakeRecipe, lines: int) -> None:
    recipe = aligned(make_recipe(), [""] * lines)
    with pytest.raises(DataError, match=rf"source .*60.*train\.alignment .*\b{lines}\b"):
        prepare(recipe)
    assert not recipe.data.prepared.exists()


def test_link_of_missing_word_is_reported_with_file_and_line(make_recipe: MakeRecipe) -> None:
    with pytest.raises(DataError, match=r"train\.alignment: line 3: link 99-0: "):
        prepare(aligned(make_recipe(), ["", "0-0", "99-0", *[""] * 57]))
