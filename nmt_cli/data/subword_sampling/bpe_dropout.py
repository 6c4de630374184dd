"""BPE-dropout (Provilkov et al. 2020): each possible merge is left out at random."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from nmt_cli.data.arrays import Booleans, Integers, concatenate_ranges, starts_of
from nmt_cli.data.subword_sampling.piece_table import END, DistinctWords, PieceTable, Segmentation

_NONE = np.iinfo(np.int64).max
_INDEX_BITS = 32
_INDEX_MASK = (1 << _INDEX_BITS) - 1


class BpeDropout:
    """Merges all words at once. Each step makes one merge in each word: the best of those that are not dropped.

    Equal words are merged together until the best merge is dropped in one of them, which is then merged separately.
    While the best merge is made, it does not matter which others are dropped.
    """

    def __init__(self, table: PieceTable, alpha: float) -> None:
        assert (np.diff(table.scores) < 0).all(), "pieces stand in the order in which they are merged"
        self._size, self._alpha = len(table.texts), alpha
        rows = {text: row for row, text in enumerate(table.texts)}
        merges = {
            rows[text[:split]] * self._size + rows[text[split:]]: row
            for text, row in rows.items()
            for split in range(1, len(text))
            if text[:split] in rows and text[split:] in rows
        }
        self._pairs = np.array([*sorted(merges), _NONE])
        self._merged = np.array([*(merges[pair] for pair in self._pairs[:-1].tolist()), _NONE])

    def sample(self, words: DistinctWords, rng: np.random.Generator) -> Segmentation:
        """Merge until no merge is possible, or all possible ones are dropped."""
        num_words, shared = len(words.occurrences), self._initial(words)
        separation_steps = rng.geometric(self._alpha, num_words)  # step, from 1, at which the best merge is dropped
        order = np.argsort(separation_steps, kind="stable")
        steps = np.arange(shared.lengths.max(initial=0) + 1)
        finished_shared, finished_separate, separate = list[_Merging](), list[_Merging](), list[_Merging]()
        for begin, end in pairwise(np.searchsorted(separation_steps[order], steps, "right").tolist()):
            best = shared.best_merges(np.flatnonzero(shared.merges != _NONE))
            copies, dropped = shared.copy_words(order[begin:end], words.occurrences, best)
            kept = np.setdiff1d(self._kept_merges(copies, rng), dropped, assume_unique=True)
            finished, active = self._merge(copies, copies.best_merges(kept))
            finished_separate.append(finished)
            separate.append(active)
            finished, shared = self._merge(shared, best)
            finished_shared.append(finished)
        active = _Merging.concatenate(separate)
        while len(active.symbols):
            finished, active = self._merge(active, active.best_merges(self._kept_merges(active, rng)))
            finished_separate.append(finished)
        return _select(
            _segmentation(finished_shared, len(words.starts)),
            _segmentation(finished_separate, num_words),
            words.occurrences,
        )

    def _initial(self, words: DistinctWords) -> "_Merging":
        """Return each distinct word once, before any merge."""
        inside = words.symbols != END
        merges = np.append(self._merges_of(words.symbols[:-1], words.symbols[1:]), _NONE)
        return _Merging(words.symbols[inside], np.cumsum(~inside)[inside], merges[inside])

    def _kept_merges(self, state: "_Merging", rng: np.random.Generator) -> Integers:
        """Return the positions of the possible merges that are not dropped."""
        possible = np.flatnonzero(state.merges != _NONE)
        return possible[rng.random(len(possible)) >= self._alpha]

    def _merge(self, state: "_Merging", best: Integers) -> "tuple[_Merging, _Merging]":
        """Make the best merge of each word. Changes `state`.

        Returns:
            The words without a best merge, which are finished, and the others.
        """
        is_active = best != _NONE
        keep = np.repeat(is_active, state.lengths)
        finished = state.select(~keep)
        left = best[is_active] & _INDEX_MASK
        state.symbols[left] = best[is_active] >> _INDEX_BITS
        keep[left + 1] = False
        left = (np.cumsum(keep) - 1)[left]
        active = state.select(keep)
        for changed in (left, left[left > 0] - 1):
            right = np.minimum(changed + 1, len(active.symbols) - 1)
            is_pair = (active.word_ids[changed] == active.word_ids[right]) & (changed != right)
            merges = self._merges_of(active.symbols[changed], active.symbols[right])
            active.merges[changed] = np.where(is_pair, merges, _NONE)
        return finished, active

    def _merges_of(self, left: Integers, right: Integers) -> Integers:
        """Return the symbol that two symbols merge to; _NONE if there is none."""
        pairs = left * self._size + right
        pairs[(right == END) | (np.maximum(left, right) >= self._size)] = -1
        rows = np.searchsorted(self._pairs, pairs)
        merges: Integers = np.where(self._pairs[rows] == pairs, self._merged[rows], _NONE)
        return merges


@dataclass(frozen=True)
class _Merging:
    """Words that are being merged: the symbols of all words, one word after another."""

    symbols: Integers
    word_ids: Integers
    """Word of each symbol."""
    merges: Integers
    """What each symbol and the next merge to; _NONE if they do not."""

    @classmethod
    def concatenate(cls, states: "Sequence[_Merging]") -> "_Merging":
        parts = ((state.symbols, state.word_ids, state.merges) for state in states)
        return cls(*(np.concatenate([np.empty(0, np.int64), *arrays]) for arrays in zip(*parts, strict=True)))

    @cached_property
    def starts(self) -> Integers:
        """Where each word begins."""
        return np.flatnonzero(np.diff(self.word_ids, prepend=-1))

    @cached_property
    def lengths(self) -> Integers:
        """Number of symbols of each word."""
        return np.diff(self.starts, append=len(self.symbols))

    def select(self, mask: Booleans) -> "_Merging":
        """Return the symbols where the mask is true."""
        return _Merging(self.symbols[mask], self.word_ids[mask], self.merges[mask])

    def best_merges(self, positions: Integers) -> Integers:
        """Return the best merge of each word: the merged symbol and, in the lower bits, its position; or _NONE."""
        if not len(self.symbols):
            return self.symbols
        ranked = np.full(len(self.symbols), _NONE)
        ranked[positions] = (self.merges[positions] << _INDEX_BITS) + positions
        return np.minimum.reduceat(ranked, self.starts)

    def copy_words(self, selected: Integers, occurrences: Integers, best: Integers) -> "tuple[_Merging, Integers]":
        """Copy words that are still being merged, for some words of the text.

        Args:
            selected: Words of the text. Those whose distinct word has no best merge, or is finished, are ignored.
            occurrences: Distinct word at each position of the text.

        Returns:
            The copies, and the positions of their best merges.
        """
        present = self.word_ids[self.starts]
        rows = np.searchsorted(present, occurrences[selected])
        is_present = rows < len(present)
        is_present[is_present] = (present[rows[is_present]] == occurrences[selected[is_present]]) & (
            best[rows[is_present]] != _NONE
        )
        selected, rows = selected[is_present], rows[is_present]
        starts, lengths = self.starts[rows], self.lengths[rows]
        positions = concatenate_ranges(starts, lengths)
        copies = _Merging(self.symbols[positions], np.repeat(selected, lengths), self.merges[positions])
        return copies, starts_of(lengths) + (best[rows] & _INDEX_MASK) - starts


def _segmentation(finished: Sequence[_Merging], num_words: int) -> Segmentation:
    """Return the words with ids below `num_words` in order; missing ones are empty."""
    words = _Merging.concatenate(finished)
    order = np.argsort(words.word_ids, kind="stable")
    return Segmentation(words.symbols[order], np.bincount(words.word_ids, minlength=num_words))


def _select(shared: Segmentation, separate: Segmentation, occurrences: Integers) -> Segmentation:
    """Return the words of the text: those merged separately and, for the others, their distinct words."""
    is_separate = separate.lengths > 0
    lengths = np.where(is_separate, separate.lengths, shared.lengths[occurrences])
    separate_starts = len(shared.symbols) + starts_of(separate.lengths)
    starts = np.where(is_separate, separate_starts, starts_of(shared.lengths)[occurrences])
    symbols = np.concatenate([shared.symbols, separate.symbols])
    return Segmentation(symbols[concatenate_ranges(starts, lengths)], lengths)
