"""Types of arrays, and arithmetic of adjacent ranges."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


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
