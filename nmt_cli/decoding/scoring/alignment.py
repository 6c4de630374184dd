"""Word alignments from cross-attention, and the words that tokens belong to."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from nmt_cli.data.alignments import normalized_indices, overlapping_indices, words_of
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.vocabulary import Vocabulary

Link = tuple[int, int]
"""0-based indices of a source word and of a word of its translation. Words are separated by spaces and tabs."""


def word_alignment(
    attention: Tensor, source_words: Sequence[Sequence[int]], target_words: Sequence[Sequence[int]]
) -> list[Link]:
    """Link each word of a translation to the source word that has the most attention. Sorted by target word.

    Args:
        attention: [T+1,S+1] of the tokens, eos last. It is not shifted: a model attends to a word while it generates
            its translation, and training with `guided_alignment` teaches it to. Attention is summed over the tokens of
            each word; eos is not a word, and a word without visible tokens has no link.
        source_words: Indices of the words of each source token, from `source_word_indices`.
        target_words: The same for target tokens.
    """
    weights = _sum_by_word(
        _sum_by_word(attention[: len(target_words), : len(source_words)], target_words).T, source_words
    ).T
    best = weights.argmax(1).tolist() if weights.numel() else []
    return [(source, target) for target, source in enumerate(best) if weights[target, source] > 0]


def format_pharaoh(links: Sequence[Link]) -> str:
    """Format links as `0-0 1-2` (source-target), as fast_align, Moses and Marian do."""
    return " ".join(f"{source}-{target}" for source, target in links)


def source_word_indices(tokenizer: Tokenizer, text: str, tokens: Sequence[int]) -> list[list[int]]:
    """Return, for each token of a raw source text, the 0-based indices of the words it belongs to, most often one.

    A token belongs to several words where normalisation removes the space between them.
    """
    return _word_indices(tokenizer, tokenizer.source, text, tokens)


def target_word_indices(tokenizer: Tokenizer, text: str, tokens: Sequence[int]) -> list[list[int]]:
    """Return the same as `source_word_indices`, for a raw target text."""
    return _word_indices(tokenizer, tokenizer.target, text, tokens)


def decoded_word_indices(tokenizer: Tokenizer, text: str, tokens: Sequence[int]) -> list[list[int]]:
    """Return the same as `source_word_indices`, for a translation in tokens and the text they were decoded to."""
    segmenter_words = _segmenter_word_indices(tokenizer.target, tokens)
    starts = [
        position
        for position, word in enumerate(segmenter_words)
        if position == 0 or word != segmenter_words[position - 1]
    ]
    rows = [list(tokens[begin:end]) for begin, end in pairwise([*starts, len(tokens)])]
    words = words_of(text)
    spelled = overlapping_indices(tokenizer.decode_target(rows), words)
    return [[word for word in spelled[index] if word < len(words)] for index in segmenter_words]


def _word_indices(tokenizer: Tokenizer, vocabulary: Vocabulary, text: str, tokens: Sequence[int]) -> list[list[int]]:
    normal = tokenizer.normalize(text)
    raw: list[list[int]] = [[] for _ in normal.split(" ")]
    for word, normal_indices in enumerate(normalized_indices(text, normal, tokenizer.normalize)):
        for index in normal_indices:
            raw[index].append(word)
    return [raw[min(index, len(raw) - 1)] for index in _segmenter_word_indices(vocabulary, tokens)]


def _segmenter_word_indices(vocabulary: Vocabulary, tokens: Sequence[int]) -> list[int]:
    """Return the index of each token's word as the segmenter counts words. The first token always begins one."""
    begins = vocabulary.begins_word
    return [max(0, count - 1) for count in accumulate(int(begins[token]) for token in tokens)]


def _sum_by_word(weights: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
    """Sum rows [n,·], one per token, to rows [w,·], one per word."""
    pairs = [(position, word) for position, indices in enumerate(words) for word in indices]
    num_words = 1 + max((word for _, word in pairs), default=-1)
    summed = torch.zeros(num_words, weights.size(1))
    if pairs:
        positions, indices = torch.tensor(pairs).T
        summed.index_add_(0, indices, weights.float()[positions])
    return summed
