"""Iteration over the training data: which batches each update trains on.

1. Blocks of about a million pairs are read in an order that follows from seed, epoch and block index.
2. The pairs of a block are grouped into batches of about equal length.
3. Consecutive batches form an update of about `update_tokens` target tokens; they are dealt out to the ranks.
4. A thread assembles the batches of later updates while the device computes.

A `DataState` after each update is all that is needed to resume.
"""

import math
import queue
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from nmt_cli.data.arrays import Integers
from nmt_cli.data.batches import Batch, batch_by_size, collate
from nmt_cli.data.blocks import Block, BlockReader
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.subword_sampling.regularizer import SubwordRegularizer
from nmt_cli.recipe.training import Training
from nmt_cli.runs.journal import CorpusExposure
from nmt_cli.training.distributed import Distributed
from nmt_cli.training.train_state import DataState

T = TypeVar("T")

_MAX_JOIN_SECONDS = 1.0
"""Longest wait for the thread. Reading a block may take longer, but a daemon does not keep the process alive."""


@dataclass(frozen=True)
class MicroBatch:
    """One batch of an update, for one rank."""

    batch: Batch
    index: int
    """Index among the update's batches of all ranks; seeds the random draws."""
    is_dummy: bool = False
    """Whether another rank trains on this batch: it is computed only to keep the ranks in step, with zero gradient."""


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
) -> Iterator[UpdateBatches]:
    """Yield this rank's batches of one update after another, without end.

    An update has `update_tokens` target tokens on average over a block; each rank gets the same number of batches. The
    order depends only on the seed and `start`, so training can resume with another number of ranks without losing or
    repeating a pair.

    Args:
        weights: Sampling weight of each training corpus, by name.
        batch_tokens: Maximum padded target tokens per batch. A block that has been started keeps its own value.
        start: State to resume from.
    """
    max_tokens = max(1, min(batch_tokens, settings.update_tokens // distributed.world_size))
    blocks = BlockReader(prepared.train, weights, settings.mixing, seed, build_regularizer(prepared, settings))
    for block, batches, state in prefetch(_iterate_blocks(blocks, seed, start, max_tokens), num_ahead=1):
        yield from _split_into_updates(prepared, block, batches, state, settings.update_tokens, distributed)


def build_regularizer(prepared: Prepared, settings: Training) -> SubwordRegularizer | None:
    """Return what re-tokenizes the text of each block, or None if neither sampling nor augmentation is set."""
    if settings.subword_sampling is None and settings.augmentation is None:
        return None
    return SubwordRegularizer(prepared.tokenizer, settings.subword_sampling, settings.augmentation, prepared.max_length)


def _iterate_blocks(
    blocks: BlockReader, seed: int, start: DataState, max_tokens: int
) -> Iterator[tuple[Block, list[Integers], DataState]]:
    """Yield, without end: a block, the pair indices of each of its batches, and the state before the block.

    The first block keeps the batch size that it was started with.
    """
    state = replace(start, max_tokens=start.max_tokens or max_tokens)
    while True:
        block = blocks.read(state.epoch, state.block)
        if block is None:
            state = replace(state, epoch=state.epoch + 1, block=0)
            continue
        yield block, batch_by_size(block.pairs, state.max_tokens, [seed, state.epoch, state.block]), state
        state = DataState(state.epoch, state.block + 1, 0, max_tokens)


def _split_into_updates(
    prepared: Prepared,
    block: Block,
    batches: list[Integers],
    start: DataState,
    update_tokens: int,
    distributed: Distributed,
) -> Iterator[UpdateBatches]:
    """Yield one rank's batches of each update of a block after `start`."""
    tokenizer, ranks = prepared.tokenizer, distributed.world_size
    names = [corpus.name for corpus in prepared.train]
    tokens = block.pairs.target_lengths + 1
    batches_per_update = ranks * max(1, round(update_tokens * len(batches) / max(tokens.sum(), 1) / ranks))
    for first in range(start.batches_consumed, len(batches), batches_per_update):
        chosen = batches[first : first + batches_per_update]
        micro_batches = []
        for index in range(distributed.rank, batches_per_update, ranks)[: math.ceil(len(chosen) / ranks)]:
            batch = collate(block.pairs, chosen[min(index, len(chosen) - 1)], tokenizer.special_tokens)
            micro_batches.append(MicroBatch(batch, index, is_dummy=index >= len(chosen)))
        consumed, rows = first + len(chosen), np.concatenate(chosen)
        passes = block.passes_before + (block.passes_after - block.passes_before) * consumed / len(batches)
        state = replace(start, batches_consumed=consumed, passes=passes)
        exposure = _exposure(names, block.corpus_ids[rows], tokens[rows])
        yield UpdateBatches(micro_batches, int(tokens[rows].sum()), exposure, state)


def _exposure(names: Sequence[str], corpora: Integers, tokens: Integers) -> dict[str, CorpusExposure]:
    """Count pairs and target tokens of each corpus."""
    pairs = np.bincount(corpora, minlength=len(names)).tolist()
    summed = np.bincount(corpora, tokens, minlength=len(names)).tolist()
    return {name: CorpusExposure(n, int(t)) for name, n, t in zip(names, pairs, summed, strict=True) if n}


def prefetch(items: Iterator[T], num_ahead: int = 5) -> Generator[T]:
    """Yield the items of an endless iterator, of which a thread makes up to `num_ahead` in advance.

    Close the generator to end the thread.
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
        thread.join(_MAX_JOIN_SECONDS)
