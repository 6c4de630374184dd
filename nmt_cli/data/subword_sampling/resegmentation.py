"""Pairs cut anew: text changed by chance, words cut by chance, or both."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt_cli.data.alignments import WordLinks, moved_links
from nmt_cli.data.augmentation import Altered, Augmenter
from nmt_cli.data.cutting import cut
from nmt_cli.data.subword_sampling.bpe_dropout import BpeDropout
from nmt_cli.data.subword_sampling.unigram import UnigramSampler
from nmt_cli.data.subword_sampling.words import Integers, Inventory, Sampler
from nmt_cli.data.token_corpus import Cells, Lines, TokenCorpus, TokenPairs
from nmt_cli.data.tokenizer import Subwords, Tokenizer
from nmt_cli.data.tokenizing import tags
from nmt_cli.recipe.training.mixing import Augmentation
from nmt_cli.recipe.training.subword_sampling import SubwordSampling

_LINES_AT_ONCE = 50_000
"""Part of what the draws follow from, as each chunk has a generator of its own."""

Truths = npt.NDArray[np.bool_]


class Resegmenter:
    """Cuts pairs anew; what comes out follows from text, tokenizer, settings and seed alone."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        sampling: SubwordSampling | None,
        augmentation: Augmentation | None,
        max_length: int,
    ) -> None:
        self._max_length = max_length
        self._augmenter = Augmenter(augmentation, tokenizer.normalize) if augmentation else None
        alpha = sampling.alpha if sampling else 0.0
        self._source = _Side(tokenizer.source, alpha if sampling and sampling.source else None)
        self._target = _Side(tokenizer.target, alpha if sampling and sampling.target else None)

    def resegmented(self, corpus: TokenCorpus, cells: Cells, plain: TokenPairs, seed: Sequence[int]) -> TokenPairs:
        """The pairs of some stretches of a corpus, given as they were prepared, in another cut.

        A pair that would be longer than `max_length` is left as it was.
        """
        altered = Altered.nowhere(*corpus.read_text(cells))
        if self._augmenter:
            altered = self._augmenter.altered(altered.sources, altered.targets, np.random.default_rng([*seed, 0]))
        sources = self._source.cut(plain.sources, altered.sources, altered.changed, corpus.prefix, [*seed, 1])
        targets = self._target.cut(plain.targets, altered.targets, altered.changed, [], [*seed, 2])
        too_long = np.maximum(sources.lengths, targets.lengths) > self._max_length
        if too_long.any():
            sources = _replaced(sources, plain.sources, too_long)
            targets = _replaced(targets, plain.targets, too_long)
        return TokenPairs(sources, targets, _links(plain.links, altered, too_long), plain.numbers)


class _Side:
    """Cuts the lines of one side."""

    def __init__(self, subwords: Subwords, alpha: float | None) -> None:
        self._subwords = subwords
        self._separator = subwords.tags.get(tags.SEPARATOR)
        self._sampler = None if alpha is None else _Sampling(subwords, alpha)

    def cut(self, plain: Lines, lines: list[str], changed: Truths, prefix: Sequence[int], seed: Sequence[int]) -> Lines:
        """Lines cut by chance, after the tags of the corpus; without sampling, only those that have changed are cut."""
        if self._sampler is None:
            return self._with_changes(plain, lines, changed, prefix)
        tokens, lengths = [np.empty(0, plain.tokens.dtype)], [np.empty(0, np.int64)]
        for chunk, first in enumerate(range(0, len(lines), _LINES_AT_ONCE)):
            some = lines[first : first + _LINES_AT_ONCE]
            encode = partial(self._sampler.encode, generator=np.random.default_rng([*seed, chunk]))
            ids, sizes = cut(encode, some, prefix, self._separator)
            tokens.append(ids.astype(plain.tokens.dtype))
            lengths.append(sizes)
        return _lines(np.concatenate(lengths), np.concatenate(tokens))

    def _with_changes(self, plain: Lines, lines: list[str], changed: Truths, prefix: Sequence[int]) -> Lines:
        if not changed.any():
            return plain
        some = [lines[row] for row in np.flatnonzero(changed).tolist()]
        tokens, sizes = cut(self._subwords.encode_flat, some, prefix, self._separator)
        lengths = np.zeros(len(lines), np.int64)
        lengths[changed] = sizes
        return _replaced(plain, _lines(lengths, tokens.astype(plain.tokens.dtype)), changed)


class _Sampling:
    """Cuts the lines of one side at random."""

    def __init__(self, subwords: Subwords, alpha: float) -> None:
        self._inventory = Inventory(subwords)
        self._sampler: Sampler = (BpeDropout if subwords.algorithm == "bpe" else UnigramSampler)(self._inventory, alpha)

    def encode(self, lines: Sequence[str], generator: np.random.Generator) -> tuple[Integers, Integers]:
        """Token ids of all lines, and how many each line has."""
        words = self._inventory.words(lines)
        return self._inventory.tokens(words, self._sampler.cut(words, generator))


def _lines(lengths: Integers, tokens: npt.NDArray[Any]) -> Lines:
    return Lines(np.append(0, np.cumsum(lengths)), tokens)


def _links(links: WordLinks | None, altered: Altered, as_before: Truths) -> WordLinks | None:
    """The links of pairs of which some have other words than they had."""
    moved = {row: words for row, words in altered.moved.items() if not as_before[row]}
    if links is None or not moved:
        return links
    return moved_links(
        links,
        {row: words.origins for row, words in moved.items()},
        {row: words.targets for row, words in moved.items()},
    )


def _replaced(lines: Lines, others: Lines, chosen: Truths) -> Lines:
    """The same lines, but the chosen ones as they are in `others`."""
    lengths = np.where(chosen, others.lengths, lines.lengths)
    tokens = np.empty(lengths.sum(), lines.tokens.dtype)
    is_other = np.repeat(chosen, lengths)
    tokens[is_other] = others.tokens[np.repeat(chosen, others.lengths)]
    tokens[~is_other] = lines.tokens[np.repeat(~chosen, lines.lengths)]
    return Lines(np.append(0, np.cumsum(lengths)), tokens)
