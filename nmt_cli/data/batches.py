"""Batches: sentences of one source length, within a budget of tokens, in an order that a seed decides."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt_cli.data.alignments import Side, token_links
from nmt_cli.data.token_corpus import Lines, TokenPairs

Pairs = npt.NDArray[np.int64]
"""Global numbers of pairs: those of the first corpus, then those of the second, and so on."""


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
    pairs: Pairs
    """[B], which pairs these are."""
    alignment: Alignment | None = None
    """Word alignments, if the data has them."""

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
        )


def plan_epoch(corpora: Sequence[TokenPairs], batch_tokens: int, seed: int, epoch: int) -> list[Pairs]:
    """Which pairs make up each batch of an epoch: every pair once, the same for the same seed and epoch.

    A batch has at most `batch_tokens` padded target tokens and twice as many source tokens, end
    tokens included; a pair that is longer is a batch of its own.
    """
    generator = np.random.default_rng([seed, epoch])
    sources = np.concatenate([corpus.source_lengths for corpus in corpora]) + 1
    targets = np.concatenate([corpus.target_lengths for corpus in corpora]) + 1
    shuffled = generator.permutation(len(sources))
    order = shuffled[np.lexsort((targets[shuffled], sources[shuffled]))]
    batches = _cut(order, sources[order], targets[order], batch_tokens)
    return [batches[number] for number in generator.permutation(len(batches))]


def validation_batches(corpus: TokenPairs, batch_tokens: int, start: int, end: int, pad: int) -> Iterator[Batch]:
    """All pairs of a corpus, in batches from short to long."""
    sources, targets = corpus.source_lengths + 1, corpus.target_lengths + 1
    order = np.lexsort((targets, sources))
    for pairs in _cut(order, sources[order], targets[order], batch_tokens):
        yield assemble([corpus], pairs, start, end, pad)


def assemble(corpora: Sequence[TokenPairs], pairs: Pairs, start: int, end: int, pad: int) -> Batch:
    """Gather the tokens of pairs that have sources of one length."""
    places = _places(corpora, pairs)
    source_lengths = _lengths(places, [corpus.sources for corpus in corpora])
    assert (source_lengths == source_lengths[0]).all(), "a batch has sources of one length"
    target_lengths = _lengths(places, [corpus.targets for corpus in corpora])

    source = np.full((len(pairs), source_lengths[0] + 1), end, np.int64)
    inside = np.ones((len(pairs), source_lengths[0]), bool)
    source[:, :-1][inside] = _gather(places, [corpus.sources for corpus in corpora], source_lengths)

    time = np.arange(target_lengths.max() + 1)
    inside = time[:-1] < target_lengths[:, None]
    target = np.full((len(pairs), time.size + 1), pad, np.int64)
    target[:, 0] = start
    target[:, 1:-1][inside] = _gather(places, [corpus.targets for corpus in corpora], target_lengths)
    target_in = np.ascontiguousarray(target[:, :-1])
    target[np.arange(len(pairs)), target_lengths + 1] = end
    real = time <= target_lengths[:, None]
    return Batch(
        torch.from_numpy(source),
        torch.from_numpy(target_in),
        torch.from_numpy(np.flatnonzero(real)),
        torch.from_numpy(target[:, 1:][real]),
        pairs,
        _alignment(corpora, places, Side(source[:, :-1], source_lengths), Side(target_in[:, 1:], target_lengths)),
    )


def _alignment(corpora: Sequence[TokenPairs], places: "list[_Place]", source: Side, target: Side) -> Alignment | None:
    """The links of those rows that have any; None if no corpus here has alignments."""
    positions, sources = [], []
    for place in places:
        if links := corpora[place.corpus].links:
            found = token_links(links, place.lines, source.of(place.rows), target.of(place.rows))
            positions.append(place.rows[found.rows] * (target.tokens.shape[1] + 1) + found.targets)
            sources.append(found.sources)
    if not positions:
        return None
    position, place_of = np.concatenate(positions), np.concatenate(sources)
    weights = 1 / np.bincount(position)[position]
    return Alignment(*map(torch.from_numpy, (position, place_of, weights.astype(np.float32))))


def _cut(order: Pairs, sources: Pairs, targets: Pairs, batch_tokens: int) -> list[Pairs]:
    """Cut sorted pairs, given with their lengths, where the source length changes or the budget ends."""
    group_ends = np.append(np.flatnonzero(np.diff(sources)) + 1, len(sources))
    batches: list[Pairs] = []
    begin = 0
    for group_end in group_ends:
        while begin < group_end:
            most = max(1, min(batch_tokens // targets[begin], 2 * batch_tokens // sources[begin]))
            reach = targets[begin : min(begin + most, group_end)]
            fitting = np.searchsorted(reach * np.arange(1, len(reach) + 1), batch_tokens, "right")
            end = begin + max(1, int(fitting))
            batches.append(order[begin:end])
            begin = end
    return batches


@dataclass(frozen=True)
class _Place:
    """Rows of a batch that come from one corpus, and which of its lines they are."""

    corpus: int
    rows: Pairs
    lines: Pairs


def _places(corpora: Sequence[TokenPairs], pairs: Pairs) -> list[_Place]:
    ends = np.cumsum([len(corpus) for corpus in corpora])
    which = np.searchsorted(ends, pairs, "right")
    places = []
    for corpus in np.unique(which):
        rows = np.flatnonzero(which == corpus)
        places.append(_Place(int(corpus), rows, pairs[rows] - (ends[corpus] - len(corpora[corpus]))))
    return places


def _lengths(places: list[_Place], sides: Sequence[Lines]) -> Pairs:
    lengths = np.empty(sum(len(place.rows) for place in places), np.int64)
    for place in places:
        lengths[place.rows] = sides[place.corpus].lengths[place.lines]
    return lengths


def _gather(places: list[_Place], sides: Sequence[Lines], lengths: Pairs) -> npt.NDArray[Any]:
    """The tokens of all rows, one row after another."""
    row_ends = np.cumsum(lengths)
    gathered = np.empty(row_ends[-1], np.int64)
    for place in places:
        side, counts = sides[place.corpus], lengths[place.rows]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found = side.tokens[np.repeat(side.offsets[place.lines], counts) + within]
        gathered[np.repeat(row_ends[place.rows] - counts, counts) + within] = found
    return gathered
