"""Iteration over the training data: which batches each update trains on.

1. Blocks of about a million pairs are read in an order that follows from seed, epoch and block index.
2. The pairs of a block are grouped into batches of one source length and about a quarter of `update_tokens`, but at
   least 2,048 tokens, in random order, so that a large update has sentences of several lengths.
3. A batch within 10 % of `update_tokens`, or of one longer pair, is an update. Smaller batches wait until together they
   are within 10 %. The batch that exceeds this is split, and its other pairs wait, even beyond the end of the block.
4. The batches of an update are split by rows among the ranks, then into micro-batches of at most `batch_tokens`.
5. A thread assembles the micro-batches of later updates while the device computes.

So the pairs of an update depend neither on `batch_tokens` nor on the number of ranks. A `DataState` after each update
is enough to resume.
"""

import queue
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from typing import TypeVar

import numpy as np

from nmt_cli.data.arrays import Integers
from nmt_cli.data.batches import Batch, batch_by_size, collate, split_sorted
from nmt_cli.data.blocks import Block, BlockReader, BlockSource, PackedBlocks, documents_per_block
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.subword_sampling.regularizer import SubwordRegularizer
from nmt_cli.recipe.training import Training
from nmt_cli.runs.journal import CorpusExposure
from nmt_cli.training.distributed import Distributed
from nmt_cli.training.train_state import DataState

T = TypeVar("T")

_TOLERANCE = 0.1
"""Largest deviation of an update from `update_tokens`, as a fraction. Pairs longer than twice that may exceed it."""
_BATCHES_PER_UPDATE = 4
"""Batches in an update, of different lengths. With one, the validation loss on Multi30k was 4.50 instead of 4.41 after
160 updates of 2,048 tokens."""
_MIN_BATCH_TOKENS = 2048
"""Below this, a CPU trains slowly: at 512 tokens the demo, with its small model, had two thirds of the tokens/s."""


@dataclass(frozen=True)
class MicroBatch:
    """Pairs of an update that one rank processes at once."""

    batch: Batch
    index: int
    """Index among the micro-batches of all ranks; seeds the random draws."""
    is_dummy: bool = False
    """Whether it is computed only to keep the ranks in step, with zero gradient, as other ranks have more."""


@dataclass(frozen=True)
class UpdateBatches:
    """The batches of one update, for one rank."""

    micro_batches: Sequence[MicroBatch]
    target_tokens: int
    """Real target tokens over all ranks."""
    exposure: Mapping[str, CorpusExposure]
    """Training data of each corpus in this update, over all ranks."""
    data_state: DataState
    """Position after this update."""

    def pinned(self) -> "UpdateBatches":
        """Return a copy in pinned memory, from which a CUDA device copies asynchronously."""
        return replace(self, micro_batches=[replace(each, batch=each.batch.pinned()) for each in self.micro_batches])


def iterate_updates(
    prepared: Prepared,
    weights: Mapping[str, float],
    settings: Training,
    batch_tokens: int,
    seed: int,
    start: DataState,
    distributed: Distributed,
) -> Generator[UpdateBatches]:
    """Yield this rank's batches of one update after another, without end; each rank gets the same number.

    Close the generator to end the thread that reads blocks in advance.

    Args:
        weights: Sampling weight of each training corpus, by name.
        batch_tokens: Maximum padded target tokens per micro-batch.
        start: State to resume from, with any number of ranks and any `batch_tokens`.
    """
    regularizer = build_regularizer(prepared, settings)
    block_pairs = documents_per_block(prepared.train) if prepared.is_monolingual else None
    reader = BlockReader(prepared.train, weights, settings.mixing, seed, regularizer, block_pairs)
    blocks: BlockSource = reader
    if prepared.is_monolingual:
        blocks = PackedBlocks(reader, prepared.tokenizer.special_tokens, prepared.max_length, seed)
    names = [corpus.name for corpus in prepared.train]
    with closing(prefetch(_batched_blocks(blocks, seed, start, settings.update_tokens), num_ahead=1)) as batched:
        for parts, state in _plan_updates(batched, start.updates_ahead, settings.update_tokens):
            micro_batches = _micro_batches(parts, distributed, batch_tokens, prepared)
            num_labels = _num_tokens(parts) - prepared.layout.prompt_length * sum(len(part.rows) for part in parts)
            yield UpdateBatches(micro_batches, num_labels, _exposure(names, parts), state)


def build_regularizer(prepared: Prepared, settings: Training) -> SubwordRegularizer | None:
    """Return what re-tokenizes the text of each block, or None if neither sampling nor augmentation is set."""
    if settings.subword_sampling is None and settings.augmentation is None:
        return None
    return SubwordRegularizer(prepared.tokenizer, settings.subword_sampling, settings.augmentation, prepared.max_length)


@dataclass(frozen=True)
class _Part:
    """Pairs of a block that have one source length, sorted by target length."""

    block: Block
    epoch: int
    block_index: int
    start: int
    """Pairs of the block before these."""
    rows: Integers

    @property
    def target_lengths(self) -> Integers:
        """Target tokens of each pair, eos included."""
        return self.block.pairs.target_lengths[self.rows] + 1

    @property
    def tokens(self) -> int:
        """Target tokens of all pairs."""
        return int(self.target_lengths.sum())

    def position(self, num_rows: int) -> DataState:
        """Return the position after some of these pairs."""
        consumed, before, after = self.start + num_rows, self.block.passes_before, self.block.passes_after
        fraction = consumed / len(self.block.pairs)
        passes = (1 - fraction) * before + fraction * after  # so that it is whole at the end of an epoch
        return DataState(self.epoch, self.block_index, consumed, 0, passes)

    def split(self, num_rows: int) -> "tuple[_Part, _Part]":
        """Return the first pairs and the others."""
        first, others = self.rows[:num_rows], self.rows[num_rows:]
        return replace(self, rows=first), replace(self, rows=others, start=self.start + num_rows)


def _batched_blocks(blocks: BlockSource, seed: int, start: DataState, update_tokens: int) -> Iterator[list[_Part]]:
    """Yield, without end, the batches of each block: those after `start` of the first block, then all."""
    epoch, index, num_consumed = start.epoch, start.block, start.pairs_consumed
    while True:
        block = blocks.read(epoch, index)
        if block is None:
            epoch, index = epoch + 1, 0
            continue
        batches = batch_by_size(block.pairs, _planned_tokens(update_tokens), [seed, epoch, index])
        starts = accumulate(map(len, batches), initial=0)
        parts = [_Part(block, epoch, index, first, rows) for first, rows in zip(starts, batches, strict=False)]
        yield [part.split(max(num_consumed - part.start, 0))[1] for part in parts]
        index, num_consumed = index + 1, 0


def _plan_updates(
    blocks: Iterator[list[_Part]], updates_ahead: int, update_tokens: int
) -> Iterator[tuple[list[_Part], DataState]]:
    """Yield the parts of each update and the state after it, except `updates_ahead` that were made before."""
    min_tokens = (1 - _TOLERANCE) * update_tokens
    waiting, num_ahead, passes_ahead = list[_Part](), 0, 0.0
    for part in chain.from_iterable(blocks):
        end = part.position(len(part.rows))
        if part.tokens >= min_tokens:
            if waiting:
                num_ahead += 1
                passes_ahead += end.passes - part.position(0).passes
            if updates_ahead:
                updates_ahead -= 1
                continue
            state = waiting[0].position(0) if waiting else end
            yield [part], replace(state, updates_ahead=num_ahead, passes=state.passes + passes_ahead)
            continue
        while len(part.rows):
            taken, part = part.split(_num_fitting(part.target_lengths, _num_tokens(waiting), update_tokens))
            if len(taken.rows):
                waiting.append(taken)
            if len(part.rows) or _num_tokens(waiting) >= min_tokens:
                yield waiting, part.position(0)
                waiting, num_ahead, passes_ahead = [], 0, 0.0


def _planned_tokens(update_tokens: int) -> int:
    """Return the maximum padded target tokens of a batch. Tiny batches would be slow."""
    return max(update_tokens // _BATCHES_PER_UPDATE, min(update_tokens, _MIN_BATCH_TOKENS))


def _num_tokens(parts: Sequence[_Part]) -> int:
    return sum(part.tokens for part in parts)


def _num_fitting(lengths: Integers, tokens: int, update_tokens: int) -> int:
    """Return how many pairs of these lengths to add to an update that has `tokens`, less than it should have."""
    totals = tokens + np.cumsum(lengths)
    if totals[-1] <= (1 + _TOLERANCE) * update_tokens:
        return len(lengths)
    deviations = np.abs(totals - update_tokens)
    closest = int(np.argmin(deviations))
    return closest + 1 if deviations[closest] < update_tokens - tokens else 0


def _micro_batches(
    parts: Sequence[_Part], distributed: Distributed, batch_tokens: int, prepared: Prepared
) -> list[MicroBatch]:
    """Split an update by rows among the ranks; return the micro-batches of this rank."""
    num_ranks = distributed.world_size
    by_rank: list[list[tuple[Block, Integers]]] = [[] for _ in range(num_ranks)]
    for index, part in enumerate(parts):
        for rank, pieces in enumerate(by_rank):
            rows = part.rows[(rank - index) % num_ranks :: num_ranks]  # single pairs go to each rank in turn
            pieces += [(part.block, each) for each in split_sorted(part.block.pairs, rows, batch_tokens)]
    own, num_micro_batches = by_rank[distributed.rank], max(map(len, by_rank))
    dummies = [(parts[0].block, parts[0].rows[:1])] * (num_micro_batches - len(own))
    special_tokens, layout = prepared.tokenizer.special_tokens, prepared.layout
    return [
        MicroBatch(
            collate(block.pairs, rows, special_tokens, layout),
            index * num_ranks + distributed.rank,
            is_dummy=index >= len(own),
        )
        for index, (block, rows) in enumerate([*own, *dummies])
    ]


def _exposure(names: Sequence[str], parts: Sequence[_Part]) -> dict[str, CorpusExposure]:
    """Count pairs and target tokens of each corpus."""
    corpora = np.concatenate([part.block.corpus_ids[part.rows] for part in parts])
    tokens = np.concatenate([part.target_lengths for part in parts])
    pairs = np.bincount(corpora, minlength=len(names)).tolist()
    summed = np.bincount(corpora, tokens, minlength=len(names)).tolist()
    return {name: CorpusExposure(n, int(t)) for name, n, t in zip(names, pairs, summed, strict=True) if n}


def prefetch(items: Iterator[T], num_ahead: int = 5) -> Generator[T]:
    """Yield the items of an endless iterator, of which a thread makes up to `num_ahead` in advance.

    Close the generator to end the thread, after the item that it is making. Python aborts if it exits while a thread
    computes with tensors.
    """
    made: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
    free, is_closed = threading.Semaphore(num_ahead), threading.Event()

    def make() -> None:
        try:
            while free.acquire() and not is_closed.is_set():
                made.put(next(items))
        except BaseException as error:
            made.put(error)

    thread = threading.Thread(target=make, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item = made.get()
            free.release()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        is_closed.set()
        free.release()
        thread.join()
