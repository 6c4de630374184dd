"""Corpora cut anew for each epoch."""

import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from itertools import count, islice

import numpy as np
import numpy.typing as npt

from nmt_cli.data.subword_sampling.bpe_dropout import BpeDropout
from nmt_cli.data.subword_sampling.unigram import UnigramSampler
from nmt_cli.data.subword_sampling.words import Integers, Inventory, Sampler
from nmt_cli.data.token_corpus import Lines, TokenCorpus, TokenLines, TokenPairs
from nmt_cli.data.tokenizer import Subwords, Tokenizer
from nmt_cli.recipe.training.subword_sampling import SubwordSampling

_LINES_AT_ONCE = 10_000
"""Part of what the draws follow from, as each chunk has a generator of its own."""


class Resegmenter:
    """Cuts corpora anew for an epoch; what comes out follows from text, tokenizer, settings, seed and epoch alone."""

    def __init__(self, tokenizer: Tokenizer, settings: SubwordSampling, seed: int, max_length: int) -> None:
        self._seed, self._max_length = seed, max_length
        self._source = _SideSampler(tokenizer.source, settings.alpha) if settings.source else None
        self._target = _SideSampler(tokenizer.target, settings.alpha) if settings.target else None

    def resegmented(self, corpus: TokenCorpus, epoch: int) -> TokenPairs:
        """The corpus in another cut. A pair cut longer than `max_length` by chance is left as it was."""
        seed = [self._seed, epoch, zlib.crc32(corpus.name.encode())]
        sources = self._cut(self._source, corpus.sources, [*seed, 1])
        targets = self._cut(self._target, corpus.targets, [*seed, 2])
        too_long = np.maximum(sources.lengths, targets.lengths) > self._max_length
        if too_long.any():
            sources = _restored(sources, corpus.sources, too_long)
            targets = _restored(targets, corpus.targets, too_long)
        return TokenPairs(sources, targets, corpus.links)

    def _cut(self, sampler: "_SideSampler | None", plain: TokenLines, seed: list[int]) -> Lines:
        if sampler is None:
            return plain
        text, tokens, lengths = plain.read_text(), [], [np.zeros(1, np.int64)]
        for chunk in count():
            lines = list(islice(text, _LINES_AT_ONCE))
            if not lines:
                break
            cut, sizes = sampler.encode(lines, np.random.default_rng([*seed, chunk]))
            tokens.append(cut.astype(plain.tokens.dtype))
            lengths.append(sizes)
        return Lines(np.cumsum(np.concatenate(lengths)), np.concatenate(tokens))


class _SideSampler:
    """Cuts the lines of one side at random."""

    def __init__(self, subwords: Subwords, alpha: float) -> None:
        self._inventory = Inventory(subwords)
        self._sampler: Sampler = (BpeDropout if subwords.algorithm == "bpe" else UnigramSampler)(self._inventory, alpha)

    def encode(self, lines: Sequence[str], generator: np.random.Generator) -> tuple[Integers, Integers]:
        """Token ids of all lines, and how many each line has."""
        words = self._inventory.words(lines)
        return self._inventory.tokens(words, self._sampler.cut(words, generator))


def _restored(cut: Lines, plain: Lines, chosen: npt.NDArray[np.bool_]) -> Lines:
    """The lines of `cut`, but the chosen ones as they are in `plain`."""
    lengths = np.where(chosen, plain.lengths, cut.lengths)
    tokens = np.empty(lengths.sum(), cut.tokens.dtype)
    is_plain = np.repeat(chosen, lengths)
    tokens[is_plain] = plain.tokens[np.repeat(chosen, plain.lengths)]
    tokens[~is_plain] = cut.tokens[np.repeat(~chosen, cut.lengths)]
    return Lines(np.append(0, np.cumsum(lengths)), tokens)


def sampled_epochs(corpora: Sequence[TokenCorpus], resegmenter: Resegmenter, first: int) -> Iterator[list[TokenPairs]]:
    """The corpora as they are cut in epoch `first` and those after it, each made while the one before it is used."""

    def cut(epoch: int) -> "Future[list[TokenPairs]]":
        future: Future[list[TokenPairs]] = Future()

        def work() -> None:
            try:
                future.set_result([resegmenter.resegmented(corpus, epoch) for corpus in corpora])
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="subword sampling", daemon=True).start()
        return future

    coming = cut(first)
    for epoch in count(first + 1):
        current, coming = coming.result(), cut(epoch)
        yield current
