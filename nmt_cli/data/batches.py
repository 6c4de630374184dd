"""Batches: sentences of one source length, within a budget of tokens, in an order that a seed decides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt_cli.data.alignments import Side, WordLinks, token_links
from nmt_cli.data.token_corpus import Lines, TokenPairs
from nmt_cli.text.special_tokens import SpecialTokens

Rows = npt.NDArray[np.int64]
"""Which of some pairs."""


@dataclass(frozen=True)
class Alignment:
    """Which source words the m links of a batch tie to which of its target words."""

    positions: Tensor
    """[m], numbers through B·T of the target places, as in Batch.positions."""
    sources: Tensor
    """[m], source places, 0 to S - 1."""
    weights: Tensor
    """[m], fp32; those of each target place that has a link sum to 1."""

    def to(self, device: torch.device) -> "Alignment":
        """The same links on a device; from pinned memory the copy runs beside other work."""
        return Alignment(
            self.positions.to(device, non_blocking=True),
            self.sources.to(device, non_blocking=True),
            self.weights.to(device, non_blocking=True),
        )

    def between(self, begins: int, ends: int) -> "Alignment":
        """The links of target places from `begins` up to `ends`, which are counted from `begins` then."""
        inside = (begins <= self.positions) & (self.positions < ends)
        return Alignment(self.positions[inside] - begins, self.sources[inside], self.weights[inside])

    def pinned(self) -> "Alignment":
        """The same links in pinned memory."""
        return Alignment(self.positions.pin_memory(), self.sources.pin_memory(), self.weights.pin_memory())


@dataclass(frozen=True)
class Batch:
    """B pairs; all sources are equally long, so no source position is padding."""

    source: Tensor
    """[B,S], each row ends with the end token."""
    target_in: Tensor
    """[B,T], each row begins with the start token and is padded at its end."""
    positions: Tensor
    """[n], numbers through B·T of the places that predict a real token, the end token included."""
    labels: Tensor
    """[n], what is to be predicted there."""
    pairs: Rows
    """[B], what these pairs are called: of a training batch, their numbers through all corpora."""
    alignment: Alignment | None = None
    """Word alignments, if the data has them."""
    source_columns: Mapping[str, Tensor] = field(default_factory=dict)
    """[B,S,…], int64, what the data has beside the ids of the source tokens, by name."""

    @property
    def target_tokens(self) -> int:
        """Tokens to predict: n."""
        return self.labels.numel()

    @property
    def padded_tokens(self) -> int:
        """Target positions, padding included: B·T."""
        return self.target_in.numel()

    def pieces(self, most: int) -> list["Batch"]:
        """The same pairs in batches of at most `most` padded target tokens, or of one pair."""
        rows, length = self.target_in.shape
        each = max(1, most // length)
        if rows <= each:
            return [self]
        return [self._rows(first, min(first + each, rows)) for first in range(0, rows, each)]

    def _rows(self, first: int, end: int) -> "Batch":
        begins, ends = first * self.target_in.size(1), end * self.target_in.size(1)
        inside = (begins <= self.positions) & (self.positions < ends)
        return Batch(
            self.source[first:end],
            self.target_in[first:end],
            self.positions[inside] - begins,
            self.labels[inside],
            self.pairs[first:end],
            None if self.alignment is None else self.alignment.between(begins, ends),
            {name: column[first:end] for name, column in self.source_columns.items()},
        )

    def pinned(self) -> "Batch":
        """The same batch in pinned memory."""
        return Batch(
            self.source.pin_memory(),
            self.target_in.pin_memory(),
            self.positions.pin_memory(),
            self.labels.pin_memory(),
            self.pairs,
            None if self.alignment is None else self.alignment.pinned(),
            {name: column.pin_memory() for name, column in self.source_columns.items()},
        )

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device; from pinned memory the copy runs beside other work."""
        return Batch(
            self.source.to(device, non_blocking=True),
            self.target_in.to(device, non_blocking=True),
            self.positions.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.pairs,
            None if self.alignment is None else self.alignment.to(device),
            {name: column.to(device, non_blocking=True) for name, column in self.source_columns.items()},
        )


def plan(pairs: TokenPairs, batch_tokens: int, seed: Sequence[int]) -> list[Rows]:
    """Which pairs make up each batch: every pair once, the same for the same seed.

    A batch has at most `batch_tokens` padded target tokens and twice as many source tokens, end
    tokens included; a pair that is longer is a batch of its own.
    """
    generator = np.random.default_rng(seed)
    sources, targets = pairs.source_lengths + 1, pairs.target_lengths + 1
    # By source, then target, then at random; as no two keys are equal, any way of sorting gives the same order.
    assert len(pairs) < 1 << 23, "a block is held in memory"
    order = np.argsort((sources << 43) | (targets << 23) | generator.permutation(len(pairs)))
    batches = _cut(order, sources[order], targets[order], batch_tokens)
    return [batches[number] for number in generator.permutation(len(batches))]


def validation_batches(pairs: TokenPairs, batch_tokens: int, special: SpecialTokens) -> Iterator[Batch]:
    """All pairs, in batches from short to long."""
    sources, targets = pairs.source_lengths + 1, pairs.target_lengths + 1
    order = np.lexsort((targets, sources))
    for rows in _cut(order, sources[order], targets[order], batch_tokens):
        yield assemble(pairs, rows, special)


def assemble(pairs: TokenPairs, rows: Rows, special: SpecialTokens) -> Batch:
    """Gather the tokens of pairs that have sources of one length."""
    source_lengths, target_lengths = pairs.source_lengths[rows], pairs.target_lengths[rows]
    assert (source_lengths == source_lengths[0]).all(), "a batch has sources of one length"
    source = np.full((len(rows), source_lengths[0] + 1), special.eos, np.int64)
    source[:, :-1] = _gathered(pairs.sources, rows, int(source_lengths[0]))

    longest = int(target_lengths.max())
    real = np.arange(longest + 1) <= target_lengths[:, None]
    target_in = np.empty(real.shape, np.int64)
    target_in[:, 0] = special.decoder_start
    target_in[:, 1:] = _gathered(pairs.targets, rows, longest)
    positions = np.flatnonzero(real)
    labels = target_in.ravel().take(positions + 1, mode="clip")  # what follows, within a row
    labels[np.cumsum(target_lengths + 1) - 1] = special.eos
    np.putmask(target_in, ~real, special.pad)
    alignment = None
    if pairs.links is not None:
        sides = Side(source[:, :-1], source_lengths), Side(target_in[:, 1:], target_lengths)
        alignment = _alignment(pairs.links, rows, *sides)
    return Batch(
        torch.from_numpy(source),
        torch.from_numpy(target_in),
        torch.from_numpy(positions),
        torch.from_numpy(labels),
        pairs.numbers[rows],
        alignment,
        {name: torch.from_numpy(_column(each, pairs.sources, rows)) for name, each in pairs.source_columns.items()},
    )


def _gathered(lines: Lines, rows: Rows, length: int) -> npt.NDArray[Any]:
    """[B,length], the first tokens of some lines; what stands beyond a line's end is of other lines."""
    if not lines.tokens.size:
        return np.empty((len(rows), length), np.int64)
    return lines.tokens.take(lines.offsets[rows, None] + np.arange(length), mode="clip")


def _column(column: npt.NDArray[Any], sources: Lines, rows: Rows) -> npt.NDArray[np.int64]:
    """[B,S,…], a column for some sources of one length; 0 at eos."""
    length = int(sources.lengths[rows[0]])
    found = np.zeros((len(rows), length + 1, *column.shape[1:]), np.int64)
    found[:, :-1] = column[sources.offsets[rows, None] + np.arange(length)]
    return found


def _alignment(links: WordLinks, rows: Rows, source: Side, target: Side) -> Alignment:
    """The links of those rows that have any."""
    found = token_links(links, rows, source, target)
    position = found.rows * (target.tokens.shape[1] + 1) + found.targets
    weights = 1 / np.bincount(position)[position]
    return Alignment(*map(torch.from_numpy, (position, found.sources, weights.astype(np.float32))))


def _cut(order: Rows, sources: Rows, targets: Rows, batch_tokens: int) -> list[Rows]:
    """Cut sorted pairs, given with their lengths, where the source length changes or the budget ends."""
    group_ends = np.append(np.flatnonzero(np.diff(sources)) + 1, len(sources))
    batches: list[Rows] = []
    begin = 0
    for group_end in group_ends.tolist() if len(order) else ():
        while begin < group_end:
            most = max(1, min(batch_tokens // int(targets[begin]), 2 * batch_tokens // int(sources[begin])))
            reach = targets[begin : min(begin + most, group_end)]
            fitting = np.searchsorted(reach * np.arange(1, len(reach) + 1), batch_tokens, "right")
            end = begin + max(1, int(fitting))
            batches.append(order[begin:end])
            begin = end
    return batches
