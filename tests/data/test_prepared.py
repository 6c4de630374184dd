"""Prepared data is used only if it is complete and belongs to its recipe."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from preparing import MakeRecipe, Sentences, aligned, changed, contents, prepared

from nmt_cli import files
from nmt_cli.data.preparation.corpora import HashCache
from nmt_cli.data.preparation.preparing import prepare
from nmt_cli.data.prepared import HASHES, is_current, open_prepared
from nmt_cli.errors import DataError


def test_is_current_ignores_seed(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    assert is_current(recipe.model_copy(update={"seed": 2}))


def test_is_current_ignores_mixing(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    train = {"corpus": recipe.data.train["corpus"].model_dump() | {"weight": 2.0}}
    assert is_current(changed(recipe, train=train))


def test_is_current_ignores_file_times(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    os.utime(recipe.data.train["corpus"].files["source"], (0, 0))
    assert is_current(recipe)
    open_prepared(recipe)


@pytest.mark.parametrize("corpus", ["train", "valid"])
def test_changed_input_is_an_error(make_recipe: MakeRecipe, corpus: str) -> None:
    recipe = make_recipe()
    prepare(recipe)
    target = getattr(recipe.data, corpus)["corpus"].files["target"]
    content = bytearray(target.read_bytes())
    content[0] ^= 1
    target.write_bytes(content)
    assert not is_current(recipe)
    with pytest.raises(DataError, match=rf"{corpus}\.target: "):
        open_prepared(recipe)


def test_new_or_changed_test_set_is_a_warning(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    recipe = changed(make_recipe(), filters=[{"type": "overlap"}])
    prepare(recipe)
    assert open_prepared(recipe).warnings == []
    source, target = recipe.run.with_name("test.en"), recipe.run.with_name("test.de")
    for lines in (sentences(3, 2), sentences(4, 2)):
        for path in (source, target):
            path.write_text("".join(f"{line}\n" for line in lines))
        recipe = changed(recipe, test={"news": {"source": source, "target": [target]}})
        [warning] = open_prepared(recipe).warnings
        assert warning.startswith(f"{source.parent}/test.") and "overlap" in warning
        assert not is_current(recipe)
        prepare(recipe)
        assert open_prepared(recipe).warnings == []
    assert open_prepared(changed(recipe, test={})).warnings == []


def test_changed_alignments_are_an_error(make_recipe: MakeRecipe) -> None:
    prepare(aligned(make_recipe(), ["0-0"] * 60))
    recipe = aligned(make_recipe(), [""] * 60)
    assert not is_current(recipe)
    with pytest.raises(DataError, match=r"train\.alignment: "):
        open_prepared(recipe)


def test_recipe_with_and_without_alignments_differ(make_recipe: MakeRecipe) -> None:
    plain, linked = make_recipe(), aligned(make_recipe(), ["0-0"] * 60)
    for old, new in ((plain, linked), (linked, plain)):
        prepare(old)
        assert not is_current(new)


def test_open_prepared_works_without_inputs(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    recipe.data.train["corpus"].files["source"].unlink()
    assert not is_current(recipe)
    assert len(open_prepared(recipe).train[0]) == 60


def test_changed_recipe_is_reported_by_key(make_recipe: MakeRecipe) -> None:
    prepare(make_recipe())
    for recipe, key in (
        (make_recipe(algorithm="bpe"), r"tokenizer\.algorithm unigram, .*bpe"),
        (changed(make_recipe(), max_length=81), r"data\.max_length 80, .*81"),
        (changed(make_recipe(), filters=[{"type": "identical"}]), r"data\.filters \[\], "),
        (changed(make_recipe(), sequence={"source_eos": False}), r"data\.sequence .*'source_eos': True"),
    ):
        assert not is_current(recipe)
        with pytest.raises(DataError, match=key):
            open_prepared(recipe)


def test_removed_sequence_settings_are_a_change(make_recipe: MakeRecipe) -> None:
    prepare(changed(make_recipe(), sequence={"source_eos": False}))
    with pytest.raises(DataError, match=r"data\.sequence .*'source_eos': False"):
        open_prepared(make_recipe())


def test_missing_data_names_the_command(make_recipe: MakeRecipe) -> None:
    with pytest.raises(DataError, match="`nmt preprocess`"):
        open_prepared(make_recipe())


def test_damaged_or_missing_file_is_detected_and_repaired(make_recipe: MakeRecipe) -> None:
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
                with pytest.raises(DataError, match="`nmt preprocess`"):
                    open_prepared(recipe)
        path.write_bytes(whole[name])
    (recipe.data.prepared / "train/corpus/00000/source.bin").unlink()
    prepare(recipe)
    assert contents(recipe.data.prepared) == whole


def test_valid_files_are_not_read_again_until_they_change(
    make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe()
    prepare(recipe)
    read, sha256 = [], files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: (read.append(path), sha256(path))[1])
    open_prepared(recipe)
    assert read == []
    os.utime(recipe.data.prepared / "train/corpus/00000/source.bin")
    time.sleep(0.05)  # a file that has just been changed is read again, as it may change again at the same time
    open_prepared(recipe)
    open_prepared(recipe)
    assert [path.name for path in read] == ["source.bin"]


def test_hash_of_file_that_changes_while_it_is_read_is_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, hashes, sha256 = tmp_path / "text", HashCache(tmp_path / HASHES), files.sha256
    path.write_text("old")
    time.sleep(0.05)

    def hash_and_change(path: Path) -> str:
        digest = sha256(path)
        path.write_text("new")
        time.sleep(0.05)
        return digest

    monkeypatch.setattr(files, "sha256", hash_and_change)
    hashes.of(path)
    monkeypatch.setattr(files, "sha256", sha256)
    assert hashes.of(path) == sha256(path)


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', None])
def test_without_hash_cache_all_files_are_read(make_recipe: MakeRecipe, content: str | None) -> None:
    recipe = make_recipe()
    prepare(recipe)
    hashes = recipe.data.prepared / HASHES
    hashes.unlink()
    if content is not None:
        hashes.write_text(content)
    assert is_current(recipe)
    open_prepared(recipe)


def test_damaged_manifest_is_a_data_error(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    manifest = recipe.data.prepared / files.MANIFEST
    whole = manifest.read_bytes()
    for place in range(0, len(whole), 31):
        manifest.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with suppress(DataError):  # some bits do not matter, such as those of counts
            open_prepared(recipe)


def test_fingerprint_differs_for_different_data(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    one = prepared(make_recipe()).fingerprint
    assert prepared(make_recipe()).fingerprint == one
    assert prepared(make_recipe(source=sentences(7, 60))).fingerprint != one
