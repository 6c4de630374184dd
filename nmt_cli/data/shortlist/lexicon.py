"""Translation probabilities of tokens: IBM model 1 (Brown et al. 1993), trained by expectation maximisation.

The probability of a target is the product over its tokens t of Σ p(t|s) over the source tokens s and an empty token,
which explains what no source token does. All pairs of a source and a target token of a sentence are laid out in arrays,
a block of sentences at a time, so that an iteration consists of a few sums over them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nmt_cli.data.arrays import Integers, RaggedArray, concatenate_ranges, starts_of
from nmt_cli.data.shortlist import Shortlist
from nmt_cli.data.tokenizer import Tokenizer

_ITERATIONS = 5
_BLOCK = 2**22
"""Pairs of tokens that are laid out at a time."""

Floats64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Lexicon:
    """Probabilities of target tokens given source tokens, for all pairs that occur in a sentence."""

    sources: Integers
    """[n], ascending."""
    targets: Integers
    """[n]"""
    probabilities: Floats64
    """[n], p(target|source)."""

    def best(self, count: int, min_probability: float, source_size: int) -> RaggedArray:
        """Return up to `count` targets of each source id, those that are at least as probable as `min_probability`."""
        probable = np.flatnonzero(self.probabilities >= min_probability)
        sources, probabilities = self.sources[probable], self.probabilities[probable]
        order = np.lexsort((-probabilities, sources))
        lengths = np.bincount(sources, minlength=source_size)[:source_size]
        kept = np.minimum(lengths, count)
        indices = concatenate_ranges(starts_of(lengths), kept)
        return RaggedArray.of_lengths(kept, self.targets[probable][order][indices])


@dataclass(frozen=True)
class _Block:
    """The pairs of tokens of some sentences, by target position: all source tokens of its sentence and the empty one.

    Pairs are indices into `distinct`, the lexicon's entries that occur here.
    """

    distinct: Integers
    pairs: npt.NDArray[np.int32]
    lengths: Integers
    """Of each target position, the number of its pairs."""


def train_lexicon(sources: RaggedArray, targets: RaggedArray, source_size: int, target_size: int) -> Lexicon:
    """Return the probabilities of the tokens of parallel sentences, one sentence at least."""
    blocks, keys = list[_Block](), np.empty(0, np.int64)
    for block in _blocks(sources, targets, source_size, target_size):
        keys = np.union1d(keys, block.distinct)
        blocks.append(block)
    indices = [np.searchsorted(keys, block.distinct) for block in blocks]
    source_of_key, target_of_key = np.divmod(keys, target_size)
    probabilities = np.ones(len(keys))
    for _ in range(_ITERATIONS):
        counts = np.zeros(len(keys))
        for block, index in zip(blocks, indices, strict=True):
            weights = probabilities[index][block.pairs]
            sums = np.add.reduceat(weights, starts_of(block.lengths))
            weights /= np.repeat(sums, block.lengths)
            counts[index] += np.bincount(block.pairs, weights, len(index))
        totals = np.bincount(source_of_key, counts)
        probabilities = counts / totals[source_of_key]
    return Lexicon(source_of_key, target_of_key, probabilities)


def _blocks(sources: RaggedArray, targets: RaggedArray, empty: int, target_size: int) -> Iterator[_Block]:
    """Lay out the sentences; `empty` is the id of the empty source token."""
    ends = np.cumsum((sources.lengths + 1) * targets.lengths)
    first = 0
    while first < len(sources):
        limit = _BLOCK + (ends[first - 1] if first else 0)
        end = max(first + 1, int(np.searchsorted(ends, limit)))
        rows, columns = sources.slice(first, end), targets.slice(first, end)
        first = end
        values = np.insert(rows.values.astype(np.int64), rows.offsets[1:], empty)
        lengths = np.repeat(rows.lengths + 1, columns.lengths)
        if not len(lengths):
            continue
        starts = np.repeat(starts_of(rows.lengths + 1), columns.lengths)
        pairs = values[concatenate_ranges(starts, lengths)] * target_size
        pairs += np.repeat(columns.values.astype(np.int64), lengths)
        distinct, inverse = np.unique(pairs, return_inverse=True)
        yield _Block(distinct, inverse.astype(np.int32), lengths)


def make_shortlist(
    sources: RaggedArray, targets: RaggedArray, tokenizer: Tokenizer, count: int, min_probability: float, frequent: int
) -> Shortlist:
    """Return the shortlist of a model, from parallel sentences in its tokens.

    A source token can always be copied: its translations include the target token of the same text.

    Args:
        count: Maximum number of translations of a source token, copies not counted.
        min_probability: Minimum probability of a translation.
        frequent: Number of the most frequent target tokens, which any translation may contain.
    """
    source_size, target_size = tokenizer.source_size, tokenizer.target_size
    lexicon = train_lexicon(sources, targets, source_size, target_size)
    best = lexicon.best(count, min_probability, source_size)
    copies = _equal_entries(tokenizer)
    rows = np.concatenate([np.repeat(np.arange(source_size), best.lengths), copies[0]])
    keys = np.unique(rows * target_size + np.concatenate([best.values, copies[1]]))
    rows, translations = np.divmod(keys, target_size)
    occurrences = np.bincount(targets.values, minlength=target_size)[:target_size]
    order = np.argsort(-occurrences, kind="stable")[:frequent]
    lengths = np.bincount(rows, minlength=source_size)
    return Shortlist(RaggedArray.of_lengths(lengths, translations), order, target_size)


def _equal_entries(tokenizer: Tokenizer) -> tuple[Integers, Integers]:
    """Return the source and target ids of tokens of equal text."""
    target_ids = {entry: i for i, entry in enumerate(tokenizer.target.entries)}
    pairs = [(i, target_ids[entry]) for i, entry in enumerate(tokenizer.source.entries) if entry in target_ids]
    ids = np.array(pairs, np.int64).reshape(-1, 2)
    return ids[:, 0], ids[:, 1]
