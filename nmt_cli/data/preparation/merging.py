"""The last step of preprocessing: filters that compare all pairs, then the shards as training reads them."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from nmt_cli.data.arrays import Array, Booleans, Integers
from nmt_cli.data.filters import first_occurrences
from nmt_cli.data.preparation.manifest import CorpusStats
from nmt_cli.data.preparation.shard_files import (
    OFFSET_TYPE,
    RECORD_IDS,
    SIDES,
    TEXT,
    ShardFormat,
    StoredArray,
    key_file,
)
from nmt_cli.data.preparation.shards import CorpusShard
from nmt_cli.data.reading import DropCounts, DroppedExample
from nmt_cli.data.reading.examples import MAX_EXAMPLES


def apply_key_filters(
    corpora: dict[str, list[CorpusShard]], reasons: list[str], scratch: Path
) -> tuple[dict[Path, Booleans], dict[str, DropCounts]]:
    """Find the pairs that the key filters keep: of equal keys, the first in the order of the recipe.

    Args:
        reasons: Names of the key filters, in order.
        scratch: Folder for temporary files.

    Returns:
        A mask over the pairs of each shard, by its folder, and what is dropped of each corpus.
    """
    shards = [(name, shard) for name, of_corpus in corpora.items() for shard in of_corpus]
    masks = [np.ones(shard.num_pairs, bool) for _, shard in shards]
    drops = {name: DropCounts() for name in corpora}
    for filter_index, reason in enumerate(reasons):
        keys = (_map_pairs(shard, key_file(filter_index)) for _, shard in shards)
        firsts = first_occurrences(keys, masks, scratch)
        for index, (name, shard) in enumerate(shards):
            dropped = np.flatnonzero(masks[index] & ~firsts[index])
            drops[name].add(reason, len(dropped), _dropped_examples(shard, dropped[:MAX_EXAMPLES]))
            masks[index] = masks[index] & firsts[index]
    return {shard.folder: mask for (_, shard), mask in zip(shards, masks, strict=True)}, drops


def merge_shard(
    shard: CorpusShard, mask: Booleans | None, files: ShardFormat, folder: Path, stats: CorpusStats
) -> None:
    """Add a shard to the prepared data in `folder`, without pairs where the mask is False. Shards without pairs are
    left out.
    """
    if mask is not None and mask.all():
        mask = None
    num_pairs = shard.num_pairs if mask is None else int(np.count_nonzero(mask))
    stats.read += shard.num_records
    stats.drops.merge(shard.drops)
    if not num_pairs:
        return
    target = folder / f"{len(stats.shards):05}"
    target.mkdir(parents=True)
    stats.shards.append(num_pairs)
    stored = [array for array in files.arrays if array.exists(shard.folder)]
    for array in stored:
        if mask is not None:
            _copy_selected(array, shard.folder, mask, target)
    if mask is None:
        for name in {name for array in stored for name in (array.name, array.offsets)}:
            _link(shard.folder / name, target / name)
    for side, array in files.tokens.items():
        counts = np.bincount(np.diff(np.fromfile(target / array.offsets, OFFSET_TYPE)))
        stats.lengths[side].update({int(n): int(counts[n]) for n in np.flatnonzero(counts)})


def _copy_selected(array: StoredArray, folder: Path, mask: Booleans, target: Path) -> None:
    """Write the entries of the pairs where the mask is True, and their offsets."""
    offsets = np.fromfile(folder / array.offsets, OFFSET_TYPE)
    content = _map_file(folder / array.name, np.dtype(np.uint8))
    entry_bytes = array.dtype.itemsize * (array.width or 1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    with (target / array.name).open("wb") as file:
        for start, end in (offsets[edges] * entry_bytes).reshape(-1, 2).tolist():
            file.write(content[start:end].tobytes())
    if not (target / array.offsets).exists():
        lengths = np.diff(offsets)[mask]
        np.concatenate([np.zeros(1, OFFSET_TYPE), np.cumsum(lengths, dtype=OFFSET_TYPE)]).tofile(target / array.offsets)


def _dropped_examples(shard: CorpusShard, indices: Integers) -> list[DroppedExample]:
    if not len(indices):
        return []
    records = _map_pairs(shard, RECORD_IDS)
    return [
        DroppedExample.shortened(int(records[index]), *(_text(shard.folder, side, index) for side in SIDES))
        for index in indices.tolist()
    ]


def _text(folder: Path, side: str, index: int) -> str:
    start, end = _map_file(folder / TEXT[side].offsets, OFFSET_TYPE)[index : index + 2]
    with (folder / TEXT[side].name).open("rb") as file:
        file.seek(int(start))
        return file.read(int(end - start)).decode().removesuffix("\n")


def _map_pairs(shard: CorpusShard, array: StoredArray) -> Array:
    """Memory-map an array with one entry per pair."""
    return _map_file(shard.folder / array.name, array.dtype)


def _map_file(path: Path, dtype: np.dtype[Any]) -> Array:
    return np.asarray(np.memmap(path, dtype, "r")) if path.stat().st_size else np.empty(0, dtype)


def _link(path: Path, target: Path) -> None:
    """Create a hard link, or a copy if the file system has no links."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
