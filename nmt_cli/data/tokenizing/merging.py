"""Byte-pair encoding of words that are cut into pieces already (Sennrich et al. 2016)."""

import heapq
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

_Pair = tuple[int, int]

_FEWEST = 2
"""Times that a pair must come."""


class Merging:
    """Merges the pair of neighbours that comes most often, then the next one, and so on."""

    def __init__(
        self, texts: list[str], fits: Sequence[bool], words: Sequence[tuple[list[int], int]], longest: int
    ) -> None:
        """`texts` of all pieces, by number; new ones are put at its end. Only pieces that fit are merged.

        `words` are pieces and how often a word comes. No text becomes a piece that is one already, nor one with more
        characters than `longest`.
        """
        self._texts, self._fits, self._longest = texts, list(fits), longest
        self._old = set(texts)
        self._new: dict[str, int] = {}
        self._words = [row for row, _ in words]
        self._times = [count for _, count in words]
        self._counts: defaultdict[_Pair, int] = defaultdict(int)
        self._where: defaultdict[_Pair, set[int]] = defaultdict(set)
        for place, row in enumerate(self._words):
            self._count(place, row, self._times[place])
        self._heap = [(-count, pair) for pair, count in self._counts.items()]
        heapq.heapify(self._heap)

    def next(self) -> _Pair | None:
        """Make one more piece, which gets the next number, and say of which two; None if no pair comes twice."""
        while self._heap:
            negative, pair = heapq.heappop(self._heap)
            count = self._counts[pair]
            if count != -negative:
                if count >= _FEWEST:
                    heapq.heappush(self._heap, (-count, pair))
                continue
            if count < _FEWEST:
                return None
            text = self._texts[pair[0]] + self._texts[pair[1]]
            if not self._may_become(text):
                del self._counts[pair], self._where[pair]
                continue
            is_new = text not in self._new
            if is_new:
                self._new[text] = len(self._texts)
                self._texts.append(text)
                self._fits.append(True)
            self._merge(pair, self._new[text])
            if is_new:
                return pair
        return None

    def _may_become(self, text: str) -> bool:
        return len(text) <= self._longest and text not in self._old

    def _merge(self, pair: _Pair, merged: int) -> None:
        changed: set[_Pair] = set()
        for place in self._where.pop(pair):
            row, times = self._words[place], self._times[place]
            self._count(place, row, -times)
            row = self._words[place] = _replaced(row, pair, merged)
            self._count(place, row, times)
            changed.update(pairwise(row))
        del self._counts[pair]
        for other in changed:
            if merged in other and self._counts[other] >= _FEWEST:
                heapq.heappush(self._heap, (-self._counts[other], other))

    def _count(self, place: int, row: list[int], times: int) -> None:
        fits, counts, where = self._fits, self._counts, self._where
        for pair in pairwise(row):
            if fits[pair[0]] and fits[pair[1]]:
                counts[pair] += times
                if times > 0:
                    where[pair].add(place)


def _replaced(row: list[int], pair: _Pair, merged: int) -> list[int]:
    (left, right), found, place = pair, [], 0
    while place < len(row):
        if row[place] == left and place + 1 < len(row) and row[place + 1] == right:
            found.append(merged)
            place += 2
        else:
            found.append(row[place])
            place += 1
    return found
