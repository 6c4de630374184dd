"""Batches: sentence pairs of one source length, within a budget of tokens, in an order that depends on a seed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nmt_cli.data.alignments import PaddedTokens, WordLinks, token_links
from nmt_cli.data.arrays import Array, Integers, RaggedArray
from nmt_cli.data.packing import PackedRows
from nmt_cli.data.token_corpus import TokenPairs
from nmt_cli.recipe.data import SequenceSettings
from nmt_cli.text.special_tokens import COPY_IDS, SpecialTokens


@dataclass(frozen=True)
class SequenceLayout:
    """What surrounds the tokens of a pair."""

    source_eos: bool = True
    """Whether to end each source with eos."""
    decoder_start: bool = True
    """Whether to begin each decoder input with decoder_start."""
    prompt_length: int = 0
    """Number of tokens at the start of each target that the decoder is given and does not predict."""

    @classmethod
    def of(cls, settings: SequenceSettings) -> "SequenceLayout":
        """Return the layout of prepared pairs, which contain all added tokens but a last eos and decoder_start."""
        return cls(
            settings.source_eos and not settings.source_language_last,
            not settings.target_language_first,
            int(settings.language_tokens or settings.bos),
        )


PLAIN = SequenceLayout()


@dataclass(frozen=True)
class TokenAlignment:
    """The m links between source and target tokens of a batch."""

    target_positions: Tensor
    """[m], indices into the flattened decoder input, as Batch.label_positions; the linked token is the label there."""
    source_positions: Tensor
    """[m], 0 to S - 1."""
    weights: Tensor
    """[m], fp32. The weights of a target position sum to 1."""

    def __post_init__(self) -> None:
        assert self.target_positions.shape == self.source_positions.shape == self.weights.shape

    def slice(self, start: int, end: int) -> "TokenAlignment":
        """Return the links of the target positions from `start` to `end`, counted from `start`."""
        inside = (start <= self.target_positions) & (self.target_positions < end)
        return TokenAlignment(
            self.target_positions[inside] - start, self.source_positions[inside], self.weights[inside]
        )

    def map(self, function: Callable[[Tensor], Tensor]) -> "TokenAlignment":
        """Apply a function to each tensor."""
        return TokenAlignment(*map(function, (self.target_positions, self.source_positions, self.weights)))


@dataclass(frozen=True)
class Batch:
    """B sentence pairs with sources of one length, so no source position is padding."""

    source: Tensor
    """[B,S], each row ends with eos unless the layout omits it."""
    decoder_input: Tensor
    """[B,T], each row begins with the decoder's start token and is padded at its end."""
    label_positions: Tensor
    """[n], indices into the flattened decoder input of the positions that predict a token, eos included."""
    labels: Tensor
    """[n], the tokens to predict there."""
    pair_ids: Integers
    """[B], for training batches the index of each pair in all corpora together."""
    alignment: TokenAlignment | None = None
    """Word alignments, if the data has them."""
    source_columns: Mapping[str, Tensor] = field(default_factory=dict)
    """[B,S,…], int64, further values of the source tokens, by name."""
    positions: Tensor | None = None
    """[B,T], position of each token in its segment of a packed row; None if each row is one segment."""
    extra_ids: int = 0
    """See ModelInputs."""

    def __post_init__(self) -> None:
        assert self.source.size(0) == self.decoder_input.size(0) == len(self.pair_ids)
        assert self.label_positions.numel() == self.labels.numel()
        for column in self.source_columns.values():
            assert column.shape[:2] == self.source.shape

    @property
    def segment_ids(self) -> Tensor | None:
        """[B,T], the segment of each token of a packed row; None if each row is one segment."""
        return None if self.positions is None else (self.positions == 0).cumsum(1)

    @property
    def target_tokens(self) -> int:
        """Number of tokens to predict: n."""
        return self.labels.numel()

    @property
    def padded_tokens(self) -> int:
        """Number of target positions, padding included: B·T."""
        return self.decoder_input.numel()

    def split(self, max_tokens: int) -> list["Batch"]:
        """Return the same pairs in batches of at most `max_tokens` padded target tokens, but at least one pair."""
        num_pairs, length = self.decoder_input.shape
        size = max(1, max_tokens // length)
        if num_pairs <= size:
            return [self]
        return [self._slice(first, min(first + size, num_pairs)) for first in range(0, num_pairs, size)]

    def _slice(self, first: int, end: int) -> "Batch":
        length = self.decoder_input.size(1)
        start, stop = first * length, end * length
        inside = (start <= self.label_positions) & (self.label_positions < stop)
        return Batch(
            self.source[first:end],
            self.decoder_input[first:end],
            self.label_positions[inside] - start,
            self.labels[inside],
            self.pair_ids[first:end],
            None if self.alignment is None else self.alignment.slice(start, stop),
            {name: column[first:end] for name, column in self.source_columns.items()},
            None if self.positions is None else self.positions[first:end],
            self.extra_ids,
        )

    def pinned(self) -> "Batch":
        """Return the batch in pinned memory."""
        return self._map(Tensor.pin_memory)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device. From pinned memory, the copy runs asynchronously."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(
            function(self.source),
            function(self.decoder_input),
            function(self.label_positions),
            function(self.labels),
            self.pair_ids,
            None if self.alignment is None else self.alignment.map(function),
            {name: function(column) for name, column in self.source_columns.items()},
            None if self.positions is None else function(self.positions),
            self.extra_ids,
        )


def batch_by_size(pairs: TokenPairs, batch_tokens: int, seed: Sequence[int]) -> list[Integers]:
    """Group pairs of equal source length into batches, in random order. Deterministic for a given seed.

    Args:
        batch_tokens: Maximum padded target tokens per batch, eos included; the limit for source tokens is twice that.
            A longer pair forms a batch of its own.

    Returns:
        Pair indices of each batch; every pair occurs once.
    """
    rng = np.random.default_rng(seed)
    sources, targets = pairs.source_lengths, pairs.target_lengths
    # By source length, then target length, then at random. No keys are equal, so every algorithm gives this order.
    assert len(pairs) < 1 << 23, "a block is held in memory"
    order = np.argsort((sources << 43) | (targets << 23) | rng.permutation(len(pairs)))
    batches = split_sorted(pairs, order, batch_tokens)
    return [batches[index] for index in rng.permutation(len(batches))]


def validation_batches(
    pairs: TokenPairs, batch_tokens: int, special_tokens: SpecialTokens, layout: SequenceLayout = PLAIN
) -> Iterator[Batch]:
    """Yield all pairs in batches, short ones first."""
    for indices in split_sorted(pairs, np.lexsort((pairs.target_lengths, pairs.source_lengths)), batch_tokens):
        yield collate(pairs, indices, special_tokens, layout)


def split_sorted(pairs: TokenPairs, indices: Integers, batch_tokens: int) -> list[Integers]:
    """Split pairs, sorted by source and target length, where the source length changes or the budget is reached.

    Args:
        batch_tokens: As in `batch_by_size`.
    """
    sources, targets = pairs.source_lengths[indices] + 1, pairs.target_lengths[indices] + 1
    group_ends = np.append(np.flatnonzero(np.diff(sources)) + 1, len(sources))
    batches: list[Integers] = []
    begin = 0
    for group_end in group_ends.tolist() if len(indices) else ():
        while begin < group_end:
            max_pairs = max(1, min(batch_tokens // int(targets[begin]), 2 * batch_tokens // int(sources[begin])))
            lengths = targets[begin : min(begin + max_pairs, group_end)]
            num_fitting = np.searchsorted(lengths * np.arange(1, len(lengths) + 1), batch_tokens, "right")
            end = begin + max(1, int(num_fitting))
            batches.append(indices[begin:end])
            begin = end
    return batches


def collate(
    pairs: TokenPairs, indices: Integers, special_tokens: SpecialTokens, layout: SequenceLayout = PLAIN
) -> Batch:
    """Return a batch of pairs that have sources of one length, or of packed rows."""
    if isinstance(pairs, PackedRows):
        return _collate_rows(pairs, indices, special_tokens.pad)
    source_lengths, target_lengths = pairs.source_lengths[indices], pairs.target_lengths[indices]
    assert (source_lengths == source_lengths[0]).all(), "a batch has sources of one length"
    source = np.full((len(indices), source_lengths[0] + 1), special_tokens.eos, np.int64)
    source[:, :-1] = _gather(pairs.sources, indices, int(source_lengths[0]))

    longest = int(target_lengths.max())
    is_real = np.arange(longest + 1) <= target_lengths[:, None]
    decoder_input = np.empty(is_real.shape, np.int64)
    decoder_input[:, 0] = special_tokens.decoder_start
    decoder_input[:, 1:] = _gather(pairs.targets, indices, longest)
    has_label = is_real & (np.arange(longest + 1) >= layout.prompt_length)
    labels = decoder_input.ravel().take(np.flatnonzero(has_label) + 1, mode="clip")  # the next token of the row
    labels[np.cumsum(target_lengths + 1 - layout.prompt_length) - 1] = special_tokens.eos
    np.putmask(decoder_input, ~is_real, special_tokens.pad)
    alignment = None
    if pairs.links is not None:
        sides = PaddedTokens(source[:, :-1], source_lengths), PaddedTokens(decoder_input[:, 1:], target_lengths)
        alignment = _align(pairs.links, indices, *sides)
    columns = {name: _column(each, pairs.sources, indices) for name, each in pairs.source_columns.items()}
    extra_ids = 0
    if COPY_IDS in columns and pairs.target_size is not None:
        columns[COPY_IDS][:, -1] = special_tokens.eos
        extra_ids = max(0, int(columns[COPY_IDS].max()) + 1 - pairs.target_size)
    first, end = int(not layout.decoder_start), source.shape[1] if layout.source_eos else -1
    return Batch(
        torch.from_numpy(source[:, :end]),
        torch.from_numpy(decoder_input[:, first:]),
        torch.from_numpy(np.flatnonzero(has_label[:, first:])),
        torch.from_numpy(labels),
        pairs.pair_ids[indices],
        alignment,
        {name: torch.from_numpy(each[:, :end]) for name, each in columns.items()},
        extra_ids=extra_ids,
    )


def _collate_rows(rows: PackedRows, indices: Integers, pad: int) -> Batch:
    lengths = rows.targets.lengths[indices]
    longest = int(lengths.max())
    is_real = np.arange(longest) < lengths[:, None]
    inputs, labels, positions = (
        _gather(each, indices, longest) for each in (rows.targets, rows.labels, rows.positions)
    )
    np.putmask(inputs, ~is_real, pad)
    np.putmask(positions, ~is_real, np.broadcast_to(np.arange(longest), is_real.shape))
    is_packed = bool((positions[:, 1:] == 0).any())
    return Batch(
        torch.empty(len(indices), 0, dtype=torch.int64),
        torch.from_numpy(inputs),
        torch.from_numpy(np.flatnonzero(is_real)),
        torch.from_numpy(labels[is_real]),
        rows.pair_ids[indices],
        positions=torch.from_numpy(positions) if is_packed else None,
    )


def _gather(rows: RaggedArray, indices: Integers, length: int) -> Array:
    """Return the first tokens of some rows, [B,length]. Tokens beyond the end of a row are those of other rows."""
    if not rows.values.size:
        return np.empty((len(indices), length), np.int64)
    return rows.values.take(rows.offsets[indices, None] + np.arange(length), mode="clip")


def _column(column: Array, sources: RaggedArray, indices: Integers) -> Integers:
    """Return a column for some sources of one length, [B,S,…]; 0 at eos."""
    length = int(sources.lengths[indices[0]])
    values = np.zeros((len(indices), length + 1, *column.shape[1:]), np.int64)
    values[:, :-1] = column[sources.offsets[indices, None] + np.arange(length)]
    return values


def _align(links: WordLinks, indices: Integers, source: PaddedTokens, target: PaddedTokens) -> TokenAlignment:
    """Return the links between the tokens of those pairs that have any."""
    rows, targets, sources = token_links(links, indices, source, target)
    positions = rows * (target.tokens.shape[1] + 1) + targets
    weights = 1 / np.bincount(positions)[positions]
    return TokenAlignment(*map(torch.from_numpy, (positions, sources, weights.astype(np.float32))))
