"""What a filter is, and the rows that it is shown."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

By = Literal["pair", "source", "target"]
Truths = NDArray[np.bool_]
Keys = NDArray[np.uint64]


class LocalFilter(Protocol):
    """Judges each pair alone, so that its verdict is the same whichever rows stand beside it."""

    name: str
    """The reason that is counted, such as `length`."""
    words: str
    """What is dropped, for the screen, such as `a side of more than 2,000 characters`."""

    def __call__(self, rows: "Rows") -> Truths:
        """Which rows are kept."""


@runtime_checkable
class KeyFilter(Protocol):
    """Keeps the first of all pairs with the same key."""

    name: str
    words: str

    def keys(self, rows: "Rows") -> Keys:
        """The key of each row."""


@dataclass(frozen=True)
class Rows:
    """Some pairs of a corpus, normalised."""

    sources: list[str]
    targets: list[str]
    scores: list[str] | None = None
    """As the corpus gives them."""
    corpus: str = ""
    """Its name, for messages."""
    numbers: list[int] | None = None
    """Of the records, as the corpus counts them from 1, for messages."""
    _keys: dict[By, Keys] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def lengths(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Characters of each source and of each target."""
        return _lengths(self.sources), _lengths(self.targets)

    def keys(self, by: By) -> Keys:
        """A 64-bit key of each pair, source or target; equal text has equal keys."""
        if by not in self._keys:
            self._keys[by] = text_keys(_texts(self.sources, self.targets, by))
        return self._keys[by]

    def where(self, kept: Truths) -> "Rows":
        """Those that are kept; keys that are known remain known."""
        if kept.all():
            return self
        return Rows(
            list(compress(self.sources, kept)),
            list(compress(self.targets, kept)),
            None if self.scores is None else list(compress(self.scores, kept)),
            self.corpus,
            None if self.numbers is None else list(compress(self.numbers, kept)),
            {by: keys[kept] for by, keys in self._keys.items()},
        )

    def place(self, row: int) -> str:
        """Where a row comes from, for messages."""
        record = f"record {self.numbers[row]:,}" if self.numbers else f"row {row + 1:,}"
        return f"data.train.{self.corpus}: {record}" if self.corpus else record


def text_keys(texts: Iterable[str]) -> Keys:
    """XXH3 of each text: 64 bits, so that of n texts that differ some n²/2⁶⁵ pairs are taken for equal."""
    return np.array(list(map(xxh3_64_intdigest, map(str.encode, texts))), np.uint64)


def pair_keys(sources: list[str], targets: list[str], by: By) -> Keys:
    """The key of each pair, source or target."""
    return text_keys(_texts(sources, targets, by))


def _texts(sources: list[str], targets: list[str], by: By) -> Iterable[str]:
    if by == "pair":  # no line holds a newline
        return [f"{source}\n{target}" for source, target in zip(sources, targets, strict=True)]
    return sources if by == "source" else targets


def _lengths(texts: list[str]) -> NDArray[np.int64]:
    return np.fromiter(map(len, texts), np.int64, len(texts))
