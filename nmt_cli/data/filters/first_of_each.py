"""The first of each among any number of 64-bit keys, found part by part on disk."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmt_cli.data.filters.contract import Keys, Truths
from nmt_cli.files import disk_errors

_PART = 1 << 21
"""Keys of a part, if all differ; each takes some 100 bytes while its part is looked at."""
_MOST_PARTS = 512
"""They are open at once."""
_RECORD = np.dtype([("key", "<u8"), ("place", "<i8")])
_SLICE = 1 << 19
"""Keys that are shared out to parts at once."""


def first_of_each(keys: Iterable[Keys], alive: list[Truths], folder: Path, keys_of_part: int = _PART) -> list[Truths]:
    """Which rows are alive and the first of those with their key, in the order given.

    `keys` and `alive` are cut alike; `folder` holds scratch files of 16 bytes for each row that is alive, and is
    empty afterwards as it was before. Memory does not grow with the number of rows but for the answer, a byte each.
    """
    ends = np.cumsum([0, *map(len, alive)])
    first = np.zeros(int(ends[-1]), np.bool_)
    living = sum(int(np.count_nonzero(part)) for part in alive)
    parts = min(_MOST_PARTS, max(1, -(-living // keys_of_part)))
    with disk_errors(folder), tempfile.TemporaryDirectory(prefix="keys-", dir=folder) as scratch:
        paths = [Path(scratch) / f"{part}.bin" for part in range(parts)]
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            for records in _records(keys, alive):
                numbers = _part_of(records["key"], parts)
                order = np.argsort(numbers, kind="stable")
                cuts = np.searchsorted(numbers[order], np.arange(parts + 1))
                for part, file in enumerate(files):
                    file.write(records[order[cuts[part] : cuts[part + 1]]].tobytes())
        for path in paths:
            for places in _first_places(path, keys_of_part):
                first[places] = True
            path.unlink()
    return [first[start:end] for start, end in pairwise(ends)]


def _records(keys: Iterable[Keys], alive: list[Truths]) -> Iterator[NDArray[np.void]]:
    """Key and place of each row that is alive, some at a time."""
    offset = 0
    for given, living in zip(keys, alive, strict=True):
        if len(given) != len(living):
            raise AssertionError(f"{len(given)} keys for {len(living)} rows")
        for start in range(0, len(living), _SLICE):
            rows = start + np.flatnonzero(living[start : start + _SLICE])
            records = np.empty(len(rows), _RECORD)
            records["key"], records["place"] = given[rows], offset + rows
            yield records
        offset += len(living)


def _part_of(keys: Keys, parts: int) -> NDArray[np.uint64]:
    """Parts are told by the upper bits."""
    return (keys >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32)


def _first_places(path: Path, rows: int) -> Iterator[NDArray[np.int64]]:
    """Places of the first of each key of a part, which is read piece by piece, as one key may fill it."""
    seen = np.empty(0, np.uint64)
    with path.open("rb") as file:
        while block := file.read(rows * _RECORD.itemsize):
            records = np.frombuffer(block, _RECORD)
            keys, firsts = np.unique(records["key"], return_index=True)
            is_new = np.ones(len(keys), np.bool_)
            if len(seen):
                is_new = seen[np.minimum(np.searchsorted(seen, keys), len(seen) - 1)] != keys
            yield records["place"][firsts[is_new]]
            seen = np.sort(np.concatenate([seen, keys[is_new]]))
