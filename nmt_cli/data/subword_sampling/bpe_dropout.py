"""BPE-dropout (Provilkov et al. 2020): each merge that could be made is left out by chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nmt_cli.data.subword_sampling.words import END, Cut, Integers, Inventory, Words

_NONE = np.iinfo(np.int64).max
_PLACE_BITS = 32
_PLACE = (1 << _PLACE_BITS) - 1


class BpeDropout:
    """Merges all words at once, a merge at each step: the best of those that were not left out at this step.

    Words that are the same are merged together, until the best merge is left out for one of them: that one goes on
    alone. As long as the best merge is made, it does not matter which others are left out.
    """

    def __init__(self, inventory: Inventory, alpha: float) -> None:
        assert (np.diff(inventory.scores) < 0).all(), "pieces stand in the order in which they are merged"
        self._size, self._alpha = len(inventory.texts), alpha
        number = {text: piece for piece, text in enumerate(inventory.texts)}
        merges = {
            number[text[:place]] * self._size + number[text[place:]]: piece
            for text, piece in number.items()
            for place in range(1, len(text))
            if text[:place] in number and text[place:] in number
        }
        self._pairs = np.array([*sorted(merges), _NONE])
        self._merged = np.array([*(merges[pair] for pair in self._pairs[:-1].tolist()), _NONE])

    def cut(self, words: Words, generator: np.random.Generator) -> Cut:
        """Merge until nothing can be merged, or all that can is left out."""
        count, together = len(words.running), self._distinct(words)
        leaves = generator.geometric(self._alpha, count)  # at which step, from 1, the best merge is left out
        order = np.argsort(leaves, kind="stable")
        steps = np.arange(together.lengths.max(initial=0) + 1)
        done, done_alone, alone = list[_State](), list[_State](), list[_State]()
        for begin, end in pairwise(np.searchsorted(leaves[order], steps, "right").tolist()):
            best = together.best(np.flatnonzero(together.merges != _NONE))
            parted, left_out = together.copies(order[begin:end], words.running, best)
            possible = np.setdiff1d(self._possible(parted, generator), left_out, assume_unique=True)
            finished, going_on = self._advanced(parted, parted.best(possible))
            done_alone.append(finished)
            alone.append(going_on)
            finished, together = self._advanced(together, best)
            done.append(finished)
        going_on = _State.joined(alone)
        while len(going_on.symbols):
            finished, going_on = self._advanced(going_on, going_on.best(self._possible(going_on, generator)))
            done_alone.append(finished)
        return _chosen(_cut(done, len(words.starts)), _cut(done_alone, count), words.running)

    def _distinct(self, words: Words) -> "_State":
        """Each distinct word once, before any merge."""
        inside = words.symbols != END
        merges = np.append(self._merges(words.symbols[:-1], words.symbols[1:]), _NONE)
        return _State(words.symbols[inside], np.cumsum(~inside)[inside], merges[inside])

    def _possible(self, state: "_State", generator: np.random.Generator) -> Integers:
        """Where a merge could be made and is not left out by chance."""
        possible = np.flatnonzero(state.merges != _NONE)
        return possible[generator.random(len(possible)) >= self._alpha]

    def _advanced(self, state: "_State", best: Integers) -> "tuple[_State, _State]":
        """The words that have no best merge, which are done, and the others after theirs; `state` is spent."""
        going_on = best != _NONE
        keep = np.repeat(going_on, state.lengths)
        done = state.only(~keep)
        place = best[going_on] & _PLACE
        state.symbols[place] = best[going_on] >> _PLACE_BITS
        keep[place + 1] = False
        place = (np.cumsum(keep) - 1)[place]
        rest = state.only(keep)
        for left in (place, place[place > 0] - 1):
            right = np.minimum(left + 1, len(rest.symbols) - 1)
            is_inside = (rest.owner[left] == rest.owner[right]) & (left != right)
            rest.merges[left] = np.where(is_inside, self._merges(rest.symbols[left], rest.symbols[right]), _NONE)
        return done, rest

    def _merges(self, left: Integers, right: Integers) -> Integers:
        """What two symbols become; _NONE if they are never merged."""
        pairs = left * self._size + right
        pairs[(right == END) | (np.maximum(left, right) >= self._size)] = -1
        places = np.searchsorted(self._pairs, pairs)
        found: Integers = np.where(self._pairs[places] == pairs, self._merged[places], _NONE)
        return found


@dataclass(frozen=True)
class _State:
    """Words amid their merges: the symbols of one, then those of another."""

    symbols: Integers
    owner: Integers
    """The number of the word that each symbol is of."""
    merges: Integers
    """What each symbol and the next become; _NONE if they are never merged."""

    @classmethod
    def joined(cls, states: "Sequence[_State]") -> "_State":
        """The words of all."""
        parts = ((each.symbols, each.owner, each.merges) for each in states)
        return cls(*(np.concatenate([np.empty(0, np.int64), *some]) for some in zip(*parts, strict=True)))

    @cached_property
    def begins(self) -> Integers:
        """Where each word begins."""
        return np.flatnonzero(np.diff(self.owner, prepend=-1))

    @cached_property
    def lengths(self) -> Integers:
        """How many symbols each word has."""
        return np.diff(self.begins, append=len(self.symbols))

    def only(self, kept: npt.NDArray[np.bool_]) -> "_State":
        """Some of the symbols."""
        return _State(self.symbols[kept], self.owner[kept], self.merges[kept])

    def best(self, possible: Integers) -> Integers:
        """For each word the best merge at one of these places: what is made and, in the lower bits, where; or _NONE."""
        if not len(self.symbols):
            return self.symbols
        ranked = np.full(len(self.symbols), _NONE)
        ranked[possible] = (self.merges[possible] << _PLACE_BITS) + possible
        return np.minimum.reduceat(ranked, self.begins)

    def copies(self, some: Integers, running: Integers, best: Integers) -> "tuple[_State, Integers]":
        """A copy for each of some words of the text whose like is here and has a best merge, and where that stands.

        The words here are distinct and in order; `running` says which one each word of the text is.
        """
        known = self.owner[self.begins]
        like = np.searchsorted(known, running[some])
        inside = like < len(known)
        inside[inside] = (known[like[inside]] == running[some[inside]]) & (best[like[inside]] != _NONE)
        some, like = some[inside], like[inside]
        begins, lengths = self.begins[like], self.lengths[like]
        places = _places(begins, lengths)
        copies = _State(self.symbols[places], np.repeat(some, lengths), self.merges[places])
        return copies, _starts(lengths) + (best[like] & _PLACE) - begins


def _cut(done: Sequence[_State], count: int) -> Cut:
    """What became of words that have numbers below `count`; nothing of those that are not there."""
    all_ = _State.joined(done)
    return Cut(all_.symbols[np.argsort(all_.owner, kind="stable")], np.bincount(all_.owner, minlength=count))


def _chosen(distinct: Cut, alone: Cut, running: Integers) -> Cut:
    """The words of the text: those that went on alone, and their like for the others."""
    is_alone = alone.lengths > 0
    lengths = np.where(is_alone, alone.lengths, distinct.lengths[running])
    starts = np.where(is_alone, len(distinct.symbols) + _starts(alone.lengths), _starts(distinct.lengths)[running])
    return Cut(np.concatenate([distinct.symbols, alone.symbols])[_places(starts, lengths)], lengths)


def _starts(lengths: Integers) -> Integers:
    """Where each of some stretches begins that stand one after another."""
    return np.cumsum(lengths) - lengths


def _places(starts: Integers, lengths: Integers) -> Integers:
    """All places of some stretches, one after another."""
    return np.arange(lengths.sum()) + np.repeat(starts - _starts(lengths), lengths)
