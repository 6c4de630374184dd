"""Prepared data is the same, byte for byte, for any number of processes, jobs and chunks."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from preparing import Sentences, changed, contents, prepared

from nmt_cli.data.preparation import shards
from nmt_cli.data.preparation.encoding import EncodedChunk
from nmt_cli.data.preparation.preparing import PreprocessJob, prepare
from nmt_cli.data.preparation.shards import ShardStore
from nmt_cli.errors import DataError, RunInUseError
from nmt_cli.locks import lock
from nmt_cli.processes import ShardSpec
from nmt_cli.recipe.schema import Recipe

MERGE = PreprocessJob(None)


@pytest.fixture(autouse=True, scope="module")
def small_shards() -> Iterator[None]:
    """Of 60 records, in chunks of 20."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "CHUNK_RECORDS", 20)
        patch.setattr(shards, "SHARD_RECORDS", 60)
        yield


@pytest.fixture(scope="module")
def corpora(sentences: Sentences, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Two corpora with all drop reasons, some of them due to distant lines, one with alignments."""
    folder, chance = tmp_path_factory.mktemp("corpora"), random.Random(1)
    pairs = list(zip(sentences(0, 210), sentences(1, 210), strict=True))
    faulty = [("", "a"), ("b", " "), ("same text", "Same Text"), ("a " * 90, "b " * 90), ("x" * 99, "y")]
    faulty += [(sentences(10, 1)[0], "held out"), (" ".join(sentences(0, 10)), " ".join(sentences(1, 10)))]
    faulty += [(f"{source} a", f"{target}!") for source, target in pairs[100:105]]
    written = {}
    for name, some, count in (("one", pairs[:130], 167), ("two", pairs[60:], 177), ("valid", [], 5)):
        if some:
            some = [*some, *faulty, *chance.choices(some, k=count - len(some) - len(faulty))]
            chance.shuffle(some)
        else:
            some = list(zip(sentences(10, 5), sentences(11, 5), strict=True))
        written[name] = {side: str(folder / f"{name}.{side}") for side in ("source", "target")}
        for number, path in enumerate(written[name].values()):
            Path(path).write_text("".join(f"{pair[number]}\n" for pair in some))
    (folder / "links").write_text("\n" * 177)
    train = {"one": written["one"] | {"tag": "one"}, "two": written["two"] | {"alignment": str(folder / "links")}}
    filters = [{"type": kind} for kind in ("length", "ratio", "identical", "duplicates")]
    filters += [{"type": "overlap", "compare": "either"}, {"type": "near_duplicates", "compare": "target"}]
    data = {
        "source_language": "aa",
        "target_language": "bb",
        "prepared": "nowhere",
        "max_length": 60,
        "language_tags": True,
        "filters": filters,
    }
    return Recipe.model_validate(
        {
            "run": "run",
            "data": data | {"train": train, "valid": {"valid": written["valid"]}},
            "tokenizer": {"vocabulary_size": 300},
            "model": {"architecture": "transformer", "preset": "tiny"},
        }
    )


@pytest.fixture(scope="module")
def expected(corpora: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process makes in one go."""
    recipe = changed(corpora, prepared=tmp_path_factory.mktemp("whole") / "prepared")
    entries = prepared(recipe).manifest["corpora"]
    for entry in (entries["train/one"], entries["train/two"]):
        assert len(entry["shards"]) > 1
    assert entries["train/one"]["dropped"].keys() == REASONS
    assert entries["train/two"]["dropped"]["duplicates"] > 60  # what the first corpus has, too
    return contents(recipe.data.prepared)


REASONS = {"empty", "ratio", "identical", "overlap", "duplicates", "near_duplicates_target", "too_long"}


@pytest.fixture
def recipe(corpora: Recipe, tmp_path: Path) -> Recipe:
    """The same, to be prepared in a folder of the test's own."""
    return changed(corpora, prepared=tmp_path / "prepared")


def by_jobs(recipe: Recipe, count: int) -> None:
    for number in range(1, count + 1):
        prepare(recipe, None, PreprocessJob(ShardSpec(number, count), merge=False))


def test_two_processes_give_the_same_bytes(recipe: Recipe, expected: dict[str, bytes]) -> None:
    prepare(recipe, num_processes=2)
    assert contents(recipe.data.prepared) == expected


@pytest.mark.slow
def test_two_processes_train_the_same_tokenizer(
    recipe: Recipe, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nmt_cli.data.preparation.tokenizer_training._CHUNK_RECORDS", 10)
    prepare(recipe, num_processes=2)
    assert contents(recipe.data.prepared) == expected


@pytest.mark.parametrize("jobs", [3, *(pytest.param(jobs, marks=pytest.mark.slow) for jobs in (1, 2))])
def test_any_number_of_jobs_gives_the_same_bytes(recipe: Recipe, expected: dict[str, bytes], jobs: int) -> None:
    by_jobs(recipe, jobs)
    assert not recipe.data.prepared.exists()
    prepare(recipe, None, MERGE)
    assert contents(recipe.data.prepared) == expected
    assert {path.name for path in recipe.data.prepared.parent.glob("prepared*")} == {"prepared", "prepared.lock"}


@pytest.mark.parametrize("chunk", [1, *(pytest.param(chunk, marks=pytest.mark.slow) for chunk in (7, 30, 60))])
def test_any_chunk_size_gives_the_same_bytes(
    recipe: Recipe, expected: dict[str, bytes], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "CHUNK_RECORDS", chunk)
    if 60 % chunk:
        monkeypatch.setattr(shards, "CHUNK_RECORDS", 60)
        monkeypatch.setattr("nmt_cli.data.reading.raw_chunks.MAX_CHUNK_BYTES", 50)  # chunks end early
        monkeypatch.setattr("nmt_cli.data.reading.raw_chunks._BLOCK", 64)
    prepare(recipe)
    assert contents(recipe.data.prepared) == expected


def test_missing_shards_are_named(recipe: Recipe, expected: dict[str, bytes]) -> None:
    with pytest.raises(DataError, match="shards of train/one"):
        prepare(recipe, None, MERGE)
    prepare(recipe, None, PreprocessJob(ShardSpec(2, 2), merge=False))
    with pytest.raises(DataError, match=r"shards 0, 2 of train/one .*--shard"):
        prepare(recipe, None, MERGE)
    assert not recipe.data.prepared.exists()
    prepare(recipe)  # does the rest
    assert contents(recipe.data.prepared) == expected


def test_shards_of_another_recipe_are_never_used(recipe: Recipe, expected: dict[str, bytes]) -> None:
    by_jobs(changed(recipe, max_length=70), 2)
    with pytest.raises(DataError, match=re.escape(f"{recipe.data.prepared}.parts: ")):
        prepare(recipe, None, MERGE)
    prepare(recipe)
    assert contents(recipe.data.prepared) == expected


def test_shards_of_other_files_are_never_used(recipe: Recipe, expected: dict[str, bytes]) -> None:
    source = recipe.data.train["two"].files["source"]
    whole = source.read_bytes()
    source.write_bytes(whole.replace(b"a", b"b"))
    by_jobs(recipe, 2)
    source.write_bytes(whole)
    with pytest.raises(DataError, match=re.escape(f"{recipe.data.prepared}.parts: ")):
        prepare(recipe, None, MERGE)
    prepare(recipe)
    assert contents(recipe.data.prepared) == expected


@pytest.mark.parametrize(
    "name", ["source.bin", *(pytest.param(name, marks=pytest.mark.slow) for name in ("keys.1", "shard.json"))]
)
def test_incomplete_shards_are_made_again(recipe: Recipe, expected: dict[str, bytes], name: str) -> None:
    by_jobs(recipe, 1)
    shard = recipe.data.prepared.with_name("prepared.parts") / "train/one/00001"
    content = (shard / name).read_bytes()
    for change in (lambda: (shard / name).write_bytes(content[: len(content) // 2]), lambda: (shard / name).unlink()):
        change()
        with pytest.raises(DataError, match="shards 1 of train/one"):
            prepare(recipe, None, MERGE)
    prepare(recipe)
    assert contents(recipe.data.prepared) == expected


@pytest.mark.parametrize("chunks", [7, *(pytest.param(chunks, marks=pytest.mark.slow) for chunks in (0, 1, 3, 12))])
def test_interrupted_job_resumes_at_the_last_complete_shard(
    recipe: Recipe, expected: dict[str, bytes], chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def counting(store: ShardStore, given: Iterator[EncodedChunk]) -> None:
        def first() -> Iterator[EncodedChunk]:
            for chunk in given:
                if len(written) == chunks:
                    raise KeyboardInterrupt
                written.append(chunk)
                yield chunk

        write(store, first())

    write = ShardStore.write
    with monkeypatch.context() as patch:
        patch.setattr(ShardStore, "write", counting)
        with pytest.raises(KeyboardInterrupt):
            prepare(recipe)
    assert not recipe.data.prepared.exists()

    again = []
    with monkeypatch.context() as patch:
        patch.setattr(
            ShardStore, "write", lambda store, given: write(store, (again.append(chunk) or chunk for chunk in given))
        )
        prepare(recipe)
    assert contents(recipe.data.prepared) == expected
    assert len(again) == TOTAL_CHUNKS - max(0, chunks - 1) // 3 * 3  # a shard is closed when the next one begins


TOTAL_CHUNKS = 9 + 9 + 1
"""Of two training corpora and one for validation."""


def test_jobs_and_merge_exclude_each_other(recipe: Recipe) -> None:

    held = recipe.data.prepared.with_name("prepared.lock")
    with lock(held, shared=True):
        by_jobs(recipe, 2)
        with pytest.raises(RunInUseError):
            prepare(recipe, None, MERGE)
    with lock(held), pytest.raises(RunInUseError):
        by_jobs(recipe, 1)
    with lock(held.with_name("prepared.parts") / "1-of-2.lock"), pytest.raises(RunInUseError):
        by_jobs(recipe, 2)
