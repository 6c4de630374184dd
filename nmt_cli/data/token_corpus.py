"""A prepared corpus on disk: shards of token arrays, memory-mapped on first use, and the normalised text."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from nmt_cli.data.alignments import WordLinks, concatenate_links, open_links
from nmt_cli.data.arrays import Array, Integers, RaggedArray, concatenate_ranges
from nmt_cli.data.preparation.manifest import CorpusStats
from nmt_cli.data.preparation.shard_files import SIDES, TEXT, ShardFormat, StoredArray
from nmt_cli.data.tokenizer import Tokenizer

Columns = Mapping[str, Array]
"""Arrays [n,…] by name, one row for each of n source tokens. 0 is the value of a token that has none, such as eos."""

NO_COLUMNS: Mapping[str, Any] = MappingProxyType({})

Spans = Integers
"""[k,2], spans of adjacent pairs: start and end (exclusive)."""


class TokenPairs:
    """Tokenized pairs in memory, without bos and eos, from which batches are made."""

    def __init__(
        self,
        sources: RaggedArray,
        targets: RaggedArray,
        links: WordLinks | None = None,
        pair_ids: Integers | None = None,
        source_columns: Columns = NO_COLUMNS,
        target_size: int | None = None,
    ) -> None:
        """Hold the pairs.

        Args:
            sources: Token ids, tags included.
            links: Word alignments.
            pair_ids: Index of each pair in its corpus, or in all corpora together; default: in these pairs.
            source_columns: Further values of the source tokens, aligned with sources.values.
            target_size: Number of entries of the target vocabulary; larger ids are words of the source.
        """
        self.target_size = target_size
        self.sources, self.targets, self.links, self.source_columns = sources, targets, links, source_columns
        self.pair_ids: Integers = np.arange(len(self)) if pair_ids is None else pair_ids

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def source_lengths(self) -> Integers:
        """Number of tokens of each source, eos excluded."""
        return self.sources.lengths

    @property
    def target_lengths(self) -> Integers:
        """Number of tokens of each target, eos excluded."""
        return self.targets.lengths


class TokenCorpus:
    """Pairs that `nmt preprocess` wrote to the shards of a folder, and their text.

    Files are opened when they are first read, so a corpus of any size is ready at once.
    """

    def __init__(self, folder: Path, stats: CorpusStats, tokenizer: Tokenizer) -> None:
        self.name = folder.name
        self.prefix: list[int] = stats.prefix_ids
        """Ids of the tags with which each source begins; the text does not contain them."""
        self.suffix: list[int] = stats.suffix_ids
        """Ids of the tokens with which each source ends."""
        self.prompt: list[int] = stats.prompt_ids
        """Ids of the tokens with which each target begins."""
        self.source_tokens, self.target_tokens = stats.num_tokens("source"), stats.num_tokens("target")
        self._lengths = stats.lengths
        self._edges: Integers = np.cumsum([0, *stats.shard_sizes])
        self._format, self._target_size = ShardFormat.of(tokenizer), tokenizer.target_size
        self._shards = [
            _Shard(folder / f"{index:05}", size, tokenizer, self._format)
            for index, size in enumerate(stats.shard_sizes)
        ]

    def __len__(self) -> int:
        return int(self._edges[-1])

    def max_length(self, side: str) -> int:
        """Return the largest number of tokens of a `source` or `target`."""
        return max(self._lengths[side], default=0)

    def read(self, spans: Spans) -> TokenPairs:
        """Return the pairs of some spans, one span after another."""
        parts = list(self._shard_parts(spans))
        sources, targets = (
            RaggedArray.gather(((shard.tokens[side], first, end) for shard, first, end in parts), stored.dtype)
            for side, stored in self._format.tokens.items()
        )
        links = concatenate_links(
            [(shard.links.slice(one, end) if shard.links else None, end - one) for shard, one, end in parts]
        )
        columns = {}
        for name, stored in self._format.source_columns.items():
            values = [shard.source_columns[name].slice(one, end).values for shard, one, end in parts]
            shape = (0,) if stored.width is None else (0, stored.width)
            columns[name] = np.concatenate([np.empty(shape, stored.dtype), *values])
        return TokenPairs(sources, targets, links, span_indices(spans), columns, self._target_size)

    def read_all(self) -> TokenPairs:
        """Return all pairs."""
        return self.read(np.array([[0, len(self)]]))

    def read_text(self, spans: Spans | None = None) -> tuple[list[str], list[str]]:
        """Return the normalised sources and targets of some spans, one span after another; default: all pairs."""
        parts = list(self._shard_parts(np.array([[0, len(self)]]) if spans is None else spans))
        sources, targets = (
            [line for shard, one, end in parts for line in shard.text(side, one, end)] for side in SIDES
        )
        return sources, targets

    def _shard_parts(self, spans: Spans) -> "Iterator[tuple[_Shard, int, int]]":
        """Split spans at the borders of shards: yield shard, first pair and end (exclusive) in it of each part."""
        for first, end in spans.tolist():
            shard = int(np.searchsorted(self._edges, first, "right")) - 1
            while first < end:
                shard_first, shard_end = self._edges[shard : shard + 2].tolist()
                if first < shard_end:
                    yield self._shards[shard], first - shard_first, min(end, shard_end) - shard_first
                first, shard = max(first, shard_end), shard + 1


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
        return self._texts[side].slice(first, end).values.tobytes().decode().split("\n")[:-1]

    @cached_property
    def _texts(self) -> dict[str, RaggedArray]:
        return self._open(TEXT)

    def _open(self, stored: Mapping[str, StoredArray]) -> dict[str, RaggedArray]:
        return {name: array.open(self._folder, self._size) for name, array in stored.items()}


def span_indices(spans: Spans) -> Integers:
    """Return the indices of all pairs of some spans."""
    return concatenate_ranges(spans[:, 0], spans[:, 1] - spans[:, 0])


def concatenate_pairs(parts: Sequence[TokenPairs], first_ids: Sequence[int]) -> TokenPairs:
    """Return pairs of several corpora, one after another.

    Args:
        first_ids: Added to the pair ids of each part.
    """
    return TokenPairs(
        RaggedArray.concatenate([part.sources for part in parts]),
        RaggedArray.concatenate([part.targets for part in parts]),
        concatenate_links([(part.links, len(part)) for part in parts]),
        np.concatenate([part.pair_ids + first for part, first in zip(parts, first_ids, strict=True)]),
        {name: np.concatenate([part.source_columns[name] for part in parts]) for name in parts[0].source_columns},
        parts[0].target_size,
    )
