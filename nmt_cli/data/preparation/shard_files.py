"""The files of a shard of prepared data, declared once: preprocessing writes and merges them, training maps them.

A shard is a folder with some of the pairs of a corpus. Most files hold a variable number of entries per pair, such as
the token ids of its source; another file then holds the offsets [pairs+1] at which the entries of each pair begin.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nmt_cli.data.arrays import Array, Integers, RaggedArray
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.errors import DataError

OFFSET_TYPE = np.dtype("<i8")
SIDES = ("source", "target")


@dataclass(frozen=True)
class StoredArray:
    """A kind of data in a shard."""

    name: str
    """File of the entries."""
    dtype: np.dtype[Any]
    offsets: str = ""
    """File of the offsets. Several arrays may share one. Empty: one entry per pair."""
    width: int | None = None
    """Values of an entry; None: an entry is a single value."""

    def buffers(self, values: Array | bytes, lengths: Integers | None = None) -> dict[str, bytes]:
        """Return the content of the files for some pairs, by name; the offsets exclude the leading 0.

        Args:
            lengths: Entries of each pair; None if another array writes the shared offsets.
        """
        content = values if isinstance(values, bytes) else values.astype(self.dtype, copy=False).tobytes()
        if lengths is None:
            return {self.name: content}
        return {self.name: content, self.offsets: np.cumsum(lengths, dtype=OFFSET_TYPE).tobytes()}

    def exists(self, folder: Path) -> bool:
        """Return whether a shard has this kind of data. Alignments are optional."""
        return (folder / self.name).is_file()

    def open(self, folder: Path, num_pairs: int) -> RaggedArray:
        """Memory-map the files. DataError if they do not fit the number of pairs."""
        offsets = map_file(folder / self.offsets, OFFSET_TYPE, num_pairs + 1)
        values = map_file(folder / self.name, self.dtype, int(offsets[-1]) * (self.width or 1))
        return RaggedArray(offsets, values if self.width is None else values.reshape(-1, self.width))


TEXT = {side: StoredArray(f"{side}.txt", np.dtype("u1"), f"{side}.lines") for side in SIDES}
"""Normalised text of each side: UTF-8, each line with a newline at its end."""
ALIGNMENT = StoredArray("alignment.bin", np.dtype("<u4"), "alignment.offsets", width=2)
"""Word links: 0-based index of a source word and of a target word, both normalised."""
RECORD_IDS = StoredArray("records", np.dtype("<i8"))
"""Record number of each pair, for messages. Not in prepared data: removed by the merge, as key files are."""


def key_file(index: int) -> StoredArray:
    """Return the keys of each pair for a key filter. Removed by the merge."""
    return StoredArray(f"keys.{index}", np.dtype("<u8"))


@dataclass(frozen=True)
class ShardFormat:
    """The arrays of the shards of prepared data."""

    tokens: dict[str, StoredArray]
    """Token ids of each side."""
    source_columns: dict[str, StoredArray]
    """Further values of the source tokens, by name; they share the offsets of the source tokens."""
    arrays: tuple[StoredArray, ...] = field(init=False)
    """All of them."""

    def __post_init__(self) -> None:
        arrays = (*self.tokens.values(), *TEXT.values(), *self.source_columns.values(), ALIGNMENT)
        object.__setattr__(self, "arrays", arrays)

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "ShardFormat":
        """Return the format of data prepared with a tokenizer."""
        sizes = {"source": tokenizer.source_size, "target": tokenizer.target_size}
        tokens = {side: StoredArray(f"{side}.bin", id_type(size), f"{side}.offsets") for side, size in sizes.items()}
        columns = {
            name: StoredArray(f"source.{name}.bin", column_type(sizes), "source.offsets", width=len(sizes))
            for name, sizes in tokenizer.source_columns.items()
        }
        return cls(tokens, columns)

    @property
    def offset_files(self) -> frozenset[str]:
        """Names of the files with offsets."""
        return frozenset(array.offsets for array in self.arrays)


def id_type(vocabulary_size: int) -> np.dtype[Any]:
    """Return the type in which token ids are stored: two bytes if they suffice, else four."""
    return np.dtype("<u2" if vocabulary_size < 2**16 else "<u4")


def column_type(sizes: Sequence[int]) -> np.dtype[Any]:
    """Return the type in which a source column is stored whose features have so many values."""
    return id_type(max(sizes))


def map_file(path: Path, dtype: np.dtype[Any], count: int) -> Array:
    """Memory-map the values of a file. DataError if it does not contain exactly `count`."""
    try:
        if path.stat().st_size != count * dtype.itemsize:
            raise DataError(f"{path}: does not match the other files of its folder; run `nmt preprocess` again")
        return np.asarray(np.memmap(path, dtype, "r")) if count else np.empty(0, dtype)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; run `nmt preprocess` again") from error
