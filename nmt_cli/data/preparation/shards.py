"""Unmerged shards: each has the kept pairs of 2^20 records. Jobs make them independently and in any order.

They are in a folder beside the prepared data. Each stores a hash of the settings and inputs that determine its content.
An interrupted job can therefore resume, and shards of another recipe or of other files are never used. The merge
applies the filters that compare all pairs, and combines the shards into the prepared data.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import numpy as np

from nmt_cli import files
from nmt_cli.console import OnProgress
from nmt_cli.data.arrays import Array, Booleans, Integers
from nmt_cli.data.filters.duplicates import first_occurrences
from nmt_cli.data.preparation.corpora import CorpusTask
from nmt_cli.data.preparation.encoding import EncodedChunk
from nmt_cli.data.preparation.manifest import CorpusStats
from nmt_cli.data.preparation.shard_files import (
    OFFSET_DTYPE,
    RECORD_IDS,
    SIDES,
    TEXT,
    ShardFormat,
    StoredArray,
    key_file,
    map_file,
)
from nmt_cli.data.reading import DropCounts, DroppedExample, RawChunk, read_chunks
from nmt_cli.data.reading.examples import MAX_EXAMPLES
from nmt_cli.errors import DataError, NmtError, RunInUseError
from nmt_cli.locks import lock
from nmt_cli.processes import ShardSpec

CHUNK_RECORDS = 8192
"""Maximum number of records of a chunk, the unit of work of a process."""
SHARD_RECORDS = 128 * CHUNK_RECORDS

_SHARD_SUMMARY = "shard.json"
_CORPUS_SUMMARY = "end.json"


@dataclass(frozen=True)
class CorpusShard:
    """A complete shard of a corpus."""

    folder: Path
    num_records: int
    num_pairs: int
    drops: DropCounts


class ShardStore:
    """The folder of the unmerged shards of all jobs.

    Args:
        content_hash: Hash of the settings and inputs that determine the content of the shards.
        check_inputs: Raises an error if the input files have changed.
        offset_files: Names of files that contain offsets.
    """

    def __init__(
        self, folder: Path, content_hash: str, check_inputs: Callable[[], object], offset_files: frozenset[str]
    ) -> None:
        self.folder, self._content_hash = folder, content_hash
        self._check_inputs, self._offset_files = check_inputs, offset_files

    def read(self, task: CorpusTask, index: int) -> CorpusShard | None:
        """Return a shard; None if it is not complete."""
        folder = self.folder / task.name / f"{index:05}"
        summary = self._read_json(folder / _SHARD_SUMMARY)
        if summary is None or summary["files"] != _sizes(folder):
            return None
        return CorpusShard(folder, summary["records"], summary["pairs"], DropCounts.from_json(summary))

    def read_all(self, task: CorpusTask) -> list[CorpusShard]:
        """Return all shards of a corpus. DataError if some are missing, or their number is unknown."""
        end = self._read_json(self.folder / task.name / _CORPUS_SUMMARY)
        found = [self.read(task, index) for index in range(end["shards"] if end else 0)]
        missing = [str(index) for index, shard in enumerate(found) if shard is None]
        if end is None or missing:
            what = f"shards {', '.join(missing)} of {task.name} are" if missing else f"the shards of {task.name} are"
            raise DataError(
                f"{self.folder}: {what} missing, or were made from another recipe or other files; rerun their jobs"
                " (--shard), or run nmt preprocess without --merge to make the rest"
            )
        return [shard for shard in found if shard is not None]

    def write(self, chunks: Iterable[EncodedChunk]) -> None:
        """Write shards from chunks, which must be in order."""
        by_shard = groupby(chunks, key=lambda chunk: (chunk.corpus, (chunk.first - 1) // SHARD_RECORDS))
        for (corpus, index), shard_chunks in by_shard:
            path = self.folder / corpus / f"{index:05}"
            with lock(path.with_suffix(".lock")), files.new_folder(path) as folder:
                summary = self._write_shard(folder, shard_chunks)
                self._check_inputs()
                content = {"job": self._content_hash, **summary, "files": _sizes(folder)}
                files.write_json(folder / _SHARD_SUMMARY, content)

    def write_num_shards(self, task: CorpusTask, num_records: int, num_shards: int) -> None:
        """Record how many shards a corpus has."""
        path = self.folder / task.name / _CORPUS_SUMMARY
        with suppress(RunInUseError), lock(path.with_suffix(".lock")):  # the other job writes the same content
            files.write_json(path, {"job": self._content_hash, "records": num_records, "shards": num_shards})

    def _write_shard(self, folder: Path, chunks: Iterable[EncodedChunk]) -> dict[str, Any]:
        num_records, num_pairs, drops = 0, 0, DropCounts()
        with ExitStack() as stack:
            writers: dict[str, _FileWriter] = {}
            for chunk in chunks:
                for name, content in chunk.buffers.items():
                    if name not in writers:
                        file = stack.enter_context((folder / name).open("wb"))
                        writers[name] = _FileWriter(file, has_offsets=name in self._offset_files)
                    writers[name].append(content)
                num_records, num_pairs = num_records + chunk.num_records, num_pairs + chunk.num_pairs
                drops.merge(chunk.drops)
        return {"records": num_records, "pairs": num_pairs, **drops.to_json()}

    def _read_json(self, path: Path) -> Any:
        """Return the content of a JSON file; None if it is missing, damaged, or has another content hash."""
        try:
            content = files.read_json(path)
        except NmtError:
            return None
        return content if isinstance(content, dict) and content.get("job") == self._content_hash else None


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir() if path.name != _SHARD_SUMMARY}


class _FileWriter:
    """Appends buffers to a file. Offsets, relative to their chunk, are shifted to continue the file."""

    def __init__(self, file: IO[bytes], has_offsets: bool) -> None:
        self._file, self._has_offsets, self._end = file, has_offsets, 0
        if has_offsets:
            file.write(np.zeros(1, OFFSET_DTYPE).tobytes())

    def append(self, content: bytes) -> None:
        if self._has_offsets and content:
            ends = np.frombuffer(content, OFFSET_DTYPE) + self._end
            self._end = int(ends[-1])
            content = ends.tobytes()
        self._file.write(content)


def missing_chunks(
    store: ShardStore, tasks: Iterable[CorpusTask], spec: ShardSpec, context: int, on_progress: OnProgress
) -> Iterator[tuple[CorpusTask, RawChunk]]:
    """Yield the chunks of all incomplete shards that are assigned to a job.

    Args:
        context: Number of preceding records to attach to each chunk as its context.
        on_progress: Called with the number of records of each chunk that is read, including those of other shards.
    """
    for task_index, task in enumerate(tasks):
        previous: RawChunk | None = None
        num_records, shard, is_missing = 0, -1, False
        for chunk in read_chunks(task.corpus, task.languages, CHUNK_RECORDS):
            if (chunk.first - 1) // SHARD_RECORDS != shard:
                shard = (chunk.first - 1) // SHARD_RECORDS
                is_assigned = (shard + task_index) % spec.count == spec.index - 1
                is_missing = is_assigned and store.read(task, shard) is None
            if is_missing:
                yield task, replace(chunk, context=previous)
            if context:
                previous = (previous.followed_by(chunk) if previous else chunk).tail(context)
            num_records += chunk.num_records
            on_progress(chunk.num_records)
        store.write_num_shards(task, num_records, shard + 1)


def apply_key_filters(
    corpora: dict[str, list[CorpusShard]], filter_names: list[str], scratch: Path
) -> tuple[dict[Path, Booleans], dict[str, DropCounts]]:
    """Find the pairs that the key filters keep: for each key, the first pair in the order of the recipe.

    Args:
        filter_names: Names of the key filters, in order.
        scratch: Folder for temporary files.

    Returns:
        A mask over the pairs of each shard (True = keep) by shard folder, and the dropped pairs of each corpus.
    """
    shards = [(name, shard) for name, corpus_shards in corpora.items() for shard in corpus_shards]
    masks = [np.ones(shard.num_pairs, bool) for _, shard in shards]
    drops = {name: DropCounts() for name in corpora}
    for filter_index, reason in enumerate(filter_names):
        keys = (_map_per_pair(shard, key_file(filter_index)) for _, shard in shards)
        firsts = first_occurrences(keys, masks, scratch)
        for index, (name, shard) in enumerate(shards):
            dropped = np.flatnonzero(masks[index] & ~firsts[index])
            drops[name].add(reason, len(dropped), _dropped_examples(shard, dropped[:MAX_EXAMPLES]))
            masks[index] = masks[index] & firsts[index]
    return {shard.folder: mask for (_, shard), mask in zip(shards, masks, strict=True)}, drops


def merge_shard(
    shard: CorpusShard, mask: Booleans | None, format: ShardFormat, folder: Path, stats: CorpusStats
) -> None:
    """Add the pairs of a shard where the mask is True (None: all) to the prepared data in `folder`."""
    if mask is not None and mask.all():
        mask = None
    num_pairs = shard.num_pairs if mask is None else int(np.count_nonzero(mask))
    stats.num_read += shard.num_records
    stats.drops.merge(shard.drops)
    if not num_pairs:
        return
    output = folder / f"{len(stats.shard_sizes):05}"
    output.mkdir(parents=True)
    stats.shard_sizes.append(num_pairs)
    stored = [array for array in format.arrays if array.exists(shard.folder)]
    for array in stored:
        if mask is not None:
            _copy_selected(array, shard, mask, output)
    if mask is None:
        for name in {name for array in stored for name in (array.name, array.offsets)}:
            _link(shard.folder / name, output / name)
    for side, array in format.tokens.items():
        counts = np.bincount(np.diff(np.fromfile(output / array.offsets, OFFSET_DTYPE)))
        stats.lengths[side].update({int(n): int(counts[n]) for n in np.flatnonzero(counts)})


def _copy_selected(array: StoredArray, shard: CorpusShard, mask: Booleans, output: Path) -> None:
    """Write the entries of the pairs where the mask is True, and their offsets."""
    rows = array.open(shard.folder, shard.num_pairs)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    with (output / array.name).open("wb") as file:
        for start, end in rows.offsets[edges].reshape(-1, 2).tolist():
            file.write(rows.values[start:end].tobytes())
    if not (output / array.offsets).exists():
        np.append(0, np.cumsum(rows.lengths[mask])).astype(OFFSET_DTYPE).tofile(output / array.offsets)


def _dropped_examples(shard: CorpusShard, indices: Integers) -> list[DroppedExample]:
    if not len(indices):
        return []
    records = _map_per_pair(shard, RECORD_IDS)
    texts = [TEXT[side].open(shard.folder, shard.num_pairs) for side in SIDES]
    return [
        DroppedExample.shortened(
            int(records[index]), *(text[index].tobytes().decode().removesuffix("\n") for text in texts)
        )
        for index in indices.tolist()
    ]


def _map_per_pair(shard: CorpusShard, array: StoredArray) -> Array:
    """Memory-map an array with one entry per pair."""
    return map_file(shard.folder / array.name, array.dtype, shard.num_pairs)


def _link(path: Path, target: Path) -> None:
    """Create a hard link, or a copy if the file system has no links."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
