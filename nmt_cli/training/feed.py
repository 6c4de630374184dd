"""What each update learns from: batches in an order that follows from seed, epoch and place alone."""

import math
import queue
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from nmt_cli.data.batches import Batch, Rows, assemble, plan
from nmt_cli.data.blocks.blocks import Block, Blocks
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.subword_sampling.resegmentation import Resegmenter
from nmt_cli.data.token_corpus import Integers
from nmt_cli.recipe.training import Training
from nmt_cli.training.parallel import Ranks
from nmt_cli.training.progress import Learned, Progress

T = TypeVar("T")

_AHEAD = 4
"""Updates whose batches are made while an earlier one is learned from."""


@dataclass(frozen=True)
class Part:
    """A batch of an update, for one rank."""

    batch: Batch
    number: int
    """Which of the update's batches it is, all ranks together; its random draws follow from this."""
    weight: float = 1.0
    """0 for one that another rank learns from, taken only to stay in step with it."""


@dataclass(frozen=True)
class Portion:
    """One rank's batches of one update, and where the data stands after it."""

    parts: Sequence[Part]
    target_tokens: int
    """Of all ranks."""
    mixture: Mapping[str, Learned]
    """Of each corpus, all ranks together."""
    epoch: int
    block: int
    """Of the epoch."""
    used: int
    """Batches of this block used so far, all ranks together."""
    cut: int
    """Most padded target tokens of a batch."""
    epochs: float
    """Passes over the data so far."""

    def pinned(self) -> "Portion":
        """The same in pinned memory, from which a device copies beside other work."""
        return replace(self, parts=[replace(part, batch=part.batch.pinned()) for part in self.parts])


def feed(
    prepared: Prepared,
    weights: Mapping[str, float],
    settings: Training,
    batch_tokens: int,
    seed: int,
    start: Progress,
    ranks: Ranks,
) -> Iterator[Portion]:
    """One rank's portions without end, from a place in the data on; `weights` are those of the training corpora.

    As many batches make an update as give `update_tokens` on average over a block, for each rank equally many. The
    place is counted in batches of all ranks, and a block once begun keeps the size of its batches, so that another
    number of ranks can go on with it: no pair is lost or comes twice.
    """
    cut = max(1, min(batch_tokens, settings.update_tokens // ranks.count))
    blocks = Blocks(prepared.train, weights, settings.mixing, seed, resegmenter_of(prepared, settings))
    for planned in one_ahead(_planned(blocks, seed, start, cut), "blocks"):
        yield from _portions(prepared, planned, settings.update_tokens, ranks)


def resegmenter_of(prepared: Prepared, settings: Training) -> Resegmenter | None:
    """What cuts text anew as it is read, if the settings say so."""
    if settings.subword_sampling is None and settings.augmentation is None:
        return None
    return Resegmenter(prepared.tokenizer, settings.subword_sampling, settings.augmentation, prepared.max_length)


@dataclass(frozen=True)
class _Planned:
    """A block, and which of its pairs make up each batch."""

    block: Block
    batches: list[Rows]
    cut: int
    """Most padded target tokens of a batch."""
    used: int
    """Batches that were already learned from."""


def _planned(blocks: Blocks, seed: int, start: Progress, cut: int) -> Iterator[_Planned]:
    """The blocks from a place in the data on, without end; that one keeps the size of batches that it began with."""
    epoch, number, used, first_cut = start.epoch, start.block, start.used, start.cut or cut
    while True:
        block = blocks.read(epoch, number)
        if block is None:
            epoch, number = epoch + 1, 0
            continue
        yield _Planned(block, plan(block.pairs, first_cut, [seed, epoch, number]), first_cut, used)
        number, used, first_cut = number + 1, 0, cut


def _portions(prepared: Prepared, planned: _Planned, update_tokens: int, ranks: Ranks) -> Iterator[Portion]:
    """One rank's portions of what is left of a block."""
    block, batches, words = planned.block, planned.batches, prepared.tokenizer
    names = [corpus.name for corpus in prepared.train]
    tokens = block.pairs.target_lengths + 1
    together = ranks.count * max(1, round(update_tokens * len(batches) / max(tokens.sum(), 1) / ranks.count))
    for first in range(planned.used, len(batches), together):
        chosen = batches[first : first + together]
        parts = []
        for number in range(ranks.number, together, ranks.count)[: math.ceil(len(chosen) / ranks.count)]:
            rows = chosen[min(number, len(chosen) - 1)]
            batch = assemble(block.pairs, rows, words.special_tokens)
            parts.append(Part(batch, number, weight=float(number < len(chosen))))
        used, rows = first + len(chosen), np.concatenate(chosen)
        yield Portion(
            parts,
            int(tokens[rows].sum()),
            _mixture(names, block.corpora[rows], tokens[rows]),
            block.epoch,
            block.number,
            used,
            planned.cut,
            block.begins + (block.ends - block.begins) * used / len(batches),
        )


def _mixture(names: Sequence[str], corpora: Integers, tokens: Integers) -> dict[str, Learned]:
    """Pairs and target tokens of each corpus."""
    pairs = np.bincount(corpora, minlength=len(names)).tolist()
    summed = np.bincount(corpora, tokens, minlength=len(names)).tolist()
    return {name: Learned(n, int(t)) for name, n, t in zip(names, pairs, summed, strict=True) if n}


def one_ahead(items: Iterator[T], name: str) -> Iterator[T]:
    """The same endless items, each made by a thread while the one before it is used."""

    def coming() -> "Future[T]":
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(next(items))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name=name, daemon=True).start()
        return future

    made = coming()
    while True:
        item, made = made.result(), coming()
        yield item


def ahead(portions: Iterator[Portion], device: torch.device) -> Generator[Portion]:
    """The same portions, made by a thread while the device computes; in pinned memory if it is a CUDA device."""
    made: queue.Queue[Portion | BaseException] = queue.Queue(_AHEAD)
    over = threading.Event()

    def make() -> None:
        try:
            for portion in portions:
                _put(made, portion.pinned() if device.type == "cuda" else portion, over)
                if over.is_set():
                    return
        except BaseException as error:
            _put(made, error, over)

    thread = threading.Thread(target=make, name="feed", daemon=True)
    thread.start()
    try:
        while True:
            portion = made.get()
            if isinstance(portion, BaseException):
                raise portion
            yield portion
    finally:
        over.set()
        thread.join()


def _put(made: "queue.Queue[Portion | BaseException]", item: Portion | BaseException, over: threading.Event) -> None:
    while not over.is_set():
        try:
            made.put(item, timeout=0.1)
        except queue.Full:
            continue
        return
