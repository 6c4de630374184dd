"""Normalised lines → tokens, with what stands before a source and between the sentences of a line."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

SEPARATOR = "\x1e"
"""Stands between the sentences of a line of normalised text, which itself can hold no control character."""

Integers = npt.NDArray[np.int64]
Encode = Callable[[list[str]], tuple[npt.NDArray[Any], Integers]]
"""Lines in; the token ids of all of them, one line after another, and how many each line has."""


def cut(
    encode: Encode, lines: list[str], prefix: Sequence[int] = (), separator: int | None = None
) -> tuple[npt.NDArray[Any], Integers]:
    """As `encode`, but each line begins with `prefix`, and has the token `separator` between its sentences."""
    if separator is None:
        ids, lengths = encode(lines)
        sentences = np.ones(len(lines), np.int64)
    else:
        parts = [line.split(SEPARATOR) for line in lines]
        ids, lengths = encode(list(chain.from_iterable(parts)))
        sentences = np.fromiter(map(len, parts), np.int64, len(parts))
    if not lines or (not prefix and len(lengths) == len(lines)):
        return ids, lengths
    starts = np.cumsum(lengths) - lengths
    firsts = np.cumsum(sentences) - sentences
    is_first = np.zeros(len(lengths), bool)
    is_first[firsts] = True
    added = np.where(is_first, len(prefix), 1)
    tokens = np.empty(int(added.sum()), ids.dtype)
    in_prefix = np.repeat(is_first, added)
    tokens[in_prefix] = np.tile(np.array(prefix, ids.dtype), len(lines))
    if separator is not None:
        tokens[~in_prefix] = separator
    return np.insert(ids, np.repeat(starts, added), tokens), np.add.reduceat(lengths + added, firsts)
