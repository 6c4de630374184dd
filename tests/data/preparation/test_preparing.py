"""prepare makes a complete prepared folder, or none."""

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from preparing import MakeRecipe, Sentences, changed, contents, prepared

from nmt_cli import files
from nmt_cli.data.preparation.preparing import prepare
from nmt_cli.errors import DataError, RecipeError, RunInUseError
from nmt_cli.locks import lock


def test_prepared_tokens_and_text_equal_the_files(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    made = prepared(make_recipe(sentences(0, 60), sentences(1, 60)))
    corpus = made.train[0]
    assert corpus.read_text()[0] == sentences(0, 60)
    assert corpus.read_text()[1] == sentences(1, 60)
    pairs = corpus.read_all()
    for pair, (source, target) in enumerate(zip(sentences(0, 60), sentences(1, 60), strict=True)):
        assert pairs.sources[pair].tolist() == made.tokenizer.encode_source([source])[0]
        assert pairs.targets[pair].tolist() == made.tokenizer.encode_target([target])[0]
    assert list(made.valid) == ["corpus"]
    assert len(made.valid["corpus"]) == 5


def test_prepared_folder_contains_only_declared_files(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepared(recipe)
    kinds = {f"{side}.{kind}" for side in ("source", "target") for kind in ("bin", "offsets", "txt", "lines")}
    expected = {f"{corpus}/corpus/00000/{kind}" for corpus in ("train", "valid") for kind in kinds}
    tokenizer = {f"tokenizer/{name}" for name in ("tokenizer.json", "joint.model", "joint.vocabulary.json")}
    assert contents(recipe.data.prepared).keys() == expected | tokenizer | {files.MANIFEST}
    beside = {path.name for path in recipe.data.prepared.parent.glob("prepared*")}
    assert beside == {"prepared", "prepared.lock"}


def test_separate_vocabularies_have_the_size_of_the_recipe(make_recipe: MakeRecipe) -> None:
    tokenizer = prepared(make_recipe(joint=False, vocabulary_size=290)).tokenizer
    assert not tokenizer.joint
    assert tokenizer.source_size == tokenizer.target_size == 290


def test_small_vocabulary_is_stored_in_two_bytes_per_token(make_recipe: MakeRecipe) -> None:
    assert prepared(make_recipe()).train[0].read_all().sources[0].dtype == np.uint16


def test_long_pairs_are_dropped_only_from_training(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    long = " ".join(sentences(0, 40))
    recipe = make_recipe([*sentences(0, 60), long, "", "a"], [*sentences(1, 60), "b", "c", long * 100])
    recipe.data.valid["corpus"].files["source"].write_text(f"{long}\n\na\n")
    recipe.data.valid["corpus"].files["target"].write_text("b\nc\nd\n")
    made = prepared(recipe)
    assert made.train[0].max_length("source") <= recipe.data.max_length
    counts = made.manifest["corpora"]
    assert counts["train/corpus"]["dropped"] == {"empty": 1, "too_long": 2}
    assert counts["valid/corpus"]["dropped"] == {"empty": 1}
    assert made.valid["corpus"].read_text()[0] == [long, "a"]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("content", [b"", b"\n" * 60, "\xa0\n".encode() * 60])
def test_no_usable_training_pair_is_a_data_error(make_recipe: MakeRecipe, side: str, content: bytes) -> None:
    other = b"" if not content else b"text\n" * 60
    recipe = make_recipe(**{"source": other, "target": other, side: content})
    with pytest.raises(DataError, match=r"^corpus: "):
        prepare(recipe)
    assert not recipe.data.prepared.exists()


def test_no_usable_validation_pair_is_a_data_error(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    recipe.data.valid["corpus"].files["source"].write_text("\n" * 5)
    with pytest.raises(DataError, match=r"valid\.target: 0 .*\(5 empty\)"):
        prepare(recipe)
    assert not recipe.data.prepared.exists()


def test_only_too_long_pairs_is_a_data_error(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    recipe = changed(make_recipe([f"{line} a" for line in sentences(0, 60)]), max_length=1)
    with pytest.raises(DataError, match=r" 0 .*\(60 too_long\)"):
        prepare(recipe)


def test_line_of_ten_megabytes_is_dropped_as_too_long(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    huge = "x" * 9_000_000
    made = prepared(make_recipe([*sentences(0, 60), huge], [*sentences(1, 60), "b"], algorithm="bpe"))
    assert made.manifest["corpora"]["train/corpus"]["dropped"] == {"too_long": 1}


def test_vocabulary_too_large_for_the_text_leaves_no_files(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(vocabulary_size=8000)
    with pytest.raises(RecipeError, match=r"tokenizer\.vocabulary_size"):
        prepare(recipe)
    assert not recipe.data.prepared.exists()
    assert not files.leftovers(recipe.data.prepared.parent)


def test_failure_keeps_the_previous_data(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    before = contents(recipe.data.prepared)
    with recipe.data.train["corpus"].files["source"].open("ab") as file:
        file.write(b"one more\n")
    with pytest.raises(DataError, match=r"source .*61.*target .*60"):
        prepare(recipe)
    assert contents(recipe.data.prepared) == before


@pytest.mark.slow
def test_prepare_is_independent_of_the_hash_seed(make_recipe: MakeRecipe) -> None:
    program = (
        "import sys\n"
        "from nmt_cli.data.preparation.preparing import prepare\n"
        "from nmt_cli.recipe.schema import Recipe\n"
        "prepare(Recipe.model_validate_json(sys.argv[1]))\n"
    )
    results = []
    for seed in ("0", "1", "random"):
        recipe = make_recipe()
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, recipe.model_dump_json()], env=environment, check=True)
        results.append(contents(recipe.data.prepared))
        shutil.rmtree(recipe.data.prepared)
    assert results[0] == results[1] == results[2]


def test_compressed_files_give_the_same_data(make_recipe: MakeRecipe) -> None:
    plain = prepared(make_recipe()).fingerprint
    recipe = make_recipe()
    source = recipe.data.train["corpus"].files["source"]
    source.write_bytes(gzip.compress(source.read_bytes()))
    assert prepared(recipe).fingerprint == plain


def test_foreign_files_are_never_replaced(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    folder = recipe.data.prepared
    folder.write_text("precious")
    with pytest.raises(DataError, match=re.escape(f"{folder}: ")):
        prepare(recipe)
    assert folder.read_text() == "precious"

    folder.unlink()
    folder.mkdir()
    (folder / "precious").write_text("precious")
    with pytest.raises(DataError, match=re.escape(f"{folder}: ")):
        prepare(recipe)
    (folder / files.MANIFEST).write_text('{"kind": "something else"}')
    with pytest.raises(DataError, match=re.escape(f"{folder}: ")):
        prepare(recipe)
    assert sorted(contents(folder)) == [files.MANIFEST, "precious"]


def test_input_that_is_not_a_regular_file_is_named(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe()
    source = recipe.data.train["corpus"].files["source"]
    source.unlink()
    with pytest.raises(DataError, match=r"train\.source: "):
        prepare(recipe)
    os.mkfifo(source)
    with pytest.raises(DataError, match=r"train\.source: .*regular"):
        prepare(recipe)
    source.unlink()
    source.mkdir()
    with pytest.raises(DataError, match=r"train\.source: .*directory"):
        prepare(recipe)


def test_second_process_raises_run_in_use(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    with lock(recipe.data.prepared.with_name("prepared.lock")), pytest.raises(RunInUseError):
        prepare(recipe)


def test_input_changed_while_read_leaves_no_data(make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe()
    source = recipe.data.train["corpus"].files["source"]
    whole = source.read_bytes()
    from nmt_cli.data.preparation import preparing

    train_tokenizer = preparing.train_tokenizer

    def train_while_others_write(*arguments: object) -> object:
        learned = train_tokenizer(*arguments)  # type: ignore[arg-type]
        source.write_bytes(whole.replace(b"a", b"b"))
        return learned

    monkeypatch.setattr(preparing, "train_tokenizer", train_while_others_write)
    with pytest.raises(DataError, match=r"train\.source: "):
        prepare(recipe)
    monkeypatch.undo()
    source.write_bytes(whole)
    after = prepared(recipe).fingerprint
    assert after == prepared(make_recipe()).fingerprint
