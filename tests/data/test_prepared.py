"""The prepared folder is whole and belongs to its recipe, or it is not believed."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from nmt_cli import files
from nmt_cli.data.prepared import is_current, open_prepared, prepare
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError, RecipeError, RunInUseError
from nmt_cli.recipe.schema import Recipe

MakeRecipe = Callable[..., Recipe]
Sentences = Callable[[int, int], list[str]]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def changed(recipe: Recipe, **data: object) -> Recipe:
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=data)})


def test_tokens_and_text_are_those_of_the_files(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    recipe = make_recipe(sentences(0, 60), sentences(1, 60))
    prepared = prepare(recipe)
    corpus = prepared.train[0]
    assert corpus.source_text() == sentences(0, 60)
    assert corpus.target_text() == sentences(1, 60)
    for pair, (source, target) in enumerate(zip(sentences(0, 60), sentences(1, 60), strict=True)):
        assert corpus.source(pair).tolist() == prepared.tokenizer.encode_source([source])[0]
        assert corpus.target(pair).tolist() == prepared.tokenizer.encode_target([target])[0]
        assert corpus.source_lengths[pair] == len(corpus.source(pair))
        assert corpus.target_lengths[pair] == len(corpus.target(pair))
    assert list(prepared.valid) == ["corpus"]
    assert len(prepared.valid["corpus"]) == 5


def test_the_folder_holds_what_is_read_and_nothing_else(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    kinds = {f"{side}.{kind}" for side in ("source", "target") for kind in ("bin", "offsets", "txt")}
    expected = {f"{corpus}/corpus/{kind}" for corpus in ("train", "valid") for kind in kinds}
    tokenizer = {f"tokenizer/{name}" for name in ("tokenizer.json", "joint.model", "joint.vocabulary.json")}
    assert contents(recipe.data.prepared).keys() == expected | tokenizer | {files.MANIFEST}


def test_separate_vocabularies_have_sizes_of_their_own(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(joint=False, vocabulary_size=290)
    tokenizer = prepare(recipe).tokenizer
    assert not tokenizer.joint
    assert tokenizer.source_size == tokenizer.target_size == 290


def test_small_vocabularies_take_two_bytes_a_token(make_recipe: MakeRecipe) -> None:
    prepared = prepare(make_recipe())
    assert prepared.train[0].source(0).dtype == np.uint16


def test_long_pairs_are_dropped_from_training_but_not_from_validation(
    make_recipe: MakeRecipe, sentences: Sentences
) -> None:
    long = " ".join(sentences(0, 40))
    recipe = make_recipe([*sentences(0, 60), long, "", "a"], [*sentences(1, 60), "b", "c", long * 100])
    (recipe.data.valid["corpus"].source).write_text(f"{long}\n\na\n")
    (recipe.data.valid["corpus"].target).write_text("b\nc\nd\n")
    prepared = prepare(recipe)
    assert prepared.train[0].source_lengths.max() <= recipe.data.max_length
    counts = prepared.manifest["corpora"]
    assert counts["train/corpus"]["dropped"] == {"empty": 1, "too_long": 2}
    assert counts["valid/corpus"]["dropped"] == {"empty": 1}
    assert prepared.valid["corpus"].source_text() == [long, "a"]
    for count in counts.values():
        assert count["read"] == count["kept"] + sum(count["dropped"].values())


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("content", [b"", b"\n" * 60, "\xa0\n".encode() * 60])
def test_no_usable_pair_is_an_error_that_says_why(make_recipe: MakeRecipe, side: str, content: bytes) -> None:
    other = b"" if not content else b"text\n" * 60
    recipe = make_recipe(**{"source": other, "target": other, side: content})
    with pytest.raises(DataError, match=r"0 usable pairs of \d+ read"):
        prepare(recipe)
    assert not recipe.data.prepared.exists()


def test_all_pairs_too_long_is_an_error_that_says_why(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    recipe = changed(make_recipe([f"{line} a" for line in sentences(0, 60)]), max_length=1)
    with pytest.raises(DataError, match=r"0 usable pairs of 60 read \(60 too_long\)"):
        prepare(recipe)


def test_a_line_of_ten_megabytes_is_dropped_and_counted(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    huge = "x" * 9_000_000
    prepared = prepare(make_recipe([*sentences(0, 60), huge], [*sentences(1, 60), "b"], algorithm="bpe"))
    assert prepared.manifest["corpora"]["train/corpus"]["dropped"] == {"too_long": 1}


def test_a_vocabulary_too_large_for_the_text_leaves_nothing_behind(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(vocabulary_size=8000)
    with pytest.raises(RecipeError, match=r"tokenizer\.vocabulary_size"):
        prepare(recipe)
    assert not recipe.data.prepared.exists()
    assert not files.temporary(recipe.data.prepared).exists()


def test_a_failure_leaves_the_older_data_as_it_was(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    before = contents(recipe.data.prepared)
    with recipe.data.train["corpus"].source.open("ab") as file:
        file.write(b"one more\n")
    with pytest.raises(DataError, match=r"61 lines, but .* has 60"):
        prepare(recipe)
    assert contents(recipe.data.prepared) == before


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes_whatever_the_hash_seed(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    results = []
    for seed in ("0", "1", "random"):
        recipe = make_recipe()
        run_in_new_process(recipe, "prepare(recipe)", PYTHONHASHSEED=seed)
        results.append(contents(recipe.data.prepared))
        shutil.rmtree(recipe.data.prepared)
    assert results[0] == results[1] == results[2]


def test_the_seed_of_the_run_does_not_matter(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    assert is_current(recipe.model_copy(update={"seed": 2}))


def test_only_new_times_of_the_files_are_nothing_new(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    os.utime(recipe.data.train["corpus"].source, (0, 0))
    assert is_current(recipe)
    open_prepared(recipe)


@pytest.mark.parametrize("corpus", ["train", "valid"])
def test_a_changed_file_is_noticed(make_recipe: MakeRecipe, corpus: str) -> None:
    recipe = make_recipe()
    prepare(recipe)
    target = getattr(recipe.data, corpus)["corpus"].target
    content = bytearray(target.read_bytes())
    content[0] ^= 1
    target.write_bytes(content)
    assert not is_current(recipe)
    with pytest.raises(DataError, match=rf"{corpus}\.target: has changed since it was prepared; run `nmt preprocess`"):
        open_prepared(recipe)


def test_prepared_data_is_enough_to_train_on(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    recipe.data.train["corpus"].source.unlink()
    assert not is_current(recipe)
    assert len(open_prepared(recipe).train[0]) == 60


def test_a_changed_recipe_is_noticed_by_key(make_recipe: MakeRecipe) -> None:
    prepare(make_recipe())
    for recipe, key in (
        (make_recipe(algorithm="bpe"), r"tokenizer\.algorithm unigram, but the recipe says bpe"),
        (changed(make_recipe(), max_length=81), r"data\.max_length 80, but the recipe says 81"),
    ):
        assert not is_current(recipe)
        with pytest.raises(DataError, match=key):
            open_prepared(recipe)


def test_data_that_is_not_there_names_the_command(make_recipe: MakeRecipe) -> None:
    with pytest.raises(DataError, match="run `nmt preprocess`"):
        open_prepared(make_recipe())


def test_any_damaged_or_missing_file_is_noticed_and_mended(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
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
    (recipe.data.prepared / "train/corpus/source.bin").unlink()
    prepare(recipe)
    assert contents(recipe.data.prepared) == whole


def test_a_damaged_manifest_is_never_a_crash(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    prepare(recipe)
    manifest = recipe.data.prepared / files.MANIFEST
    whole = manifest.read_bytes()
    for place in range(0, len(whole), 13):
        manifest.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with suppress(DataError):  # some bits do not matter, such as those of counts
            open_prepared(recipe)


def test_fingerprints_tell_data_apart(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    one = prepare(make_recipe()).fingerprint
    assert prepare(make_recipe()).fingerprint == one
    assert prepare(make_recipe(source=sentences(7, 60))).fingerprint != one


def test_packed_files_give_the_same_data(make_recipe: MakeRecipe) -> None:
    plain = prepare(make_recipe()).fingerprint
    recipe = make_recipe()
    source = recipe.data.train["corpus"].source
    source.write_bytes(gzip.compress(source.read_bytes()))
    assert prepare(recipe).fingerprint == plain


def test_what_nmt_did_not_make_is_never_replaced(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    folder = recipe.data.prepared
    folder.write_text("precious")
    with pytest.raises(DataError, match="is a file"):
        prepare(recipe)
    assert folder.read_text() == "precious"

    folder.unlink()
    folder.mkdir()
    (folder / "precious").write_text("precious")
    with pytest.raises(DataError, match="did not make"):
        prepare(recipe)
    (folder / files.MANIFEST).write_text('{"kind": "something else"}')
    with pytest.raises(DataError, match="did not make"):
        prepare(recipe)
    assert sorted(contents(folder)) == [files.MANIFEST, "precious"]


def test_an_input_that_is_no_file_is_named(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe()
    source = recipe.data.train["corpus"].source
    source.unlink()
    with pytest.raises(DataError, match=r"train\.source: does not exist"):
        prepare(recipe)
    os.mkfifo(source)
    with pytest.raises(DataError, match="no regular file"):
        prepare(recipe)
    source.unlink()
    source.mkdir()
    with pytest.raises(DataError, match="is a directory"):
        prepare(recipe)


def test_two_at_a_time_are_refused(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe()
    with files.lock(recipe.data.prepared.with_name("prepared.lock")), pytest.raises(RunInUseError):
        prepare(recipe)


def aligned(recipe: Recipe, lines: list[str]) -> Recipe:
    """The recipe, its training corpus with these alignments."""
    path = recipe.run.with_name("train.alignment")
    path.write_text("".join(f"{line}\n" for line in lines))
    corpora = {name: corpus.model_copy(update={"alignment": path}) for name, corpus in recipe.data.train.items()}
    return changed(recipe, train=corpora)


def links_of(recipe: Recipe) -> list[list[list[int]]]:
    links = open_prepared(recipe).train[0].links
    assert links is not None
    return [links.words[one:end].tolist() for one, end in pairwise(links.offsets)]


def test_a_dropped_pair_takes_its_alignment_along(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    long = " ".join(sentences(0, 40))
    recipe = make_recipe(
        ["a b", "", *sentences(0, 60), long, "x" * 90, "a"], ["c d", "x", *sentences(1, 60), "b", "b", "c"]
    )
    recipe = aligned(recipe, ["0-1 1-0", "7-7", *[""] * 60, "100-0", "0-0", "0-0"])
    assert prepare(recipe).manifest["corpora"]["train/corpus"]["dropped"] == {"empty": 1, "too_long": 2}
    assert links_of(recipe) == [[[0, 1], [1, 0]], *[[]] * 60, [[0, 0]]]
    assert is_current(recipe)


def test_alignments_count_words_of_the_raw_text(make_recipe: MakeRecipe, sentences: Sentences) -> None:
    recipe = make_recipe(["1\xa0000 b", *sentences(0, 60)], ["c d", *sentences(1, 60)])
    recipe = aligned(recipe, ["0-0 1-1", *[""] * 60])
    prepare(recipe)
    assert links_of(recipe)[0] == [[0, 0], [1, 0], [2, 1]]


@pytest.mark.parametrize("lines", [0, 59, 61])
def test_alignments_of_another_number_are_refused_with_both_counts(make_recipe: MakeRecipe, lines: int) -> None:
    recipe = aligned(make_recipe(), [""] * lines)
    with pytest.raises(DataError, match=rf"source has 60 lines, but .*train\.alignment has {lines}"):
        prepare(recipe)
    assert not recipe.data.prepared.exists()


def test_a_link_of_no_word_is_told_with_file_and_line(make_recipe: MakeRecipe) -> None:
    with pytest.raises(DataError, match=r"train\.alignment: line 3: link 99-0: the source has \d words"):
        prepare(aligned(make_recipe(), ["", "0-0", "99-0", *[""] * 57]))


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


@pytest.fixture
def taken(make_recipe: MakeRecipe, sentences: Sentences) -> Tokenizer:
    """A tokenizer learned elsewhere, without normalisation."""
    settings = make_recipe(normalization="none", algorithm="bpe", vocabulary_size=320).tokenizer
    return Tokenizer.train(settings, sentences(5, 60), sentences(6, 60), seed=1)


def test_a_tokenizer_taken_over_is_used_as_it_is(make_recipe: MakeRecipe, taken: Tokenizer, tmp_path: Path) -> None:
    recipe = make_recipe(["a  b"] * 60, take_from=str(tmp_path / "other"))
    prepared = prepare(recipe, taken)
    assert prepared.tokenizer.fingerprint == taken.fingerprint
    assert prepared.train[0].source_text() == ["a  b"] * 60  # its own normalisation leaves both spaces
    assert prepared.train[0].source(0).tolist() == taken.encode_source(["a  b"])[0]
    assert is_current(recipe, taken)
    assert open_prepared(recipe).fingerprint == prepared.fingerprint  # though the other is not there any more


def test_the_keys_that_it_replaces_do_not_matter(make_recipe: MakeRecipe, taken: Tokenizer) -> None:
    prepare(make_recipe(take_from="there"), taken)
    assert is_current(make_recipe(take_from="elsewhere", vocabulary_size=1000, algorithm="bpe"), taken)


def test_another_tokenizer_than_the_one_taken_over_is_noticed(
    make_recipe: MakeRecipe, sentences: Sentences, taken: Tokenizer
) -> None:
    recipe = make_recipe(take_from="other")
    new = Tokenizer.train(recipe.tokenizer, sentences(0, 60), sentences(1, 60), seed=1)
    prepare(recipe, taken)
    assert not is_current(recipe, new)
    with pytest.raises(DataError, match="with another tokenizer than that of other"):
        open_prepared(recipe, new)
    with pytest.raises(DataError, match="with another tokenizer than one learned from this text"):
        open_prepared(make_recipe())
    prepare(make_recipe())
    assert not is_current(recipe, taken)
    with pytest.raises(DataError, match="with another tokenizer than that of other"):
        open_prepared(recipe)


KILL = "os.kill(os.getpid(), signal.SIGKILL)"
KILLED_AT = {
    "writing": f"prepared.write_corpus = lambda *_: {KILL}",
    "manifest": f"files.write_manifest = lambda *_: {KILL}",
    "renaming": f"pathlib.Path.rename = lambda *_: {KILL}",
}


@pytest.mark.parametrize(
    "moment",
    ["manifest", *(pytest.param(moment, marks=pytest.mark.slow) for moment in KILLED_AT if moment != "manifest")],
)
def test_a_kill_leaves_nothing_that_is_believed(make_recipe: MakeRecipe, moment: str) -> None:
    old = make_recipe()
    prepare(old)
    new = make_recipe(vocabulary_size=310)
    assert run_in_new_process(new, f"{KILLED_AT[moment]}; prepare(recipe)") == -signal.SIGKILL
    assert not is_current(new)
    with pytest.raises(DataError, match="run `nmt preprocess`"):
        open_prepared(new)
    prepare(new)
    after_kill = contents(new.data.prepared)
    shutil.rmtree(new.data.prepared)
    prepare(new)
    assert contents(new.data.prepared) == after_kill
    assert not files.temporary(new.data.prepared).exists()


@pytest.mark.slow
def test_killed_while_the_old_is_removed_the_new_is_whole(make_recipe: MakeRecipe) -> None:
    prepare(make_recipe())
    new = make_recipe(vocabulary_size=310)
    kill = f"shutil.rmtree = lambda path: ((path / 'train/corpus/source.bin').unlink(), {KILL})"
    assert run_in_new_process(new, f"{kill}; prepare(recipe)") == -signal.SIGKILL
    assert is_current(new)
    after_kill = contents(new.data.prepared)
    prepare(new)
    assert contents(new.data.prepared) == after_kill
    assert [path.name for path in new.data.prepared.parent.glob("*.tmp")] == []


def run_in_new_process(recipe: Recipe, statements: str, **environment: str) -> int:
    program = (
        "import os, pathlib, shutil, signal, sys\n"
        "from nmt_cli import files\n"
        "from nmt_cli.data import prepared\n"
        "from nmt_cli.data.prepared import prepare\n"
        "from nmt_cli.recipe.schema import Recipe\n"
        "recipe = Recipe.model_validate_json(sys.argv[1])\n"
    )
    command = [sys.executable, "-c", program + statements, recipe.model_dump_json()]
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode
