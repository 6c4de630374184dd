"""The whole way from a recipe's corpora to its prepared folder, or the part of it that is one job's."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nmt_cli import files
from nmt_cli.console import ProgressBar, info
from nmt_cli.data.filters import HeldOut, KeyFilter, build_filters
from nmt_cli.data.preparation import shards
from nmt_cli.data.preparation.corpora import Task, check_file, describe, inputs, settings, tasks
from nmt_cli.data.preparation.learning import learn, measure
from nmt_cli.data.preparation.merging import Merged, finish, kept_of_all
from nmt_cli.data.preparation.shards import Workshop, raw_slabs
from nmt_cli.data.preparation.sieve import reasons
from nmt_cli.data.preparation.slabs import SlabMaker
from nmt_cli.data.prepared import FORMAT, HASHES, KIND, TOKENIZER
from nmt_cli.data.reading import read_pairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import prefix_tags
from nmt_cli.errors import DataError, NmtError, RunInUseError
from nmt_cli.processes import map_ordered
from nmt_cli.processes.sharding import ALL_SHARDS, ShardSpec
from nmt_cli.recipe.data.filters import OverlapFilter
from nmt_cli.recipe.schema import Recipe
from nmt_cli.text.lines import read_lines
from nmt_cli.text.normalization import NORMALIZATIONS

_ABOUT = "learned.json"


@dataclass(frozen=True)
class Job:
    """What one command does of the work."""

    part: ShardSpec | None = ALL_SHARDS
    """Which shards to make, if any."""
    merges: bool = True


WHOLE = Job()


def prepare(recipe: Recipe, taken: Tokenizer | None = None, job: Job = WHOLE, processes: int = 1) -> None:
    """Do a job; the one that merges fills the recipe's prepared folder anew, whole or not at all.

    `taken` is what the recipe's tokenizer.take_from names; without it, a tokenizer is learned. What may be in the
    folder's place is never replaced unless `prepare` made it.
    """
    folder = recipe.data.prepared
    check_paths(recipe)
    hashes = files.HashCache(folder / HASHES)
    described = {name: describe(path, hashes.of) for name, path in inputs(recipe).items()}
    with _locked(folder, job):
        work = _workplace(folder)
        to_do = tasks(recipe)
        normalization = taken.normalization if taken else recipe.tokenizer.normalization
        held_out = _held_out(recipe, normalization)
        check = partial(_refuse_changed, recipe, described, hashes)
        learned = _tokenizer(recipe, taken, work, described, held_out, processes, check)
        tokenizer, records = Tokenizer.load(learned), files.read_json(learned / _ABOUT)["records"]
        what = {"format": FORMAT, "settings": settings(recipe, (taken or tokenizer).fingerprint), "inputs": described}
        workshop = Workshop(work, _hash({**what, "tokenizer": tokenizer.fingerprint, "shard": shards.SHARD}), check)
        if job.part is not None:
            opener = partial(SlabMaker, recipe, learned, held_out)
            with ProgressBar("cutting", "records", sum(records.values())) as progress:
                context = recipe.data.context.sentences if recipe.data.context else 0
                raw = raw_slabs(workshop, to_do, job.part, context, progress.advance)
                workshop.write(map_ordered(processes, opener, raw))
        if job.merges:
            _merge(recipe, tokenizer, workshop, to_do, {"kind": KIND, **what})
            for name, entry in files.read_json(folder / files.MANIFEST)["files"].items():
                hashes.cache_hash(folder / name, entry["sha256"])
            hashes.save()
            _remove(work)


def check_paths(recipe: Recipe) -> None:
    """DataError if a corpus is not there, or if what is in the folder's place was not made by `prepare`."""
    for path in inputs(recipe).values():
        check_file(path)
    folder = recipe.data.prepared
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise DataError(f"{folder}: is a file, where data.prepared names a folder")
    if not _is_ours(folder):
        raise DataError(f"{folder}: holds files that nmt did not make; name another folder as data.prepared")


def _refuse_changed(recipe: Recipe, described: dict[str, Any], hashes: files.HashCache) -> None:
    for name, path in inputs(recipe).items():
        if describe(path, hashes.of) != described[name]:
            raise DataError(f"{path}: has changed while it was read; run `nmt preprocess` again")


def _is_ours(folder: Path) -> bool:
    try:
        manifest = files.read_json(folder / files.MANIFEST)
    except NmtError:
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == KIND


@contextmanager
def _locked(folder: Path, job: Job) -> Iterator[None]:
    """Hold the folder or, for a job that makes some shards only, these; the folder is held together with such jobs."""
    with files.disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    makes_some = not job.merges and job.part is not None
    with files.lock(folder.with_name(folder.name + ".lock"), shared=makes_some), ExitStack() as stack:
        if makes_some:
            assert job.part is not None
            stack.enter_context(files.lock(_workplace(folder) / f"{job.part.index}-of-{job.part.count}.lock"))
        yield


def _workplace(folder: Path) -> Path:
    """Where shards come to be."""
    return folder.with_name(folder.name + ".parts")


def clear_away(folder: Path) -> None:
    """Remove what a job that was killed at its very end has left beside its prepared folder."""
    work = _workplace(folder)
    if work.exists() or files.remnants(work) or files.remnants(folder):
        with suppress(RunInUseError), _locked(folder, WHOLE):
            _remove(work)
            for path in files.remnants(folder):
                files.remove(path)


def _remove(work: Path) -> None:
    """Remove a workplace, of which no part is believed while it vanishes."""
    aside = files.temporary(work)
    files.remove(aside)
    if work.exists():
        with files.disk_errors(work):
            work.rename(aside)
        files.remove(aside)


def _held_out(recipe: Recipe, normalization: str) -> HeldOut:
    """The lines of validation and test sets, if a filter asks for them."""
    if not any(isinstance(each, OverlapFilter) for each in recipe.data.filters):
        return HeldOut.of()
    normalize = NORMALIZATIONS[normalization]

    def sets() -> Iterator[tuple[str, Iterator[tuple[str, str]]]]:
        for task in tasks(recipe):
            if not task.is_learned:
                yield task.name, read_pairs(task.corpus, task.languages, recipe.data.on_error)
        for name, test in recipe.data.test.items():
            for path in test.target:
                yield f"test/{name}", zip(read_lines(test.source), read_lines(path), strict=False)

    return HeldOut.of(
        (name, ((normalize(source), normalize(target)) for source, target in pairs)) for name, pairs in sets()
    )


def _tokenizer(
    recipe: Recipe,
    taken: Tokenizer | None,
    work: Path,
    described: dict[str, Any],
    held_out: HeldOut,
    processes: int,
    check: Callable[[], object],
) -> Path:
    """The folder of the tokenizer and the number of records of each corpus: the first job finds them, for all others.

    It is named by what decides it, so that a job of another recipe cannot change it meanwhile.
    """
    what = {"settings": settings(recipe, taken.fingerprint if taken else ""), "inputs": described, "format": FORMAT}
    folder, is_told = work / f"{TOKENIZER}-{_hash(what)[:16]}", False
    while not folder.exists():
        try:
            with files.lock(folder.with_name(folder.name + ".lock")):
                if not folder.exists():
                    sizes = measure(tasks(recipe))
                    if taken is None or recipe.tokenizer.extension:
                        tokenizer = learn(recipe, tasks(recipe), sizes, held_out, processes, taken)
                    else:
                        tokenizer = taken
                    check()
                    with files.new_folder(folder) as unfinished:
                        tokenizer.save(unfinished)
                        records = {name: size.records for name, size in sizes.items()}
                        files.write_json(unfinished / _ABOUT, {"records": records})
        except RunInUseError:
            if not is_told:
                info("waiting for the tokenizer, which another job learns")
            is_told = True
            time.sleep(1)
    return folder


def _merge(recipe: Recipe, tokenizer: Tokenizer, workshop: Workshop, to_do: list[Task], about: dict[str, Any]) -> None:
    made = {task.name: workshop.shards(task) for task in to_do}
    filters = build_filters(recipe.data.filters, to_do[0].languages, HeldOut.of())
    keyed = [each.name for each in filters if isinstance(each, KeyFilter)]
    learned = {task.name: made[task.name] for task in to_do if task.is_learned}
    kept, losses = kept_of_all(learned, keyed, workshop.folder)
    with files.new_folder(recipe.data.prepared) as unfinished:
        tokenizer.save(unfinished / TOKENIZER)
        entries = {}
        for task in to_do:
            merged = Merged()
            for shard in made[task.name]:
                finish(shard, kept.get(shard.folder), unfinished / task.name, merged)
            if task.is_learned:
                merged.losses.merge(losses[task.name])
            _refuse_useless(task, merged)
            tags = prefix_tags(recipe.data, task.languages[1], task.tag)
            entries[task.name] = merged.entry([tokenizer.tag_id(tag) for tag in tags])
        files.write_manifest(unfinished, {**about, "reasons": reasons(recipe.data), "corpora": entries})


def _refuse_useless(task: Task, merged: Merged) -> None:
    if not sum(merged.shards):
        why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(merged.losses.dropped.items()))
        raise DataError(
            f"{', '.join(map(str, task.corpus.files.values()))}: 0 usable pairs of {merged.records:,} read"
            + (f" ({why})" if why else "")
        )


def _hash(value: Any) -> str:
    return hashlib.sha256(files.json_bytes(value)).hexdigest()
