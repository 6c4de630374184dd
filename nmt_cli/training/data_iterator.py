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
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

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

_NUM_PREFETCHED = 4
"""Updates whose batches are assembled ahead of the device."""


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
    mixture: Mapping[str, CorpusExposure]
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
    for block in prefetch_one(_iterate_blocks(blocks, seed, start, max_tokens), "blocks"):
        yield from _split_into_updates(prepared, block, settings.update_tokens, distributed)


def build_regularizer(prepared: Prepared, settings: Training) -> SubwordRegularizer | None:
    """Return what re-tokenizes the text of each block, or None if neither sampling nor augmentation is set."""
    if settings.subword_sampling is None and settings.augmentation is None:
        return None
    return SubwordRegularizer(prepared.tokenizer, settings.subword_sampling, settings.augmentation, prepared.max_length)


@dataclass(frozen=True)
class _BatchedBlock:
    block: Block
    batches: list[Integers]
    """Pair indices of each batch."""
    max_tokens: int
    """Maximum padded target tokens of a batch."""
    batches_consumed: int
    """Batches that were trained on before."""


def _iterate_blocks(blocks: BlockReader, seed: int, start: DataState, max_tokens: int) -> Iterator[_BatchedBlock]:
    """Yield blocks from `start` on, without end. The first one keeps the batch size that it was started with."""
    epoch, index, batches_consumed = start.epoch, start.block, start.batches_consumed
    block_max_tokens = start.max_tokens or max_tokens
    while True:
        block = blocks.read(epoch, index)
        if block is None:
            epoch, index = epoch + 1, 0
            continue
        batches = batch_by_size(block.pairs, block_max_tokens, [seed, epoch, index])
        yield _BatchedBlock(block, batches, block_max_tokens, batches_consumed)
        index, batches_consumed, block_max_tokens = index + 1, 0, max_tokens


def _split_into_updates(
    prepared: Prepared, batched: _BatchedBlock, update_tokens: int, distributed: Distributed
) -> Iterator[UpdateBatches]:
    """Yield one rank's batches of each remaining update of a block."""
    block, batches, tokenizer, ranks = batched.block, batched.batches, prepared.tokenizer, distributed.world_size
    names = [corpus.name for corpus in prepared.train]
    tokens = block.pairs.target_lengths + 1
    batches_per_update = ranks * max(1, round(update_tokens * len(batches) / max(tokens.sum(), 1) / ranks))
    for first in range(batched.batches_consumed, len(batches), batches_per_update):
        chosen = batches[first : first + batches_per_update]
        micro_batches = []
        for index in range(distributed.rank, batches_per_update, ranks)[: math.ceil(len(chosen) / ranks)]:
            rows = chosen[min(index, len(chosen) - 1)]
            batch = collate(block.pairs, rows, tokenizer.special_tokens)
            micro_batches.append(MicroBatch(batch, index, is_dummy=index >= len(chosen)))
        consumed, rows = first + len(chosen), np.concatenate(chosen)
        passes = block.start + (block.end - block.start) * consumed / len(batches)
        yield UpdateBatches(
            micro_batches,
            int(tokens[rows].sum()),
            _exposure(names, block.corpus_ids[rows], tokens[rows]),
            DataState(block.epoch, block.index, consumed, batched.max_tokens, passes),
        )


def _exposure(names: Sequence[str], corpora: Integers, tokens: Integers) -> dict[str, CorpusExposure]:
    """Count pairs and target tokens of each corpus."""
    pairs = np.bincount(corpora, minlength=len(names)).tolist()
    summed = np.bincount(corpora, tokens, minlength=len(names)).tolist()
    return {name: CorpusExposure(n, int(t)) for name, n, t in zip(names, pairs, summed, strict=True) if n}


def prefetch_one(items: Iterator[T], name: str) -> Iterator[T]:
    """Yield the items of an endless iterator; a thread makes the next one while the caller uses this one."""

    def start() -> "Future[T]":
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(next(items))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name=name, daemon=True).start()
        return future

    coming = start()
    while True:
        item, coming = coming.result(), start()
        yield item


def prefetch(updates: Iterator[UpdateBatches], device: torch.device) -> Generator[UpdateBatches]:
    """Yield the same batches, made by a thread while the device computes; pinned if the device is a CUDA device.

    Close the generator to end the thread.
    """
    made: queue.Queue[UpdateBatches | BaseException] = queue.Queue(_NUM_PREFETCHED)
    is_closed = threading.Event()

    def make() -> None:
        try:
            for update in updates:
                _put(made, update.pinned() if device.type == "cuda" else update, is_closed)
                if is_closed.is_set():
                    return
        except BaseException as error:
            _put(made, error, is_closed)

    thread = threading.Thread(target=make, name="data iterator", daemon=True)
    thread.start()
    try:
        while True:
            update = made.get()
            if isinstance(update, BaseException):
                raise update
            yield update
    finally:
        is_closed.set()
        thread.join()


def _put(
    made: "queue.Queue[UpdateBatches | BaseException]", item: UpdateBatches | BaseException, is_closed: threading.Event
) -> None:
    while not is_closed.is_set():
        try:
            made.put(item, timeout=0.1)
        except queue.Full:
            continue
        return
