"""Cuts drawn from the unigram language model (Kudo 2018), over all cuts that there are."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nmt_cli.data.subword_sampling.words import END, Cut, Integers, Inventory, Words


class UnigramSampler:
    """Draws a cut x with a probability in proportion to P(x)^alpha: filter forward, sample back."""

    def __init__(self, inventory: Inventory, alpha: float) -> None:
        self._scores, self._alpha = inventory.scores, alpha
        self._size = len(inventory.texts)
        self._trie = _Trie(inventory)

    def cut(self, words: Words, generator: np.random.Generator) -> Cut:
        """Walk through all words at once, a piece at each step."""
        steps = self._steps(words)
        at = words.starts[words.running]
        walking = np.arange(len(at))
        owners, symbols = [], []
        while len(at):
            chosen = steps.choose(at, generator.random(len(at)))
            owners.append(walking)
            symbols.append(steps.symbols[chosen])
            at = steps.ends[chosen]
            inside = words.symbols[at] != END
            at, walking = at[inside], walking[inside]
        owner = np.concatenate(owners)
        return Cut(
            np.concatenate(symbols)[np.argsort(owner, kind="stable")], np.bincount(owner, minlength=len(words.running))
        )

    def _steps(self, words: Words) -> "_Steps":
        """Which pieces may come at each place, and how likely each is, given all that can follow it."""
        begins, symbols, ends = self._trie.matches(words.symbols)
        weights = self._alpha * np.append(self._scores, np.zeros(len(words.spelled)))[symbols]
        word_ends = np.flatnonzero(words.symbols == END)
        left = word_ends[np.searchsorted(word_ends, begins)] - begins  # symbols to the end of the word
        order = np.lexsort((begins, left))
        begins, symbols, ends, left, weights = begins[order], symbols[order], ends[order], left[order], weights[order]
        first = np.flatnonzero(np.diff(begins, prepend=-1))
        total = np.zeros(len(words.symbols))  # logarithm of the sum over all ways to the end of the word
        chances = np.empty(len(begins))
        levels = np.append(np.flatnonzero(np.diff(left, prepend=0)), len(begins))
        for one, end in pairwise(levels.tolist()):
            here = first[np.searchsorted(first, one) : np.searchsorted(first, end)]
            sizes = np.diff(here, append=end)
            values = weights[one:end] + total[ends[one:end]]
            highest = np.maximum.reduceat(values, here - one)
            shares = np.exp(values - np.repeat(highest, sizes))
            sums = np.add.reduceat(shares, here - one)
            total[begins[here]] = highest + np.log(sums)
            chances[one:end] = shares / np.repeat(sums, sizes)
        group = np.zeros(len(words.symbols), np.int64)
        group[begins[first]] = np.arange(len(first))
        return _Steps(symbols, ends, group, np.append(first, len(begins)), np.cumsum(chances))


@dataclass(frozen=True)
class _Steps:
    """Pieces that may come next, sorted by place."""

    symbols: Integers
    ends: Integers
    group: Integers
    """By place: the number of its group of steps."""
    first: Integers
    """The first step of each group, and their number in the end."""
    reach: npt.NDArray[np.float64]
    """For each step, its group's number and the chance of it or one before it in the group."""

    def choose(self, at: Integers, drawn: npt.NDArray[np.float64]) -> Integers:
        """A step from each place, by a number drawn evenly from [0, 1)."""
        group = self.group[at]
        found = np.searchsorted(self.reach, group + drawn, "right")
        return np.clip(found, self.first[group], self.first[group + 1] - 1)  # sums of chances are a little off 1


class _Trie:
    """Finds all pieces in all places at once."""

    def __init__(self, inventory: Inventory) -> None:
        self._stride = len(inventory.texts) + 1
        nodes: dict[int, int] = {}
        pieces = {0: END}
        for number, text in enumerate(inventory.texts):
            node = 0
            if all(character in inventory.alphabet for character in text):
                for character in text:
                    node = nodes.setdefault(node * self._stride + inventory.alphabet[character] + 1, len(nodes) + 1)
                pieces[node] = number
        self._keys = np.array(sorted(nodes))
        self._nodes = np.array([nodes[key] for key in self._keys.tolist()])
        self._pieces = np.array([pieces.get(node, END) for node in range(len(nodes) + 1)])

    def matches(self, symbols: Integers) -> tuple[Integers, Integers, Integers]:
        """Beginning, symbol and end of all pieces, and of the runs that are in no piece."""
        spelled = np.flatnonzero(symbols >= self._stride - 1)
        begins, found, ends = [spelled], [symbols[spelled]], [spelled + 1]
        letters = np.where(symbols < self._stride - 1, symbols + 1, 0)  # 0 is in no piece
        at = np.flatnonzero(letters)
        begin, node = at, np.zeros(len(at), np.int64)
        while len(at):
            keys = node * self._stride + letters[at]
            places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            goes_on = self._keys[places] == keys
            begin, at, node = begin[goes_on], at[goes_on] + 1, self._nodes[places[goes_on]]
            pieces = self._pieces[node]
            whole = pieces != END
            begins.append(begin[whole])
            found.append(pieces[whole])
            ends.append(at[whole])
        return np.concatenate(begins), np.concatenate(found), np.concatenate(ends)
