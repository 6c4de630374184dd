"""The prepared folder is whole and belongs to its recipe, or it is not believed."""

import os
from contextlib import suppress

import pytest
from preparing import MakeRecipe, Sentences, aligned, changed, contents, prepared

from nmt_cli import files
from nmt_cli.data.preparation.preparing import prepare
from nmt_cli.data.prepared import HASHES, is_current, open_prepared
from nmt_cli.errors import DataError


def test_the_seed_of_the_run_does_not_matter(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    assert is_current(recipe.model_copy(update={"seed": 2}))


def test_how_corpora_are_mixed_does_not_matter(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    train = {"corpus": recipe.data.train["corpus"].model_dump() | {"weight": 2.0}}
    assert is_current(changed(recipe, train=train))


def test_only_new_times_of_the_files_are_nothing_new(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    os.utime(recipe.data.train["corpus"].files["source"], (0, 0))
    assert is_current(recipe)
    open_prepared(recipe)


@pytest.mark.parametrize("corpus", ["train", "valid"])
def test_a_changed_file_is_noticed(make_recipe: MakeRecipe, corpus: str) -> None:
    recipe = make_recipe()
    prepare(recipe)
    target = getattr(recipe.data, corpus)["corpus"].files["target"]
    content = bytearray(target.read_bytes())
    content[0] ^= 1
    target.write_bytes(content)
    assert not is_current(recipe)
    with pytest.raises(DataError, match=rf"{corpus}\.target: has changed since it was prepared; run `nmt preprocess`"):
        open_prepared(recipe)


def test_changed_alignments_are_noticed(make_recipe: MakeRecipe) -> None:
    prepare(aligned(make_recipe(), ["0-0"] * 60))
    recipe = aligned(make_recipe(), [""] * 60)
    assert not is_current(recipe)
    with pytest.raises(DataError, match=r"train\.alignment: has changed"):
        open_prepared(recipe)


def test_alignments_are_asked_for_and_given_up_by_the_recipe(make_recipe: MakeRecipe) -> None:
    plain, linked = make_recipe(), aligned(make_recipe(), ["0-0"] * 60)
    for old, new in ((plain, linked), (linked, plain)):
        prepare(old)
        assert not is_current(new)


def test_prepared_data_is_enough_to_train_on(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    recipe.data.train["corpus"].files["source"].unlink()
    assert not is_current(recipe)
    assert len(open_prepared(recipe).train[0]) == 60


def test_a_changed_recipe_is_noticed_by_key(make_recipe: MakeRecipe) -> None:
    prepare(make_recipe())
    for recipe, key in (
        (make_recipe(algorithm="bpe"), r"tokenizer\.algorithm unigram, but the recipe says bpe"),
        (changed(make_recipe(), max_length=81), r"data\.max_length 80, but the recipe says 81"),
        (changed(make_recipe(), filters=[{"type": "identical"}]), r"data\.filters \[\], but the recipe says"),
    ):
        assert not is_current(recipe)
        with pytest.raises(DataError, match=key):
            open_prepared(recipe)


def test_data_that_is_not_there_names_the_command(make_recipe: MakeRecipe) -> None:
    with pytest.raises(DataError, match="run `nmt preprocess`"):
        open_prepared(make_recipe())


def test_any_damaged_or_missing_file_is_noticed_and_mended(make_recipe: MakeRecipe) -> None:
    recipe = aligned(make_recipe(), ["0-0"] * 60)
    prepare(recipe)
    whole = contents(recipe.data.prepared)
    for name in whole:
        path = recipe.data.prepared / name
        damaged = bytearray(whole[name])
        damaged[len(damaged) // 2] ^= 4
        for content in (bytes(damaged), whole[name][:-1], None):
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
            if name != files.MANIFEST:
                assert not is_current(recipe)
                with pytest.raises(DataError, match="run `nmt preprocess` again"):
                    open_prepared(recipe)
        path.write_bytes(whole[name])
    (recipe.data.prepared / "train/corpus/00000/source.bin").unlink()
    prepare(recipe)
    assert contents(recipe.data.prepared) == whole


def test_what_was_found_whole_is_not_read_again_until_it_changes(
    make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe()
    prepare(recipe)
    read, sha256 = [], files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: (read.append(path), sha256(path))[1])
    open_prepared(recipe)
    assert read == []
    os.utime(recipe.data.prepared / "train/corpus/00000/source.bin")
    open_prepared(recipe)
    open_prepared(recipe)
    assert [path.name for path in read] == ["source.bin"]


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', None])
def test_without_what_spares_time_all_is_read_again(make_recipe: MakeRecipe, content: str | None) -> None:
    recipe = make_recipe()
    prepare(recipe)
    hashes = recipe.data.prepared / HASHES
    hashes.unlink()
    if content is not None:
        hashes.write_text(content)
    assert is_current(recipe)
    open_prepared(recipe)


def test_a_damaged_manifest_is_never_a_crash(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    manifest = recipe.data.prepared / files.MANIFEST
    whole = manifest.read_bytes()
    for place in range(0, len(whole), 31):
        manifest.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with suppress(DataError):  # some bits do not matter, such as those of counts
            open_prepared(recipe)


def test_fingerprints_tell_data_apart(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    one = prepared(make_recipe()).fingerprint
    assert prepared(make_recipe()).fingerprint == one
    assert prepared(make_recipe(source=sentences(7, 60))).fingerprint != one
