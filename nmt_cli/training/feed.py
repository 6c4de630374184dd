"""What each update learns from: batches in an order that follows from seed, epoch and place alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from nmt_cli.data.batches import Batch, assemble, plan_epoch
from nmt_cli.data.prepared import Prepared
from nmt_cli.data.subword_sampling.resegmentation import Resegmenter, sampled_epochs
from nmt_cli.data.token_corpus import TokenPairs
from nmt_cli.recipe.training import Training


@dataclass(frozen=True)
class Portion:
    """The batches of one update, and where the data stands after it."""

    batches: Sequence[Batch]
    epoch: int
    used: int
    """Batches of this epoch used so far."""
    epochs: float
    """Passes over the data so far."""

    @property
    def target_tokens(self) -> int:
        return sum(batch.target_tokens for batch in self.batches)


def feed(prepared: Prepared, settings: Training, seed: int, epoch: int, used: int) -> Iterator[Portion]:
    """Portions without end, from a place in the data on.

    As many batches make an update as give `update_tokens` on average over the epoch; equal numbers
    keep updates independent of how far a batch is filled.
    """
    tokenizer = prepared.tokenizer
    epochs: Iterator[Sequence[TokenPairs]] = repeat(prepared.train)
    if settings.subword_sampling:
        resegmenter = Resegmenter(tokenizer, settings.subword_sampling, seed, prepared.max_length)
        epochs = sampled_epochs(prepared.train, resegmenter, epoch)
    for corpora in epochs:
        plan = plan_epoch(corpora, min(settings.batch_tokens, settings.update_tokens), seed, epoch)
        tokens = sum(int(corpus.target_lengths.sum()) + len(corpus) for corpus in corpora)
        together = max(1, round(settings.update_tokens * len(plan) / tokens))
        for first in range(used, len(plan), together):
            chosen = plan[first : first + together]
            batches = [assemble(corpora, pairs, tokenizer.start, tokenizer.end, tokenizer.pad) for pairs in chosen]
            place = first + len(chosen)
            yield Portion(batches, epoch, place, epoch + place / len(plan))
        epoch, used = epoch + 1, 0
