"""Types of arrays, rows of different lengths, arithmetic of adjacent ranges, and evenly spaced indices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RaggedArray:
    """Rows of different lengths: row i is values[offsets[i]:offsets[i+1]]."""

    offsets: Integers
    """[rows+1]"""
    values: Array

    @classmethod
    def of_lengths(cls, lengths: Integers, values: Array) -> "RaggedArray":
        """Return rows that are given by their lengths."""
        return cls(np.append(0, np.cumsum(lengths)), values)

    @classmethod
    def concatenate(cls, parts: "Sequence[RaggedArray]") -> "RaggedArray":
        """Return the rows of all parts."""
        return cls.gather(((part, 0, len(part)) for part in parts), parts[0].values.dtype)

    @classmethod
    def gather(cls, slices: "Iterable[tuple[RaggedArray, int, int]]", dtype: np.dtype[Any]) -> "RaggedArray":
        """Return the rows of some slices, each given as an array, its first row and the one after its last."""
        lengths, values = [np.zeros(1, np.int64)], [np.empty(0, dtype)]
        for array, first, end in slices:
            offsets = array.offsets[first : end + 1]
            lengths.append(np.diff(offsets))
            values.append(array.values[offsets[0] : offsets[-1]])
        return cls(np.cumsum(np.concatenate(lengths)), np.concatenate(values))

    @cached_property
    def lengths(self) -> Integers:
        """[rows]"""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Array:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def slice(self, first: int, end: int) -> "RaggedArray":
        """Return adjacent rows."""
        offsets = self.offsets[first : end + 1]
        return RaggedArray(offsets - offsets[0], self.values[offsets[0] : offsets[-1]])


def starts_of(lengths: Integers) -> Integers:
    """Return where each of some adjacent ranges starts: 0 2 2 for lengths 2 0 3."""
    return np.cumsum(lengths) - lengths


def enumerate_ranges(lengths: Integers) -> tuple[Integers, Integers]:
    """Return the range and the position in it of each element: 0 0 2 2 2 and 0 1 0 1 2 for lengths 2 0 3."""
    ranges = np.repeat(np.arange(len(lengths)), lengths)
    return ranges, np.arange(len(ranges)) - np.repeat(starts_of(lengths), lengths)


def concatenate_ranges(starts: Integers, lengths: Integers) -> Integers:
    """Return the elements of ranges, one range after another: 5 6 1 2 3 for starts 5 0 1 and lengths 2 0 3."""
    elements: Integers = np.arange(lengths.sum()) + np.repeat(starts - starts_of(lengths), lengths)
    return elements


def evenly_spaced_indices(count: int, max_indices: int) -> list[int]:
    """Return at most `max_indices` evenly spaced indices below `count`, including the first and the last."""
    if max_indices >= count:
        return list(range(count))
    if max_indices == 1:
        return [0]
    return [index * (count - 1) // (max_indices - 1) for index in range(max_indices)]


def evenly_spaced(items: Sequence[T], max_items: int) -> list[T]:
    """Return at most `max_items` evenly spaced items, including the first and the last."""
    return [items[index] for index in evenly_spaced_indices(len(items), max_items)]
