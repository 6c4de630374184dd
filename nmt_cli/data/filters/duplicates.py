"""The filters `duplicates`, `near_duplicates` and `overlap`: they find text that also occurs elsewhere by its key."""

import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nmt_cli.data.arrays import Booleans, Integers
from nmt_cli.data.reading.examples import Examples, KeyFields, Keys, text_keys
from nmt_cli.errors import DataError
from nmt_cli.files import disk_errors
from nmt_cli.recipe.filters import DuplicatesFilter, NearDuplicatesFilter, OverlapFilter

OVERLAP = "overlap"
"""Name of the filter, and the reason under which its dropped pairs are counted."""
_FIELDS: tuple[KeyFields, ...] = ("pair", "source", "target")
_MAX_QUOTED = 80
"""Characters of a line that a message quotes."""
_BUCKET_KEYS = 1 << 21
"""About how many distinct keys a bucket has; each takes about 100 bytes of memory while its bucket is processed."""
_MAX_BUCKETS = 512
"""Files that are open at the same time."""
_ENTRY = np.dtype([("key", "<u8"), ("index", "<i8")])
_KEYS_AT_ONCE = 1 << 19
"""Keys that are distributed to buckets at a time."""


@dataclass(frozen=True)
class HeldOutKeys:
    """Keys of all pairs, sources and targets of the validation and test sets."""

    names: tuple[str, ...]
    """Names of the sets."""
    keys: dict[KeyFields, Keys]
    """Distinct keys, ascending."""
    set_indices: dict[KeyFields, Integers]
    """For each key, the index in `names` of the first set that contains it."""

    @classmethod
    def of(cls, sets: Iterable[tuple[str, Iterable[tuple[str, str]]]] = ()) -> "HeldOutKeys":
        """Compute the keys of sets, each a name such as `test/news` and its normalised pairs, one per reference."""
        names, sources, targets = [], list[str](), list[str]()
        owners = list[int]()
        for index, (name, pairs) in enumerate(sets):
            names.append(name)
            for source, target in pairs:
                sources.append(source)
                targets.append(target)
                owners.append(index)
        keys, set_indices = {}, {}
        for on in _FIELDS:
            keys[on], first = np.unique(text_keys(sources, targets, on), return_index=True)
            set_indices[on] = np.array(owners, np.int64)[first]
        return cls(tuple(names), keys, set_indices)

    def contains(self, keys: Keys, on: KeyFields) -> Booleans:
        """Return which keys occur in a set."""
        held_out = self.keys[on]
        if not len(held_out):
            return np.zeros(len(keys), np.bool_)
        return np.asarray(held_out[np.minimum(np.searchsorted(held_out, keys), len(held_out) - 1)] == keys)

    def set_name(self, key: np.uint64, on: KeyFields) -> str:
        """Return the first set that contains a line with this key."""
        return self.names[int(self.set_indices[on][np.searchsorted(self.keys[on], key)])]


class HeldOutOverlap:
    """Drops pairs that are in a validation or test set. With `refuse`, the first one raises DataError."""

    def __init__(self, settings: OverlapFilter, languages: tuple[str, str], held_out: HeldOutKeys) -> None:
        self.name = OVERLAP
        what = "source or target" if settings.compare == "either" else settings.compare
        self.description = f"the {what} is in a validation or test set"
        self._held_out, self._should_refuse = held_out, settings.action == "refuse"
        self._on: tuple[KeyFields, ...] = ("source", "target") if settings.compare == "either" else (settings.compare,)

    def __call__(self, examples: Examples) -> Booleans:
        found = np.zeros(len(examples), np.bool_)
        for on in self._on:
            found |= self._held_out.contains(examples.keys(on), on)
        if self._should_refuse and found.any():
            raise DataError(self._message(examples, int(found.argmax())))
        return ~found

    def _message(self, examples: Examples, index: int) -> str:
        on = next(on for on in self._on if self._held_out.contains(examples.keys(on)[index : index + 1], on)[0])
        text = examples.targets[index] if on == "target" else examples.sources[index]
        quoted = text if len(text) <= _MAX_QUOTED else text[: _MAX_QUOTED - 1] + "…"
        return (
            f"{examples.location(index)}: its {on} is also in the set "
            f"{self._held_out.set_name(examples.keys(on)[index], on)}: {quoted!r}; "
            "remove it from one of them, or set `action: remove` in the filter overlap"
        )


class Duplicates:
    """Keeps the first of pairs that are equal character by character."""

    def __init__(
        self,
        settings: DuplicatesFilter | NearDuplicatesFilter,
        languages: tuple[str, str],
        held_out: HeldOutKeys,
    ) -> None:
        self._compare = settings.compare
        self.name = settings.type if self._compare == "pair" else f"{settings.type}_{self._compare}"
        same = "the same" if settings.type == "duplicates" else "nearly the same"
        self.description = f"{same} {self._compare} occurred before"

    def keys(self, examples: Examples) -> Keys:
        return examples.keys(self._compare)


class NearDuplicates(Duplicates):
    """Keeps the first of pairs that have the same letters, up to case and accents."""

    def keys(self, examples: Examples) -> Keys:
        sources = [] if self._compare == "target" else [canonical(text) for text in examples.sources]
        targets = [] if self._compare == "source" else [canonical(text) for text in examples.targets]
        return text_keys(sources, targets, self._compare)


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
        for start in range(0, len(mask), _KEYS_AT_ONCE):
            indices = start + np.flatnonzero(mask[start : start + _KEYS_AT_ONCE])
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
