"""Blocks: about a million pairs of an epoch, held in memory, from which batches are made.

1. The pairs of a corpus form an endless stream, pass after pass, each pass in an order of its own (`shuffled_spans`).
2. `DatasetMixture` decides which part of each stream a block takes.
3. `BlockReader` reads these parts and, where the settings ask for it, tokenizes their text again.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate
from typing import Protocol

import numpy as np

from nmt_cli.data.arrays import Integers
from nmt_cli.data.packing import pack_documents
from nmt_cli.data.subword_sampling.regularizer import SubwordRegularizer
from nmt_cli.data.token_corpus import Spans, TokenCorpus, TokenPairs, concatenate_pairs
from nmt_cli.recipe.training import Mixing, Stage
from nmt_cli.text.special_tokens import SpecialTokens

PAIRS_PER_BLOCK = 2**20
"""Some hundred MB, and enough to fill batches of similar lengths."""
PAIRS_PER_REGULARIZED_BLOCK = 2**17
"""If text is tokenized again: training waits for the first block, which takes seconds."""

TOKENS_PER_BLOCK = 2**23
"""Of text without translations; packing holds some 50 bytes of each."""

_MAX_SPAN = 1024
_MIN_SPANS = 64
"""Per pass, if the corpus has as many pairs; so small corpora are shuffled well, too."""


@dataclass(frozen=True)
class Block:
    """Pairs of all corpora, in memory."""

    pairs: TokenPairs
    """Their ids count through all corpora."""
    corpus_ids: Integers
    """Index of each pair's corpus."""
    passes_before: float
    """Passes over the data before the block, with fractions."""
    passes_after: float
    """Passes over the data after the block."""


class BlockSource(Protocol):
    """Returns the blocks of each epoch."""

    def read(self, epoch: int, index: int) -> Block | None:
        """Return a block of an epoch; None if the epoch has fewer blocks."""
        ...


class BlockReader:
    """Reads any block of any epoch. A block depends only on corpora, settings, seed, epoch and index."""

    def __init__(
        self,
        corpora: Sequence[TokenCorpus],
        weights: Mapping[str, float],
        mixing: Mixing,
        seed: int,
        regularizer: SubwordRegularizer | None = None,
        block_pairs: int | None = None,
    ) -> None:
        """Plan the epochs.

        Args:
            weights: Sampling weight of each corpus, by name.
            regularizer: Tokenizes the pairs again.
            block_pairs: Approximate number of pairs of a block.
        """
        sizes = {corpus.name: len(corpus) for corpus in corpora}
        block_pairs = block_pairs or (PAIRS_PER_REGULARIZED_BLOCK if regularizer else PAIRS_PER_BLOCK)
        self._corpora, self._seed, self._regularizer = corpora, seed, regularizer
        self._first_ids = list(accumulate((len(corpus) for corpus in corpora), initial=0))
        self._mixture = DatasetMixture(sizes, weights, mixing, block_pairs)

    def read(self, epoch: int, index: int) -> Block | None:
        """Return a block of an epoch; None if the epoch has fewer blocks."""
        if index >= self._mixture.num_blocks(epoch):
            return None
        ranges = self._mixture.stream_ranges(epoch, index)
        parts = {
            corpus_id: self._read_part(corpus, ranges[corpus.name], epoch, index)
            for corpus_id, corpus in enumerate(self._corpora)
            if corpus.name in ranges
        }
        if not parts:  # a weight so small that its first pair comes later
            parts[0] = self._corpora[0].read(np.empty((0, 2), np.int64))
        start, end = self._mixture.epoch_fractions(epoch, index)
        return Block(
            concatenate_pairs([*parts.values()], [self._first_ids[corpus_id] for corpus_id in parts]),
            np.repeat(np.array([*parts], np.int64), [len(part) for part in parts.values()]),
            epoch + start,
            epoch + end,
        )

    def _read_part(self, corpus: TokenCorpus, positions: range, epoch: int, index: int) -> TokenPairs:
        """Return a part of the stream of a corpus."""
        name_hash = zlib.crc32(corpus.name.encode())
        spans = shuffled_spans(len(corpus), positions.start, positions.stop, [self._seed, name_hash])
        pairs = corpus.read(spans)
        if self._regularizer is None:
            return pairs
        return self._regularizer.regularize(corpus, spans, pairs, [self._seed, name_hash, epoch, index])


class PackedBlocks:
    """The blocks of text without translations, packed into rows; each pass splits documents at other tokens."""

    def __init__(self, blocks: BlockSource, special_tokens: SpecialTokens, length: int, seed: int) -> None:
        """See `pack_documents`."""
        self._blocks, self._special_tokens, self._length, self._seed = blocks, special_tokens, length, seed

    def read(self, epoch: int, index: int) -> Block | None:
        """Return a block, of which each row belongs to the corpus of its first document."""
        block = self._blocks.read(epoch, index)
        if block is None:
            return None
        seed = [self._seed, epoch, index]
        rows = pack_documents(block.pairs.targets, self._special_tokens, self._length, seed)
        first_documents = rows.document_ids.values[rows.targets.offsets[:-1]]
        return replace(block, pairs=rows, corpus_ids=block.corpus_ids[first_documents])


def documents_per_block(corpora: Sequence[TokenCorpus]) -> int:
    """Return a number of documents of text without translations that is held in memory at once."""
    tokens_each = sum(corpus.target_tokens for corpus in corpora) / max(1, sum(map(len, corpora)))
    return max(1, min(PAIRS_PER_BLOCK, round(TOKENS_PER_BLOCK / max(1.0, tokens_each))))


def shuffled_spans(num_pairs: int, begin: int, end: int, seed: Sequence[int]) -> Spans:
    """Return a part of the endless stream of a corpus.

    Each pass contains every pair once. It is a random order of spans of adjacent pairs, as only these are read fast
    from a disk. The boundaries of the spans are random, too.

    Args:
        begin, end: Positions in the stream.
    """
    parts = [np.empty((0, 2), np.int64)]
    for number in range(begin // num_pairs, -(-end // num_pairs)):
        spans = _shuffled_pass(num_pairs, np.random.default_rng([*seed, number]))
        lengths = spans[:, 1] - spans[:, 0]
        ends = number * num_pairs + np.cumsum(lengths)
        inside = (ends > begin) & (ends - lengths < end)
        spans, lengths, ends = spans[inside], lengths[inside], ends[inside]
        spans[:, 0] += np.maximum(begin - (ends - lengths), 0)
        spans[:, 1] -= np.maximum(ends - end, 0)
        parts.append(spans)
    return np.concatenate(parts)


def _shuffled_pass(num_pairs: int, rng: np.random.Generator) -> Spans:
    length = min(max(num_pairs // _MIN_SPANS, 1), _MAX_SPAN)
    edges = np.append(np.arange(-int(rng.integers(length)), num_pairs, length), num_pairs)
    edges[0] = 0
    shuffled: Spans = rng.permutation(np.stack([edges[:-1], edges[1:]], axis=1))
    return shuffled


@dataclass(frozen=True)
class _Phase:
    """A part of training with constant proportions. Positions count pairs of all corpora since training began."""

    start: Fraction
    proportions: Mapping[str, Fraction]
    """Of each corpus; they sum to 1."""
    pairs_before: Mapping[str, int]
    """Pairs of each corpus before the phase."""

    def stream_positions(self, position: Fraction) -> dict[str, int]:
        """Return the position in the stream of each corpus."""
        passed = position - self.start
        return {name: self.pairs_before[name] + round(passed * part) for name, part in self.proportions.items()}


@dataclass(frozen=True)
class _EpochPart:
    """A part of an epoch within one phase."""

    phase: _Phase
    start: Fraction
    end: Fraction
    num_blocks: int

    def block_start(self, index: int) -> Fraction:
        """Return where a block starts; for the index after the last, where the part ends."""
        return self.start + (self.end - self.start) * index / self.num_blocks


class DatasetMixture:
    """Decides which part of each corpus' stream a block takes.

    With weights, an epoch takes weight × size pairs of each corpus. With stages, an epoch has as many pairs as all
    corpora together. No block extends over two stages. Positions are exact fractions, so that passes end where they
    should after any time.
    """

    def __init__(
        self, sizes: Mapping[str, int], weights: Mapping[str, float], settings: Mixing, block_pairs: int
    ) -> None:
        self._block_pairs = block_pairs
        if settings.stages:
            self._epoch_pairs = Fraction(sum(sizes.values()))
            self._phases = _phases(sizes, settings.stages)
        else:
            weighted = {name: weights[name] * size for name, size in sizes.items()}
            pairs = _with_temperature(weighted, settings.temperature)
            self._epoch_pairs = sum(pairs.values(), Fraction(0))
            proportions = {name: count / self._epoch_pairs for name, count in pairs.items()}
            self._phases = [_Phase(Fraction(0), proportions, dict.fromkeys(sizes, 0))]

    def num_blocks(self, epoch: int) -> int:
        """Return the number of blocks of an epoch."""
        return sum(part.num_blocks for part in self._epoch_parts(epoch))

    def stream_ranges(self, epoch: int, block: int) -> dict[str, range]:
        """Return the range of the stream of each corpus that a block takes; corpora without pairs are left out."""
        part, index = self._find(epoch, block)
        starts, ends = (part.phase.stream_positions(part.block_start(i)) for i in (index, index + 1))
        return {name: range(starts[name], ends[name]) for name in starts if starts[name] < ends[name]}

    def epoch_fractions(self, epoch: int, block: int) -> tuple[float, float]:
        """Return where in its epoch a block starts and ends, from 0 to 1."""
        part, index = self._find(epoch, block)
        start, end = (part.block_start(i) / self._epoch_pairs - epoch for i in (index, index + 1))
        return float(start), float(end)

    def _find(self, epoch: int, block: int) -> tuple[_EpochPart, int]:
        for part in self._epoch_parts(epoch):
            if block < part.num_blocks:
                return part, block
            block -= part.num_blocks
        raise AssertionError("an epoch has no such block")

    def _epoch_parts(self, epoch: int) -> list[_EpochPart]:
        epoch_start, epoch_end = epoch * self._epoch_pairs, (epoch + 1) * self._epoch_pairs
        phase_ends = [phase.start for phase in self._phases[1:]] + [epoch_end]
        parts = []
        for phase, phase_end in zip(self._phases, phase_ends, strict=True):
            start, end = max(epoch_start, phase.start), min(epoch_end, phase_end)
            if start < end:
                parts.append(_EpochPart(phase, start, end, max(1, round((end - start) / self._block_pairs))))
        return parts


def _with_temperature(pairs: Mapping[str, float], temperature: float) -> dict[str, Fraction]:
    """Return the pairs of each corpus in an epoch, given those at temperature 1."""
    if temperature == 1:
        return {name: Fraction(count) for name, count in pairs.items()}
    largest = max(pairs.values())
    return {name: Fraction(largest * (count / largest) ** (1 / temperature)) for name, count in pairs.items()}


def _phases(sizes: Mapping[str, int], stages: list[Stage]) -> list[_Phase]:
    start, pairs_before = Fraction(0), dict.fromkeys(sizes, 0)
    phases = []
    for stage in stages:
        total = sum(map(Fraction, stage.weights.values()))
        proportions = {name: Fraction(weight) / total for name, weight in stage.weights.items()}
        phases.append(_Phase(start, proportions, pairs_before))
        for name, epochs in stage.epochs.items():  # of one corpus; of none in the last stage
            start = start + Fraction(epochs) * sizes[name] / proportions[name]
            pairs_before = pairs_before | phases[-1].stream_positions(start)
    return phases
