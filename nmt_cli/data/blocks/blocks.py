"""A block: about a million pairs of an epoch in memory, from which batches are made."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from nmt_cli.data.arrays import Integers
from nmt_cli.data.blocks.mixture import Mixture
from nmt_cli.data.blocks.passes import stretch
from nmt_cli.data.subword_sampling.regularizer import SubwordRegularizer
from nmt_cli.data.token_corpus import TokenCorpus, TokenPairs, joined
from nmt_cli.recipe.training.mixing import Mixing

PAIRS = 2**20
"""Of a block: some hundred MB, and enough for batches of like lengths to be full."""
CUT_ANEW = 2**17
"""Pairs of a block whose text is cut anew: the first must be cut before training begins, which takes seconds."""


@dataclass(frozen=True)
class Block:
    """Pairs of all corpora, in memory."""

    epoch: int
    number: int
    pairs: TokenPairs
    """Numbered through all corpora: those of the first, then those of the second, and so on."""
    corpora: Integers
    """Which corpus each pair is of."""
    begins: float
    """Passes over the data before it."""
    ends: float


class Blocks:
    """The blocks of all epochs. What is in one follows from the corpora, the settings, seed, epoch and number alone."""

    def __init__(
        self,
        corpora: Sequence[TokenCorpus],
        weights: Mapping[str, float],
        mixing: Mixing,
        seed: int,
        regularizer: SubwordRegularizer | None = None,
        block_pairs: int | None = None,
    ) -> None:
        sizes = {corpus.name: len(corpus) for corpus in corpora}
        self.corpora, self._seed, self._regularizer = corpora, seed, regularizer
        self._firsts = list(accumulate((len(corpus) for corpus in corpora), initial=0))
        self._mixture = Mixture(sizes, weights, mixing, block_pairs or (CUT_ANEW if regularizer else PAIRS))

    def read(self, epoch: int, number: int) -> Block | None:
        """A block of an epoch; None if the epoch has no more."""
        if number >= self._mixture.blocks(epoch):
            return None
        taken, parts, chosen = self._mixture.taken(epoch, number), [], []
        for place, corpus in enumerate(self.corpora):
            if corpus.name in taken:
                parts.append(self._part(corpus, taken[corpus.name], epoch, number))
                chosen.append(place)
        if not chosen:  # a share so small that its first pair comes later
            parts.append(self.corpora[0].read(np.empty((0, 2), np.int64)))
            chosen.append(0)
        share = self._mixture.share(epoch, number)
        return Block(
            epoch,
            number,
            joined(parts, [self._firsts[place] for place in chosen]),
            np.repeat(np.array(chosen, np.int64), [len(part) for part in parts]),
            epoch + share[0],
            epoch + share[1],
        )

    def _part(self, corpus: TokenCorpus, places: range, epoch: int, number: int) -> TokenPairs:
        """What a block takes of a corpus."""
        name = zlib.crc32(corpus.name.encode())
        cells = stretch(len(corpus), places.start, places.stop, [self._seed, name])
        pairs = corpus.read(cells)
        if self._regularizer is None:
            return pairs
        return self._regularizer.regularize(corpus, cells, pairs, [self._seed, name, epoch, number])
