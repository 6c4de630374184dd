"""Examples (sentence pairs) of a corpus, and counts of the records that were dropped, by reason."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import compress
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from nmt_cli.data.arrays import Booleans, Integers

OnError = Literal["stop", "skip"]
KeyFields = Literal["pair", "source", "target"]
"""The texts of an example from which a key is computed."""
Keys = npt.NDArray[np.uint64]

SOURCE_COLUMN = "factors."
"""Prefix of the columns that hold a value for each word of the source; the rest is the name of the column."""
MAX_EXAMPLES = 3
"""Maximum number of dropped examples that are kept for each reason."""
_MAX_SHOWN = 200
"""Maximum number of characters of each side of a dropped example."""


@dataclass(frozen=True, slots=True)
class DroppedExample:
    """A record that was dropped. Undecodable bytes are U+FFFD, and a missing text is empty."""

    record: int
    """1-based number of the record in its corpus."""
    source: str
    target: str

    @classmethod
    def shortened(cls, record: int, source: str, target: str) -> "DroppedExample":
        """Return a dropped example with its texts truncated."""
        return cls(record, _shorten(source), _shorten(target))


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


@dataclass
class DropCounts:
    """Number of records dropped for each reason, and the first of them."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[DroppedExample]] = field(default_factory=dict)

    def add(self, reason: str, count: int, examples: Sequence[DroppedExample]) -> None:
        """Count more records, of which `examples` are the first."""
        if count:
            self.counts[reason] += count
            known = self.examples.setdefault(reason, [])
            known += examples[: MAX_EXAMPLES - len(known)]

    def merge(self, other: "DropCounts") -> None:
        """Add the counts of records that come later."""
        for reason, count in other.counts.items():
            self.add(reason, count, other.examples.get(reason, []))

    def to_json(self) -> dict[str, Any]:
        """Return plain data for a manifest."""
        examples = {reason: [asdict(one) for one in some] for reason, some in sorted(self.examples.items())}
        return {"dropped": dict(sorted(self.counts.items())), "examples": examples}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "DropCounts":
        """Parse the result of `to_json`. KeyError, TypeError or ValueError if it is malformed."""
        examples = {
            str(reason): [DroppedExample(int(one["record"]), str(one["source"]), str(one["target"])) for one in some]
            for reason, some in dict(entry["examples"]).items()
        }
        return cls(Counter({str(reason): int(count) for reason, count in dict(entry["dropped"]).items()}), examples)


@dataclass(frozen=True)
class Examples:
    """Some sentence pairs of one corpus, raw or normalised.

    Raw texts may contain newlines if the format escapes them; normalised texts may not.
    """

    sources: list[str]
    targets: list[str]
    records: list[int] = field(default_factory=list)
    """1-based record number of each pair in its corpus; empty if unknown."""
    columns: Mapping[str, list[str]] = field(default_factory=dict)
    """Further text of each pair, not normalised: `alignment`, `score`, and `factors.NAME` for source columns."""
    corpus: str = ""
    """Name of the corpus, for messages."""
    _keys: dict[KeyFields, Keys] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.sources)

    @cached_property
    def lengths(self) -> tuple[Integers, Integers]:
        """Characters of each source and of each target."""
        sources, targets = (np.fromiter(map(len, side), np.int64, len(side)) for side in (self.sources, self.targets))
        return sources, targets

    @property
    def source_columns(self) -> dict[str, list[str]]:
        """The values of the words of each source, by the name of the column."""
        named = {key: texts for key, texts in self.columns.items() if key.startswith(SOURCE_COLUMN)}
        return {key.removeprefix(SOURCE_COLUMN): texts for key, texts in named.items()}

    def keys(self, on: KeyFields) -> Keys:
        """Return a 64-bit key of each pair, source or target. Equal texts have equal keys."""
        if on not in self._keys:
            self._keys[on] = text_keys(self.sources, self.targets, on)
        return self._keys[on]

    def select(self, mask: Booleans) -> "Examples":
        """Return the pairs where the mask is True. Keys that were computed are kept."""
        if mask.all():
            return self
        return Examples(
            list(compress(self.sources, mask)),
            list(compress(self.targets, mask)),
            list(compress(self.records, mask)),
            {key: list(compress(texts, mask)) for key, texts in self.columns.items()},
            self.corpus,
            {on: keys[mask] for on, keys in self._keys.items()},
        )

    def dropped(self, indices: Integers) -> list[DroppedExample]:
        """Return the first pairs with these indices as dropped examples."""
        shown = indices[:MAX_EXAMPLES].tolist()
        return [DroppedExample.shortened(self.records[i], self.sources[i], self.targets[i]) for i in shown]

    def location(self, index: int) -> str:
        """Return the corpus and record number of a pair, for messages."""
        record = f"record {self.records[index]:,}" if self.records else f"row {index + 1:,}"
        return f"data.train.{self.corpus}: {record}" if self.corpus else record


def text_keys(sources: list[str], targets: list[str], on: KeyFields) -> Keys:
    """Return XXH3 of each pair, source or target.

    The keys have 64 bits, so among n different texts, about n²/2⁶⁵ pairs of texts have equal keys.
    """
    texts: Iterable[str] = sources if on == "source" else targets
    if on == "pair":  # normalised text contains no newline
        texts = [f"{source}\n{target}" for source, target in zip(sources, targets, strict=True)]
    return np.array(list(map(xxh3_64_intdigest, map(str.encode, texts))), np.uint64)
