"""Training pairs tokenized again: from changed text, with sampled subwords, or both."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from nmt_cli.data.alignments import reordered_links
from nmt_cli.data.arrays import Array, Booleans, Integers, RaggedArray
from nmt_cli.data.augmentation import AugmentedPairs, Augmenter
from nmt_cli.data.context import encode_joined
from nmt_cli.data.token_corpus import Spans, TokenCorpus, TokenPairs
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.tags import SEPARATOR
from nmt_cli.data.tokenizing.vocabulary import Vocabulary
from nmt_cli.recipe.training import Augmentation, SubwordSampling

_CHUNK_LINES = 50_000
"""Each chunk has its own random generator, so the draws depend on this."""

_Around = tuple[Sequence[int], Sequence[int]]
"""Token ids before and after each line."""


class SubwordRegularizer:
    """Tokenizes pairs again. The result depends only on text, tokenizer, settings and seed."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        sampling: SubwordSampling | None,
        augmentation: Augmentation | None,
        max_length: int,
    ) -> None:
        """Prepare both sides.

        Args:
            max_length: In tokens; a pair that would become longer is left as it is.
        """
        self._max_length = max_length
        self._augmenter = Augmenter(augmentation, tokenizer.normalize) if augmentation else None
        alpha = sampling.alpha if sampling else 0.0
        self._source = _Encoder(tokenizer.source, alpha if sampling and sampling.source else None)
        self._target = _Encoder(tokenizer.target, alpha if sampling and sampling.target else None)

    def regularize(self, corpus: TokenCorpus, spans: Spans, plain: TokenPairs, seed: Sequence[int]) -> TokenPairs:
        """Tokenize the pairs of some spans of a corpus again.

        Args:
            plain: The pairs as they were prepared.
        """
        assert not plain.source_columns, (
            "the recipe does not allow source columns with subword sampling or augmentation"
        )
        pairs = AugmentedPairs.unchanged(*corpus.read_text(spans))
        if self._augmenter:
            pairs = self._augmenter.augment(pairs.sources, pairs.targets, np.random.default_rng([*seed, 0]))
        around_source, around_target = (corpus.prefix, corpus.suffix), (corpus.prompt, ())
        sources = self._source.encode(plain.sources, pairs.sources, pairs.changed, around_source, [*seed, 1])
        sources = _with_beginnings(sources, plain.sources, len(corpus.prefix))
        targets = self._target.encode(plain.targets, pairs.targets, pairs.changed, around_target, [*seed, 2])
        too_long = np.maximum(sources.lengths, targets.lengths) > self._max_length
        if too_long.any():
            sources = _replace(sources, plain.sources, too_long)
            targets = _replace(targets, plain.targets, too_long)
        orders = {row: order for row, order in pairs.reordered.items() if not too_long[row]}
        links = reordered_links(plain.links, orders) if plain.links and orders else plain.links
        return TokenPairs(sources, targets, links, plain.pair_ids)


class _Encoder:
    """Tokenizes the lines of one side again."""

    def __init__(self, vocabulary: Vocabulary, alpha: float | None) -> None:
        self._vocabulary = vocabulary
        self._separator = vocabulary.tags.get(SEPARATOR)
        self._sampler = None if alpha is None else vocabulary.segmenter.sampler(alpha)

    def encode(
        self, plain: RaggedArray, lines: list[str], changed: Booleans, around: _Around, seed: Sequence[int]
    ) -> RaggedArray:
        """Return the lines in the tokens around them: sampled or, without a sampler, with the changed ones replaced."""
        if self._sampler is None:
            return self._with_changes(plain, lines, changed, around)
        prefix, suffix = around
        tokens, lengths = [np.empty(0, plain.values.dtype)], [np.empty(0, np.int64)]
        for chunk, first in enumerate(range(0, len(lines), _CHUNK_LINES)):
            encode = partial(self._sample, rng=np.random.default_rng([*seed, chunk]))
            ids, sizes = encode_joined(encode, lines[first : first + _CHUNK_LINES], prefix, self._separator, suffix)
            tokens.append(ids.astype(plain.values.dtype))
            lengths.append(sizes)
        return RaggedArray.of_lengths(np.concatenate(lengths), np.concatenate(tokens))

    def _sample(self, lines: list[str], rng: np.random.Generator) -> tuple[Array, Integers]:
        assert self._sampler is not None
        pieces, lengths = self._sampler.encode(lines, rng)
        return self._vocabulary.piece_ids[pieces], lengths

    def _with_changes(self, plain: RaggedArray, lines: list[str], changed: Booleans, around: _Around) -> RaggedArray:
        if not changed.any():
            return plain
        changed_lines = [lines[row] for row in np.flatnonzero(changed).tolist()]
        prefix, suffix = around
        tokens, sizes = encode_joined(self._vocabulary.encode_batch, changed_lines, prefix, self._separator, suffix)
        lengths = np.zeros(len(lines), np.int64)
        lengths[changed] = sizes
        return _replace(plain, RaggedArray.of_lengths(lengths, tokens.astype(plain.values.dtype)), changed)


def _with_beginnings(lines: RaggedArray, others: RaggedArray, length: int) -> RaggedArray:
    """Return the lines with the first tokens of `others`: tags, of which that of the length differs among pairs."""
    if lines is others or not length:
        return lines
    tokens, within = lines.values.copy(), np.arange(length)
    tokens[lines.offsets[:-1, None] + within] = others.values[others.offsets[:-1, None] + within]
    return RaggedArray(lines.offsets, tokens)


def _replace(lines: RaggedArray, others: RaggedArray, mask: Booleans) -> RaggedArray:
    """Return the lines, taken from `others` where the mask is true."""
    lengths = np.where(mask, others.lengths, lines.lengths)
    tokens = np.empty(lengths.sum(), lines.values.dtype)
    is_other = np.repeat(mask, lengths)
    tokens[is_other] = others.values[np.repeat(mask, others.lengths)]
    tokens[~is_other] = lines.values[np.repeat(~mask, lines.lengths)]
    return RaggedArray.of_lengths(lengths, tokens)
