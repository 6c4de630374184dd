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
from nmt_cli.data.tokenizing.oov import MAX_OOV
from nmt_cli.errors import DataError
from nmt_cli.text.special_tokens import COPY_IDS

OFFSET_DTYPE = np.dtype("<i8")
SIDES = ("source", "target")


@dataclass(frozen=True)
class StoredArray:
    """The files, dtype and layout of one array of a shard."""

    name: str
    """File of the entries."""
    dtype: np.dtype[Any]
    offsets: str = ""
    """File of the offsets, which several arrays may share. Empty if there is one entry per pair."""
    width: int | None = None
    """Values of an entry; None if an entry is a single value."""

    def buffers(self, values: Array | bytes, lengths: Integers | None = None) -> dict[str, bytes]:
        """Return the bytes to append to the files for some pairs, by file name. The offsets exclude the leading 0.

        Args:
            lengths: Entries of each pair; None if another array writes the shared offsets.
        """
        content = values if isinstance(values, bytes) else values.astype(self.dtype, copy=False).tobytes()
        if lengths is None:
            return {self.name: content}
        return {self.name: content, self.offsets: np.cumsum(lengths, dtype=OFFSET_DTYPE).tobytes()}

    def exists(self, folder: Path) -> bool:
        """Return whether a shard has this array. Alignments are optional."""
        return (folder / self.name).is_file()

    def open(self, folder: Path, num_pairs: int) -> RaggedArray:
        """Memory-map the files. DataError if they do not fit the number of pairs."""
        offsets = map_file(folder / self.offsets, OFFSET_DTYPE, num_pairs + 1)
        values = map_file(folder / self.name, self.dtype, int(offsets[-1]) * (self.width or 1))
        return RaggedArray(offsets, values if self.width is None else values.reshape(-1, self.width))


TEXT = {side: StoredArray(f"{side}.txt", np.dtype("u1"), f"{side}.lines") for side in SIDES}
"""Normalised text of each side: UTF-8, each line with a newline at its end."""
ALIGNMENT = StoredArray("alignment.bin", np.dtype("<u4"), "alignment.offsets", width=2)
"""Word links: 0-based index of a source word and of a target word, both normalised."""
RECORD_IDS = StoredArray("records", np.dtype("<i8"))
"""Record number of each pair, for messages. Merged shards do not contain it."""


def key_file(index: int) -> StoredArray:
    """Return the file with the key of each pair for the key filter with this index. Merged shards do not contain it."""
    return StoredArray(f"keys.{index}", np.dtype("<u8"))


@dataclass(frozen=True)
class ShardFormat:
    """The arrays of the shards of prepared data."""

    tokens: dict[str, StoredArray]
    """Token ids of each side."""
    source_columns: dict[str, StoredArray]
    """Further values of the source tokens, by name; they share the offsets of the source tokens."""
    arrays: tuple[StoredArray, ...] = field(init=False)
    """All arrays, including texts and alignments."""

    def __post_init__(self) -> None:
        arrays = (*self.tokens.values(), *TEXT.values(), *self.source_columns.values(), ALIGNMENT)
        object.__setattr__(self, "arrays", arrays)

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "ShardFormat":
        """Return the format of data prepared with a tokenizer."""
        extended_size = tokenizer.target_size + (MAX_OOV if tokenizer.copies else 0)
        id_dtypes = {"source": id_dtype(tokenizer.source_size), "target": id_dtype(extended_size)}
        tokens = {side: StoredArray(f"{side}.bin", id_dtypes[side], f"{side}.offsets") for side in SIDES}
        columns = {
            name: StoredArray(f"source.{name}.bin", column_dtype(sizes), "source.offsets", width=len(sizes))
            for name, sizes in tokenizer.source_columns.items()
        }
        if tokenizer.copies:
            columns[COPY_IDS] = StoredArray(f"source.{COPY_IDS}.bin", id_dtypes["target"], "source.offsets")
        return cls(tokens, columns)

    @property
    def offset_files(self) -> frozenset[str]:
        """Names of the files with offsets."""
        return frozenset(array.offsets for array in self.arrays)


def id_dtype(vocabulary_size: int) -> np.dtype[Any]:
    """Return the dtype of stored token ids: two bytes for a vocabulary of less than 2^16 entries, else four."""
    return np.dtype("<u2" if vocabulary_size < 2**16 else "<u4")


def column_dtype(sizes: Sequence[int]) -> np.dtype[Any]:
    """Return the dtype of a stored source column, from the number of values of each of its features."""
    return id_dtype(max(sizes))


def map_file(path: Path, dtype: np.dtype[Any], count: int) -> Array:
    """Memory-map the values of a file. DataError if it does not contain exactly `count`."""
    try:
        if path.stat().st_size != count * dtype.itemsize:
            raise DataError(f"{path}: does not match the other files of its folder; run `nmt preprocess` again")
        return np.asarray(np.memmap(path, dtype, "r")) if count else np.empty(0, dtype)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; run `nmt preprocess` again") from error
