"""Segmentations drawn from the unigram language model (Kudo 2018), among all possible ones."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nmt_cli.data.arrays import Integers
from nmt_cli.data.subword_sampling.piece_table import END, DistinctWords, PieceTable, Segmentation


class UnigramSampler:
    """Draws a segmentation x with probability proportional to P(x)^alpha: forward filtering, backward sampling."""

    def __init__(self, table: PieceTable, alpha: float) -> None:
        self._scores, self._alpha = table.scores, alpha
        self._trie = _Trie(table)

    def sample(self, words: DistinctWords, rng: np.random.Generator) -> Segmentation:
        """Walk through all words at once, one piece per step."""
        edges = self._edges(words)
        position = words.starts[words.occurrences]
        active = np.arange(len(position))
        word_ids, symbols = [], []
        while len(position):
            chosen = edges.choose(position, rng.random(len(position)))
            word_ids.append(active)
            symbols.append(edges.symbols[chosen])
            position = edges.ends[chosen]
            inside = words.symbols[position] != END
            position, active = position[inside], active[inside]
        word_id = np.concatenate(word_ids)
        lengths = np.bincount(word_id, minlength=len(words.occurrences))
        return Segmentation(np.concatenate(symbols)[np.argsort(word_id, kind="stable")], lengths)

    def _edges(self, words: DistinctWords) -> "_Edges":
        """Return the possible pieces at each position, with their probabilities given the rest of the word."""
        starts, symbols, ends = self._trie.matches(words.symbols)
        weights = self._alpha * np.append(self._scores, np.zeros(len(words.fallbacks)))[symbols]
        word_ends = np.flatnonzero(words.symbols == END)
        remaining = word_ends[np.searchsorted(word_ends, starts)] - starts  # symbols to the end of the word
        order = np.lexsort((starts, remaining))
        starts, symbols, ends, remaining = (each[order] for each in (starts, symbols, ends, remaining))
        weights = weights[order]
        first = np.flatnonzero(np.diff(starts, prepend=-1))
        log_sums = np.zeros(len(words.symbols))  # over all ways from a position to the end of its word
        probabilities = np.empty(len(starts))
        levels = np.append(np.flatnonzero(np.diff(remaining, prepend=0)), len(starts))
        for begin, end in pairwise(levels.tolist()):
            groups = first[np.searchsorted(first, begin) : np.searchsorted(first, end)]
            sizes = np.diff(groups, append=end)
            values = weights[begin:end] + log_sums[ends[begin:end]]
            highest = np.maximum.reduceat(values, groups - begin)
            exponentials = np.exp(values - np.repeat(highest, sizes))
            sums = np.add.reduceat(exponentials, groups - begin)
            log_sums[starts[groups]] = highest + np.log(sums)
            probabilities[begin:end] = exponentials / np.repeat(sums, sizes)
        group = np.zeros(len(words.symbols), np.int64)
        group[starts[first]] = np.arange(len(first))
        return _Edges(symbols, ends, group, np.append(first, len(starts)), np.cumsum(probabilities))


@dataclass(frozen=True)
class _Edges:
    """Pieces that may come next, grouped by position."""

    symbols: Integers
    ends: Integers
    group: Integers
    """Group of the edges at each position."""
    first: Integers
    """First edge of each group; the number of edges at the end."""
    cumulative: npt.NDArray[np.float64]
    """Index of the edge's group, plus the probability of this edge or an earlier one of the group."""

    def choose(self, position: Integers, draws: npt.NDArray[np.float64]) -> Integers:
        """Return an edge from each position, given uniform draws from [0, 1)."""
        group = self.group[position]
        found = np.searchsorted(self.cumulative, group + draws, "right")
        return np.clip(found, self.first[group], self.first[group + 1] - 1)  # sums of probabilities are inexact


class _Trie:
    """Finds all pieces at all positions at once."""

    def __init__(self, table: PieceTable) -> None:
        self._stride = len(table.texts) + 1
        nodes: dict[int, int] = {}
        pieces = {0: END}
        for row, text in enumerate(table.texts):
            node = 0
            if all(character in table.alphabet for character in text):
                for character in text:
                    node = nodes.setdefault(node * self._stride + table.alphabet[character] + 1, len(nodes) + 1)
                pieces[node] = row
        self._keys = np.array(sorted(nodes))
        self._nodes = np.array([nodes[key] for key in self._keys.tolist()])
        self._pieces = np.array([pieces.get(node, END) for node in range(len(nodes) + 1)])

    def matches(self, symbols: Integers) -> tuple[Integers, Integers, Integers]:
        """Return start, symbol and end of all pieces, and of the runs of unknown characters."""
        unknown = np.flatnonzero(symbols >= self._stride - 1)
        starts, found, ends = [unknown], [symbols[unknown]], [unknown + 1]
        letters = np.where(symbols < self._stride - 1, symbols + 1, 0)  # 0 is in no piece
        position = np.flatnonzero(letters)
        start, node = position, np.zeros(len(position), np.int64)
        while len(position):
            keys = node * self._stride + letters[position]
            indices = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
            matched = self._keys[indices] == keys
            start, position, node = start[matched], position[matched] + 1, self._nodes[indices[matched]]
            pieces = self._pieces[node]
            is_piece = pieces != END
            starts.append(start[is_piece])
            found.append(pieces[is_piece])
            ends.append(position[is_piece])
        return np.concatenate(starts), np.concatenate(found), np.concatenate(ends)
