"""The endless stream of a corpus' pairs: pass after pass, each in an order of its own."""

from collections.abc import Sequence

import numpy as np

from nmt_cli.data.token_corpus import Cells

_MOST_IN_CELL = 1024
_FEWEST_CELLS = 64
"""In a pass, where there are as many pairs; so small corpora are shuffled well, too."""


def stretch(size: int, begin: int, end: int, seed: Sequence[int]) -> Cells:
    """Pairs `begin` to `end` of the stream of a corpus of `size` pairs, as stretches of neighbours.

    Each pass has all pairs once. It is a random order of cells of neighbouring pairs, as a disk is read fast in
    stretches only, and where cells begin is random, too.
    """
    found = []
    for number in range(begin // size, -(-end // size)):
        cells = _in_order(size, np.random.default_rng([*seed, number]))
        counts = cells[:, 1] - cells[:, 0]
        ends = number * size + np.cumsum(counts)
        chosen = (ends > begin) & (ends - counts < end)
        cells, counts, ends = cells[chosen], counts[chosen], ends[chosen]
        cells[:, 0] += np.maximum(begin - (ends - counts), 0)
        cells[:, 1] -= np.maximum(ends - end, 0)
        found.append(cells)
    return np.concatenate([np.empty((0, 2), np.int64), *found])


def _in_order(size: int, generator: np.random.Generator) -> Cells:
    length = min(max(size // _FEWEST_CELLS, 1), _MOST_IN_CELL)
    edges = np.append(np.arange(-int(generator.integers(length)), size, length), size)
    edges[0] = 0
    cells = np.stack([edges[:-1], edges[1:]], axis=1)
    shuffled: Cells = generator.permutation(cells)
    return shuffled
