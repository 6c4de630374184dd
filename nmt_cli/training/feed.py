"""What each update learns from: batches in an order that follows from seed, epoch and place alone."""

import math
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

import numpy as np
import torch

from nmt_cli.data.batches import Batch, assemble, plan_epoch
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.subword_sampling.resegmentation import Resegmenter, sampled_epochs
from nmt_cli.data.token_corpus import TokenPairs
from nmt_cli.recipe.training import Training
from nmt_cli.recipe.training.subword_sampling import SubwordSampling
from nmt_cli.training.parallel import Ranks
from nmt_cli.training.progress import Progress

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
    epoch: int
    used: int
    """Batches of this epoch used so far, all ranks together."""
    cut: int
    """Most padded target tokens of a batch."""
    epochs: float
    """Passes over the data so far."""

    def pinned(self) -> "Portion":
        """The same in pinned memory, from which a device copies beside other work."""
        return replace(self, parts=[replace(part, batch=part.batch.pinned()) for part in self.parts])


def feed(
    prepared: Prepared, settings: Training, batch_tokens: int, seed: int, start: Progress, ranks: Ranks
) -> Iterator[Portion]:
    """One rank's portions without end, from a place in the data on.

    As many batches make an update as give `update_tokens` on average over the epoch, for each rank equally many. The
    place is counted in batches of all ranks, and an epoch once begun keeps the size of its batches, so that another
    number of ranks can go on with it: no pair is lost or comes twice.
    """
    words, update_tokens = prepared.tokenizer, settings.update_tokens
    epoch, used, cut = start.epoch, start.used, start.cut
    for corpora in _epochs(prepared, settings.subword_sampling, seed, epoch):
        cut = cut or max(1, min(batch_tokens, update_tokens // ranks.count))
        plan = plan_epoch(corpora, cut, seed, epoch)
        tokens = np.concatenate([corpus.target_lengths for corpus in corpora]) + 1
        together = ranks.count * max(1, round(update_tokens * len(plan) / tokens.sum() / ranks.count))
        for first in range(used, len(plan), together):
            chosen = plan[first : first + together]
            parts = []
            for number in range(ranks.number, together, ranks.count)[: math.ceil(len(chosen) / ranks.count)]:
                pairs = chosen[min(number, len(chosen) - 1)]
                batch = assemble(corpora, pairs, words.start, words.end, words.pad)
                parts.append(Part(batch, number, weight=float(number < len(chosen))))
            used = first + len(chosen)
            target_tokens = int(tokens[np.concatenate(chosen)].sum())
            yield Portion(parts, target_tokens, epoch, used, cut, epoch + used / len(plan))
        epoch, used, cut = epoch + 1, 0, 0


def _epochs(
    prepared: Prepared, sampling: SubwordSampling | None, seed: int, first: int
) -> Iterator[Sequence[TokenPairs]]:
    """The corpora as each epoch sees them, without end."""
    if sampling is None:
        return repeat(prepared.train)
    return sampled_epochs(prepared.train, Resegmenter(prepared.tokenizer, sampling, seed, prepared.max_length), first)


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
