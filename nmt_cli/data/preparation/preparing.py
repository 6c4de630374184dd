"""Preprocess the corpora of a recipe into its prepared folder, or into the shards of one job.

1. Measure the corpora, and train the tokenizer on a sample (`tokenizer_training`), unless an earlier job did.
2. Read each corpus as raw chunks, shard by shard; skip shards that are complete (`shards.missing_chunks`).
3. Decode, normalise, filter and encode each chunk in a worker process (`encoding`).
4. Append the encoded chunks to their shard (`shards.ShardStore`).
5. Drop duplicates over all shards, and link or copy the shards into the prepared folder (`shards.merge_shard`).
6. Write the manifest, and rename the folder into place.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.console import ProgressBar, warn
from nmt_cli.data.context import normalize_documents
from nmt_cli.data.filters.duplicates import HeldOutKeys
from nmt_cli.data.filters.pipeline import KeyFilter, build_filters
from nmt_cli.data.filters.scores import unknown_languages
from nmt_cli.data.preparation import shards
from nmt_cli.data.preparation.corpora import (
    CorpusTask,
    HashCache,
    check_file,
    corpus_tasks,
    data_settings,
    file_identity,
    input_files,
)
from nmt_cli.data.preparation.encoding import ChunkEncoder, drop_reasons
from nmt_cli.data.preparation.manifest import FORMAT_VERSION, MANIFEST_KIND, CorpusStats
from nmt_cli.data.preparation.shard_files import ShardFormat
from nmt_cli.data.preparation.shards import ShardStore, apply_key_filters, merge_shard, missing_chunks
from nmt_cli.data.preparation.tokenizer_training import (
    AdaptedTokenizer,
    measure_corpora,
    needs_length_bounds,
    train_tokenizer,
)
from nmt_cli.data.preparation.work_folder import WorkFolder
from nmt_cli.data.prepared import HASHES, TOKENIZER
from nmt_cli.data.reading import read_pairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import AddedTokens
from nmt_cli.errors import DataError, NmtError
from nmt_cli.locks import lock_when_free
from nmt_cli.processes import ALL_SHARDS, ShardSpec
from nmt_cli.processes.pool import map_ordered
from nmt_cli.recipe.adapting import LENGTH_BOUNDS, TEXT_KEYS, with_defaults
from nmt_cli.recipe.filters import OverlapFilter
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import read_lines
from nmt_cli.text.normalization import NORMALIZATIONS

_CORPORA = "corpora.json"
"""File in the tokenizer folder: number of records of each corpus, and the settings that follow from the text."""


@dataclass(frozen=True)
class PreprocessJob:
    """The part of the work that one command does."""

    shard: ShardSpec | None = ALL_SHARDS
    """Shards to make, if any."""
    merge: bool = True
    """Whether to merge the shards of all jobs into the prepared folder."""


ALL_WORK = PreprocessJob()


def prepare(
    recipe: Recipe, pretrained: Tokenizer | None = None, job: PreprocessJob = ALL_WORK, num_processes: int = 1
) -> None:
    """Run a job. A job that merges replaces the prepared folder of the recipe atomically.

    Args:
        pretrained: The tokenizer that the recipe names; None if one is trained.

    Raises:
        DataError: An input is missing, invalid, or changes during the job; or data.prepared contains other files.
        RunInUseError: Another process runs the same job, or merges.
    """
    folder = files.target_of(recipe.data.prepared)
    check_paths(recipe)
    for code in unknown_languages(recipe.data):
        warn(f"data.filters: language: py3langid does not know {code}, so no line is dropped for not being {code}")
    hashes = HashCache(folder / HASHES)
    inputs = {name: file_identity(path, hashes.of) for name, path in input_files(recipe).items()}
    work_folder = WorkFolder(folder)
    with work_folder.locked(None if job.merge else job.shard):
        work, tasks = work_folder.open(), corpus_tasks(recipe)
        held_out = held_out_keys(recipe, pretrained.normalization if pretrained else recipe.tokenizer.normalization)
        check_inputs = partial(_check_unchanged, recipe, inputs, hashes)
        tokenizer_folder = _make_tokenizer(recipe, pretrained, work, inputs, held_out, num_processes, check_inputs)
        tokenizer, corpora = Tokenizer.load(tokenizer_folder), files.read_json(tokenizer_folder / _CORPORA)
        settings, adapted = data_settings(recipe, (pretrained or tokenizer).fingerprint), corpora["adapted"]
        origin = {"format": FORMAT_VERSION, "settings": settings, "adapted": adapted, "inputs": inputs}
        recipe = with_defaults(recipe, adapted)
        content_hash = _hash({**origin, "tokenizer": tokenizer.fingerprint, "shard": shards.SHARD_RECORDS})
        store = ShardStore(work, content_hash, check_inputs, ShardFormat.of(tokenizer).offset_files)
        if job.shard is not None:
            factory = partial(ChunkEncoder, recipe, tokenizer_folder, held_out)
            context = recipe.data.context.sentences if recipe.data.context else 0
            with ProgressBar("encoding", "records", sum(corpora["records"].values())) as progress:
                chunks = missing_chunks(store, tasks, job.shard, context, progress.advance)
                store.write(map_ordered(num_processes, factory, chunks))
        if job.merge:
            _merge(recipe, folder, tokenizer, store, tasks, {"kind": MANIFEST_KIND, **origin})
            work_folder.remove()  # before the hashes are cached, as it changes the number of hard links
            for name, entry in files.read_json(folder / files.MANIFEST)["files"].items():
                hashes.cache_hash(folder / name, entry["sha256"])
            hashes.save()


def check_paths(recipe: Recipe) -> None:
    """Raise DataError if an input is missing, or if data.prepared exists and is neither empty nor made by `prepare`."""
    for path in input_files(recipe).values():
        check_file(path)
    folder = recipe.data.prepared
    files.require_name(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise DataError(f"{folder}: is a file, but data.prepared must be a folder")
    if not _is_prepared(folder):
        raise DataError(f"{folder}: contains files not written by nmt; set data.prepared to another folder")


def _check_unchanged(recipe: Recipe, inputs: dict[str, Any], hashes: HashCache) -> None:
    for name, path in input_files(recipe).items():
        if file_identity(path, hashes.of) != inputs[name]:
            raise DataError(f"{path}: has changed while it was read; run `nmt preprocess` again")


def _is_prepared(folder: Path) -> bool:
    try:
        manifest = files.read_json(folder / files.MANIFEST)
    except NmtError:
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == MANIFEST_KIND


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files beside the prepared folder, left by a job that was killed after writing it."""
    WorkFolder(files.target_of(folder)).remove_leftovers()


def held_out_keys(recipe: Recipe, normalization: str) -> HeldOutKeys:
    """Return the keys of the validation and test sets if the overlap filter needs them, else no keys."""
    if not any(isinstance(each, OverlapFilter) for each in recipe.data.filters):
        return HeldOutKeys.of()
    is_monolingual = recipe.data.is_monolingual

    def normalize(text: str) -> str:
        return normalize_documents(normalization, [text])[0] if is_monolingual else NORMALIZATIONS[normalization](text)

    def held_out_sets() -> Iterator[tuple[str, Iterator[tuple[str, str]]]]:
        for task in corpus_tasks(recipe):
            if not task.is_training:
                yield task.name, read_pairs(task.corpus, task.languages, recipe.data.on_error)
        for name, test in recipe.data.test.items():
            for path in test.target:
                yield f"test/{name}", zip(read_lines(test.source), read_lines(path), strict=False)

    return HeldOutKeys.of(
        (name, ((normalize(source), normalize(target)) for source, target in pairs)) for name, pairs in held_out_sets()
    )


def _make_tokenizer(
    recipe: Recipe,
    pretrained: Tokenizer | None,
    work: Path,
    inputs: dict[str, Any],
    held_out: HeldOutKeys,
    num_processes: int,
    check_inputs: Callable[[], object],
) -> Path:
    """Return the folder of the tokenizer and the corpus sizes. The first job makes it; all others wait for it.

    Its name contains a hash of the settings and inputs, so that jobs of other recipes never use or change it.
    """
    settings = data_settings(recipe, pretrained.fingerprint if pretrained else "")
    folder = work / f"{TOKENIZER}-{_hash({'settings': settings, 'inputs': inputs, 'format': FORMAT_VERSION})[:16]}"
    if folder.exists():
        return folder
    with lock_when_free(files.beside(folder, ".lock"), "waiting for another job to train the tokenizer"):
        if folder.exists():
            return folder
        tasks = corpus_tasks(recipe)
        sizes = measure_corpora(tasks)
        needs_text = recipe.tokenizer.extension or needs_length_bounds(recipe) or not recipe.gives("data.max_length")
        if pretrained and not needs_text:
            found = AdaptedTokenizer(pretrained, recipe.data.max_length)
        else:
            found = train_tokenizer(recipe, tasks, sizes, held_out, num_processes, pretrained)
        check_inputs()
        vocabulary_size = max(found.tokenizer.source_size, found.tokenizer.target_size)
        adapted: dict[str, Any] = dict(zip(TEXT_KEYS, (vocabulary_size, found.max_length), strict=True))
        if found.length_bounds is not None:
            adapted[LENGTH_BOUNDS] = found.length_bounds
        with files.new_folder(folder) as unfinished:
            tokenizer = found.tokenizer.with_copies(recipe.model.output.copies)
            tokenizer.save(unfinished)
            num_records = {name: size.num_records for name, size in sizes.items()}
            files.write_json(unfinished / _CORPORA, {"records": num_records, "adapted": adapted})
    return folder


def _merge(
    recipe: Recipe,
    folder: Path,
    tokenizer: Tokenizer,
    store: ShardStore,
    tasks: list[CorpusTask],
    origin: dict[str, Any],
) -> None:
    shards_by_task = {task.name: store.read_all(task) for task in tasks}
    filters = build_filters(recipe.data.filters, tasks[0].languages, HeldOutKeys.of())
    reasons = [each.name for each in filters if isinstance(each, KeyFilter)]
    training = {task.name: shards_by_task[task.name] for task in tasks if task.is_training}
    masks, drops = apply_key_filters(training, reasons, store.folder)
    format = ShardFormat.of(tokenizer)
    with files.new_folder(folder) as unfinished:
        tokenizer.save(unfinished / TOKENIZER)
        entries = {}
        for task in tasks:
            added = AddedTokens.of(recipe.data, task.languages, task.tag, tokenizer.source)
            stats = CorpusStats(
                task.name,
                prefix_ids=added.before_source,
                suffix_ids=added.after_source,
                prompt_ids=added.before_target,
            )
            for shard in shards_by_task[task.name]:
                merge_shard(shard, masks.get(shard.folder), format, unfinished / task.name, stats)
            if task.is_training:
                stats.drops.merge(drops[task.name])
            _check_not_empty(task, stats, recipe.data.unit)
            entries[task.name] = stats.to_json()
        files.write_manifest(unfinished, {**origin, "reasons": drop_reasons(recipe.data), "corpora": entries})


def _check_not_empty(task: CorpusTask, stats: CorpusStats, unit: str) -> None:
    if not stats.num_kept:
        why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(stats.drops.counts.items()))
        paths = ", ".join(map(str, task.corpus.files.values()))
        raise DataError(f"{paths}: 0 usable {unit} of {stats.num_read:,} read" + (f" ({why})" if why else ""))


def _hash(value: Any) -> str:
    return hashlib.sha256(files.json_bytes(value)).hexdigest()
