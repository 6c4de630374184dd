"""Word alignments from attention: to which word of the source each word of a translation answers."""

from collections.abc import Sequence

import torch
from torch import Tensor

Link = tuple[int, int]
"""A word of the source and a word of the translation, by number from 0."""


def word_alignment(
    attention: Tensor, source_words: Sequence[Sequence[int]], target_words: Sequence[Sequence[int]]
) -> list[Link]:
    """Each word of a translation with the one word of the source that the model looked at most as it said it.

    attention [T+1,S+1] of the tokens, each with its end, is not shifted: a model looks at a word as it says its
    translation, and training with `guided_alignment` teaches it to. It is added up over the tokens of each word, which
    `word_places` tells. The end is no word; a word without visible tokens has no link. In the order of the translation.
    """
    weights = _by_word(_by_word(attention[: len(target_words), : len(source_words)], target_words).T, source_words).T
    best = weights.argmax(1).tolist() if weights.numel() else []
    return [(source, target) for target, source in enumerate(best) if weights[target, source] > 0]


def pharaoh(links: Sequence[Link]) -> str:
    """`0-0 1-2`: source-target, as fast_align, Moses and Marian write it, and as training data gives it."""
    return " ".join(f"{source}-{target}" for source, target in links)


def _by_word(weights: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
    """Rows [n,·], one for each token, added up to rows [w,·], one for each word."""
    pairs = [(place, word) for place, several in enumerate(words) for word in several]
    count = 1 + max((word for _, word in pairs), default=-1)
    summed = torch.zeros(count, weights.size(1))
    if pairs:
        places, numbers = torch.tensor(pairs).T
        summed.index_add_(0, numbers, weights.float()[places])
    return summed
