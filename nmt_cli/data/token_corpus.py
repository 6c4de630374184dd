"""A prepared corpus on disk: shards of token arrays, mapped when first needed, and the normalised text beside them."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from nmt_cli.data.alignments import WordLinks, join_links, mapped, open_links
from nmt_cli.data.arrays import Array, Integers
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

    def __init__(self, folder: Path, entry: Mapping[str, Any], tokenizer: Tokenizer) -> None:
        """`entry` is what the manifest says of the corpus."""
        self.name = folder.name
        self.prefix: list[int] = list(entry["prefix"])
        """The tags that each source begins with; the text has none."""
        self.source_tokens, self.target_tokens = int(entry["source_tokens"]), int(entry["target_tokens"])
        self._lengths = entry["lengths"]
        sizes = [int(size) for size in entry["shards"]]
        self._ends: Integers = np.cumsum([0, *sizes])
        self._shards = [_Shard(folder / f"{number:05}", size, tokenizer) for number, size in enumerate(sizes)]
        self._types = token_type(tokenizer.source_size), token_type(tokenizer.target_size)
        self._columns = _column_types(tokenizer)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def longest(self, side: str) -> int:
        """Most tokens of a `source` or `target`."""
        return max((int(length) for length in self._lengths[side]), default=0)

    def read(self, cells: Cells) -> TokenPairs:
        """The pairs of some stretches, one after another, in memory."""
        places = self._places(cells)
        sources = _joined_lines([shard.sources.part(one, end) for shard, one, end in places], self._types[0])
        targets = _joined_lines([shard.targets.part(one, end) for shard, one, end in places], self._types[1])
        links = join_links(
            [(shard.links.part(one, end) if shard.links else None, end - one) for shard, one, end in places]
        )
        columns = {}
        for name, (kind, width) in self._columns.items():
            parts = [shard.column(name, one, end) for shard, one, end in places]
            columns[name] = np.concatenate([np.empty((0, width), kind), *parts])
        return TokenPairs(sources, targets, links, expanded(cells), columns)

    def whole(self) -> TokenPairs:
        """All pairs, in memory."""
        return self.read(np.array([[0, len(self)]]))

    def read_text(self, cells: Cells) -> tuple[list[str], list[str]]:
        """The normalised sources and targets of some stretches, one after another."""
        places = self._places(cells)
        sources = [line for shard, one, end in places for line in shard.sources.text(one, end)]
        targets = [line for shard, one, end in places for line in shard.targets.text(one, end)]
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
    """A folder with some of a corpus' pairs."""

    def __init__(self, folder: Path, size: int, tokenizer: Tokenizer) -> None:
        self._folder, self._size, self._tokenizer = folder, size, tokenizer

    @cached_property
    def sources(self) -> "_Side":
        return _Side(self._folder, "source", self._size, self._tokenizer.source_size)

    @cached_property
    def targets(self) -> "_Side":
        return _Side(self._folder, "target", self._size, self._tokenizer.target_size)

    @cached_property
    def links(self) -> WordLinks | None:
        return open_links(self._folder, self._size, self._tokenizer)

    def column(self, name: str, first: int, end: int) -> Array:
        """[n,k], a column for the tokens of some sources."""
        begins, ends = self.sources.bounds(first, end)
        return self._columns[name][begins:ends]

    @cached_property
    def _columns(self) -> dict[str, Array]:
        tokens = self.sources.bounds(0, self._size)[1]
        return {
            name: mapped(self._folder / column_file(name), kind, tokens * width).reshape(tokens, width)
            for name, (kind, width) in _column_types(self._tokenizer).items()
        }


class _Side:
    """One side of a shard."""

    def __init__(self, folder: Path, side: str, size: int, vocabulary_size: int) -> None:
        self._folder, self._side, self._size = folder, side, size
        self._offsets = mapped(folder / f"{side}.offsets", np.dtype("<i8"), size + 1)
        self._tokens = mapped(folder / f"{side}.bin", token_type(vocabulary_size), int(self._offsets[-1]))

    def part(self, first: int, end: int) -> tuple[Integers, Array]:
        """Lengths and tokens of some lines."""
        offsets = self._offsets[first : end + 1]
        return np.diff(offsets), self._tokens[offsets[0] : offsets[-1]]

    def bounds(self, first: int, end: int) -> tuple[int, int]:
        """Where the tokens of some lines begin and end."""
        return int(self._offsets[first]), int(self._offsets[end])

    def text(self, first: int, end: int) -> list[str]:
        """Some lines of the normalised text."""
        begins, ends = self._lines[first], self._lines[end]
        return self._text[begins:ends].tobytes().decode().split("\n")[:-1]

    @cached_property
    def _lines(self) -> Array:
        return mapped(self._folder / f"{self._side}.lines", np.dtype("<i8"), self._size + 1)

    @cached_property
    def _text(self) -> Array:
        return mapped(self._folder / f"{self._side}.txt", np.dtype("u1"), int(self._lines[-1]))


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


def column_file(name: str) -> str:
    """Return the name of a shard's file for a source column."""
    return f"source.{name}.bin"


def column_type(sizes: Sequence[int]) -> np.dtype[Any]:
    """Return the stored type of a column whose features have so many values."""
    return token_type(max(sizes))


def _column_types(tokenizer: Tokenizer) -> dict[str, tuple[np.dtype[Any], int]]:
    """Return the type and the number of features of each source column."""
    return {name: (column_type(sizes), len(sizes)) for name, sizes in tokenizer.source_columns.items()}


def token_type(vocabulary_size: int) -> np.dtype[Any]:
    """How token ids are stored: in two bytes if these are enough, else in four."""
    return np.dtype("<u2" if vocabulary_size < 2**16 else "<u4")
