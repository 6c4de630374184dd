"""The filters `duplicates` and `near_duplicates`: keys of pairs, and the first of any number of equal keys."""

import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.filters.overlap import HeldOutKeys
from nmt_cli.data.reading.examples import Examples, Keys, text_keys
from nmt_cli.files import disk_errors
from nmt_cli.recipe.filters import DuplicatesFilter, NearDuplicatesFilter

_BUCKET_KEYS = 1 << 21
"""Distinct keys of a bucket; each takes about 100 bytes of memory while its bucket is processed."""
_MAX_BUCKETS = 512
"""Files that are open at the same time."""
_ENTRY = np.dtype([("key", "<u8"), ("index", "<i8")])
_SLICE = 1 << 19
"""Keys that are distributed to buckets at a time."""


class Duplicates:
    """Keeps the first of pairs that are equal character by character."""

    def __init__(self, settings: DuplicatesFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = _reason("duplicates", settings.compare)
        self.description = f"the same {settings.compare} occurred before"
        self._compare = settings.compare

    def keys(self, examples: Examples) -> Keys:
        return examples.keys(self._compare)


class NearDuplicates:
    """Keeps the first of pairs that have the same letters, up to case and accents."""

    def __init__(self, settings: NearDuplicatesFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = _reason("near_duplicates", settings.compare)
        self.description = f"nearly the same {settings.compare} occurred before"
        self._compare = settings.compare

    def keys(self, examples: Examples) -> Keys:
        sources = [] if self._compare == "target" else [canonical(text) for text in examples.sources]
        targets = [] if self._compare == "source" else [canonical(text) for text in examples.targets]
        return text_keys(sources, targets, self._compare)


def _reason(kind: str, compare: str) -> str:
    return kind if compare == "pair" else f"{kind}_{compare}"


def canonical(text: str) -> str:
    """Return the letters of a text without case and accents; a text without letters is returned as it is.

    Combining marks of Indic and Semitic scripts are part of a word and are kept.
    """
    if text.isascii():
        return text.encode().translate(_ASCII_LOWER, _ASCII_NON_LETTERS).decode() or text
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKD", decomposed).translate(_LETTERS) or text


class _LetterTable(dict[int, int | None]):
    """A table for `str.translate` that deletes all but letters. It caches the class of each character."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        is_accent = 0x300 <= code <= 0x36F
        is_letter = character.isalpha() or (unicodedata.category(character)[0] == "M" and not is_accent)
        self[code] = code if is_letter else None
        return self[code]


_LETTERS = _LetterTable()
_ASCII_LOWER = bytes(range(256)).lower()
_ASCII_NON_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


def first_occurrences(
    keys: Iterable[Keys], masks: list[Booleans], folder: Path, bucket_keys: int = _BUCKET_KEYS
) -> list[Booleans]:
    """Return which pairs are the first with their key, among those where the masks are True.

    The keys are distributed to bucket files by their upper bits, and each bucket is processed in memory. Besides the
    result, one byte per pair, memory does not grow with the number of pairs.

    Args:
        keys: The keys of each shard, [n] each.
        masks: [n] of each shard. Pairs where they are False are ignored.
        folder: For temporary files: 16 bytes for each pair that is not ignored.
    """
    ends = np.cumsum([0, *map(len, masks)])
    first = np.zeros(int(ends[-1]), np.bool_)
    num_pairs = sum(int(np.count_nonzero(mask)) for mask in masks)
    num_buckets = min(_MAX_BUCKETS, max(1, -(-num_pairs // bucket_keys)))
    with disk_errors(folder), tempfile.TemporaryDirectory(prefix="keys-", dir=folder) as scratch:
        paths = [Path(scratch) / f"{bucket}.bin" for bucket in range(num_buckets)]
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            for entries in _entries(keys, masks):
                buckets = _bucket_of(entries["key"], num_buckets)
                order = np.argsort(buckets, kind="stable")
                bounds = np.searchsorted(buckets[order], np.arange(num_buckets + 1))
                for bucket, file in enumerate(files):
                    file.write(entries[order[bounds[bucket] : bounds[bucket + 1]]].tobytes())
        for path in paths:
            for indices in _first_indices(path, bucket_keys):
                first[indices] = True
            path.unlink()
    return [first[start:end] for start, end in pairwise(ends)]


def _entries(keys: Iterable[Keys], masks: list[Booleans]) -> Iterator[npt.NDArray[np.void]]:
    """Yield key and index of each pair that is not ignored, some at a time."""
    offset = 0
    for shard_keys, mask in zip(keys, masks, strict=True):
        if len(shard_keys) != len(mask):
            raise AssertionError(f"{len(shard_keys)} keys for {len(mask)} pairs")
        for start in range(0, len(mask), _SLICE):
            indices = start + np.flatnonzero(mask[start : start + _SLICE])
            entries = np.empty(len(indices), _ENTRY)
            entries["key"], entries["index"] = shard_keys[indices], offset + indices
            yield entries
        offset += len(mask)


def _bucket_of(keys: Keys, num_buckets: int) -> npt.NDArray[np.uint64]:
    """Return the bucket of each key, which follows from the upper 32 bits."""
    return (keys >> np.uint64(32)) * np.uint64(num_buckets) >> np.uint64(32)


def _first_indices(path: Path, block_entries: int) -> Iterator[Integers]:
    """Yield the index of the first entry of each key of a bucket. Read in blocks, as one key may fill the bucket."""
    known = np.empty(0, np.uint64)
    with path.open("rb") as file:
        while block := file.read(block_entries * _ENTRY.itemsize):
            entries = np.frombuffer(block, _ENTRY)
            keys, firsts = np.unique(entries["key"], return_index=True)
            is_new = np.ones(len(keys), np.bool_)
            if len(known):
                is_new = known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] != keys
            yield entries["index"][firsts[is_new]]
            known = np.sort(np.concatenate([known, keys[is_new]]))
