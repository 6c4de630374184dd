"""A prepared corpus on disk: shards of token arrays, mapped when first needed, and the normalised text beside them."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from nmt_cli.data.alignments import WordLinks, join_links, open_links
from nmt_cli.data.arrays import Array, Integers
from nmt_cli.data.preparation.manifest import CorpusStats
from nmt_cli.data.shard_files import TEXT, RaggedArray, ShardFormat, StoredArray
from nmt_cli.data.tokenizer import Tokenizer

Columns = Mapping[str, Array]
"""Arrays [n,…] by name, one row for each of n source tokens. 0 is the value of a token that has none, such as eos."""

NO_COLUMNS: Mapping[str, Any] = MappingProxyType({})

Cells = Integers
"""[k,2], stretches of neighbouring pairs: the number of the first, and that after the last."""


class Lines:
    """One side: line i is tokens[offsets[i]:offsets[i+1]]."""

    def __init__(self, offsets: Integers, tokens: Array) -> None:
        self.offsets, self.tokens = offsets, tokens

    @classmethod
    def of_lengths(cls, lengths: Integers, tokens: Array) -> "Lines":
        """Return lines that are given by their lengths."""
        return cls(np.append(0, np.cumsum(lengths)), tokens)

    @cached_property
    def lengths(self) -> Integers:
        """[lines]"""
        return np.diff(self.offsets)

    def __getitem__(self, line: int) -> Array:
        return self.tokens[self.offsets[line] : self.offsets[line + 1]]


class TokenPairs:
    """Pairs of token lines in memory, without start and end tokens: what batches are made of."""

    def __init__(
        self,
        sources: Lines,
        targets: Lines,
        links: WordLinks | None = None,
        numbers: Integers | None = None,
        source_columns: Columns = NO_COLUMNS,
    ) -> None:
        self.sources, self.targets, self.links = sources, targets, links
        self.source_columns = source_columns
        """Aligned with sources.tokens."""
        self.numbers: Integers = np.arange(len(self)) if numbers is None else numbers
        """What each pair is called: its number in the corpus, or through all corpora."""

    def __len__(self) -> int:
        return self.sources.offsets.size - 1

    @property
    def source_lengths(self) -> Integers:
        """Tokens of each source, tags included, the end token not counted."""
        return self.sources.lengths

    @property
    def target_lengths(self) -> Integers:
        """Tokens of each target, the end token not counted."""
        return self.targets.lengths

    def source(self, pair: int) -> Array:
        return self.sources[pair]

    def target(self, pair: int) -> Array:
        return self.targets[pair]


class TokenCorpus:
    """Pairs as `nmt preprocess` left them in the shards of a folder, and their text.

    Nothing is opened before it is read, so that a corpus of any size is at hand at once.
    """

    def __init__(self, folder: Path, stats: CorpusStats, tokenizer: Tokenizer) -> None:
        self.name = folder.name
        self.prefix: list[int] = stats.prefix
        """The tags that each source begins with; the text has none."""
        self.source_tokens, self.target_tokens = stats.num_tokens("source"), stats.num_tokens("target")
        self._lengths = stats.lengths
        self._ends: Integers = np.cumsum([0, *stats.shards])
        self._format = ShardFormat.of(tokenizer)
        self._shards = [
            _Shard(folder / f"{index:05}", size, tokenizer, self._format) for index, size in enumerate(stats.shards)
        ]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def longest(self, side: str) -> int:
        """Most tokens of a `source` or `target`."""
        return max(self._lengths[side], default=0)

    def read(self, cells: Cells) -> TokenPairs:
        """The pairs of some stretches, one after another, in memory."""
        places = self._places(cells)
        sources, targets = (
            _joined_lines([shard.tokens[side].part(one, end) for shard, one, end in places], stored.dtype)
            for side, stored in self._format.tokens.items()
        )
        links = join_links(
            [(shard.links.part(one, end) if shard.links else None, end - one) for shard, one, end in places]
        )
        columns = {}
        for name, stored in self._format.source_columns.items():
            parts = [shard.source_columns[name].part(one, end)[1] for shard, one, end in places]
            columns[name] = np.concatenate([np.empty((0, stored.width or 1), stored.dtype), *parts])
        return TokenPairs(sources, targets, links, expanded(cells), columns)

    def whole(self) -> TokenPairs:
        """All pairs, in memory."""
        return self.read(np.array([[0, len(self)]]))

    def read_text(self, cells: Cells) -> tuple[list[str], list[str]]:
        """The normalised sources and targets of some stretches, one after another."""
        places = self._places(cells)
        sources = [line for shard, one, end in places for line in shard.text("source", one, end)]
        targets = [line for shard, one, end in places for line in shard.text("target", one, end)]
        return sources, targets

    def source_text(self) -> list[str]:
        """All sources, normalised."""
        return self.read_text(np.array([[0, len(self)]]))[0]

    def target_text(self) -> list[str]:
        """All targets, normalised."""
        return self.read_text(np.array([[0, len(self)]]))[1]

    def _places(self, cells: Cells) -> "list[tuple[_Shard, int, int]]":
        """Where the stretches lie: shard, first pair and end in it."""
        found = []
        for first, end in cells.tolist():
            number = int(np.searchsorted(self._ends, first, "right")) - 1
            while first < end:
                begins, ends = self._ends[number : number + 2].tolist()
                if first < ends:
                    found.append((self._shards[number], first - begins, min(end, ends) - begins))
                first, number = max(first, ends), number + 1
        return found


class _Shard:
    """A folder with some of the pairs of a corpus. Files are mapped when they are first read."""

    def __init__(self, folder: Path, size: int, tokenizer: Tokenizer, format: ShardFormat) -> None:
        self._folder, self._size, self._tokenizer, self._format = folder, size, tokenizer, format

    @cached_property
    def tokens(self) -> dict[str, RaggedArray]:
        """Token ids of each side."""
        return self._open(self._format.tokens)

    @cached_property
    def source_columns(self) -> dict[str, RaggedArray]:
        """[n,k] each, aligned with the source tokens."""
        return self._open(self._format.source_columns)

    @cached_property
    def links(self) -> WordLinks | None:
        """Word alignments, if there are any."""
        return open_links(self._folder, self._size, self._tokenizer)

    def text(self, side: str, first: int, end: int) -> list[str]:
        """Return some lines of the normalised text of a side."""
        return self._texts[side].part(first, end)[1].tobytes().decode().split("\n")[:-1]

    @cached_property
    def _texts(self) -> dict[str, RaggedArray]:
        return self._open(TEXT)

    def _open(self, stored: Mapping[str, StoredArray]) -> dict[str, RaggedArray]:
        return {name: array.open(self._folder, self._size) for name, array in stored.items()}


def _joined_lines(parts: Sequence[tuple[Integers, Array]], kind: np.dtype[Any]) -> Lines:
    """Lines, given by lengths and tokens, one after another."""
    lengths = [lengths for lengths, _ in parts]
    tokens = [tokens for _, tokens in parts]
    return Lines(
        np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths])), np.concatenate([np.empty(0, kind), *tokens])
    )


def expanded(cells: Cells) -> Integers:
    """The numbers of all pairs of some stretches."""
    counts = cells[:, 1] - cells[:, 0]
    numbers: Integers = np.arange(counts.sum()) + np.repeat(cells[:, 0] - np.cumsum(counts) + counts, counts)
    return numbers


def joined(parts: Sequence[TokenPairs], firsts: Sequence[int]) -> TokenPairs:
    """Pairs of several corpora, one after another; `firsts` is added to the numbers of those of each."""

    def lines(side: Callable[[TokenPairs], Lines]) -> Lines:
        return _joined_lines([(side(part).lengths, side(part).tokens) for part in parts], side(parts[0]).tokens.dtype)

    numbers = [part.numbers + first for part, first in zip(parts, firsts, strict=True)]
    return TokenPairs(
        lines(lambda part: part.sources),
        lines(lambda part: part.targets),
        join_links([(part.links, len(part)) for part in parts]),
        np.concatenate(numbers),
        {name: np.concatenate([part.source_columns[name] for part in parts]) for name in parts[0].source_columns},
    )
