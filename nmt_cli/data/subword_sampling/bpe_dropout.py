"""BPE-dropout (Provilkov et al. 2020): each merge that could be made is left out by chance."""

import numpy as np

from nmt_cli.data.subword_sampling.words import END, Cut, Integers, Inventory, Words

_NONE = np.iinfo(np.int64).max
_PLACE_BITS = 32


class BpeDropout:
    """Merges all words at once, a merge at each step: the best of those that were not left out at this step."""

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
        places, owner = _running(words)
        symbols = words.symbols[places]
        merges = np.append(self._merges(words.symbols[:-1], words.symbols[1:]), _NONE)[places]
        owners, finished = [], []
        while len(symbols):
            begins = np.flatnonzero(np.diff(owner, prepend=-1))
            possible = np.flatnonzero(merges != _NONE)
            possible = possible[generator.random(len(possible)) >= self._alpha]
            ranked = np.full(len(symbols), _NONE)
            ranked[possible] = (merges[possible] << _PLACE_BITS) + possible
            best = np.minimum.reduceat(ranked, begins)
            going_on = best != _NONE
            keep = np.repeat(going_on, np.diff(begins, append=len(symbols)))
            owners.append(owner[~keep])
            finished.append(symbols[~keep])
            place = best[going_on] & ((1 << _PLACE_BITS) - 1)
            symbols[place] = best[going_on] >> _PLACE_BITS
            keep[place + 1] = False
            place = (np.cumsum(keep) - 1)[place]
            symbols, owner, merges = symbols[keep], owner[keep], merges[keep]
            self._update(merges, symbols, owner, place)
        order = np.argsort(np.concatenate(owners), kind="stable")
        return Cut(np.concatenate(finished)[order], np.bincount(np.concatenate(owners), minlength=len(words.running)))

    def _update(self, merges: Integers, symbols: Integers, owner: Integers, place: Integers) -> None:
        """Find anew what can be merged on both sides of the symbols at `place`."""
        for left in (place, place[place > 0] - 1):
            right = np.minimum(left + 1, len(symbols) - 1)
            together = (owner[left] == owner[right]) & (left != right)
            merges[left] = np.where(together, self._merges(symbols[left], symbols[right]), _NONE)

    def _merges(self, left: Integers, right: Integers) -> Integers:
        """What two symbols become; _NONE if they are never merged."""
        pairs = left * self._size + right
        pairs[(right == END) | (np.maximum(left, right) >= self._size)] = -1
        places = np.searchsorted(self._pairs, pairs)
        found: Integers = np.where(self._pairs[places] == pairs, self._merged[places], _NONE)
        return found


def _running(words: Words) -> tuple[Integers, Integers]:
    """Where the symbols of each word of the text stand, and the number of the word in the text."""
    starts = words.starts[words.running]
    lengths = np.flatnonzero(words.symbols == END)[words.running] - starts
    owner = np.repeat(np.arange(len(lengths)), lengths)
    return np.arange(len(owner)) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths), owner
