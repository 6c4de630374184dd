"""Cuts come with the probabilities that the unigram model gives them, sharpened or flattened by alpha."""

import math
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from nmt_cli.data.subword_sampling.unigram import UnigramSampler
from nmt_cli.data.subword_sampling.words import Inventory
from nmt_cli.data.tokenizer import Tokenizer

DRAWS = 20_000
WORD = "menstamenklo"


def all_cuts(word: str, scores: dict[str, float]) -> Iterator[tuple[str, ...]]:
    """Each way to write a word with pieces, one after another."""
    if not word:
        yield ()
    for end in range(1, len(word) + 1):
        if word[:end] in scores:
            yield from ((word[:end], *rest) for rest in all_cuts(word[end:], scores))


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_each_cut_is_as_frequent_as_its_probability_says(bpe: Tokenizer, alpha: float) -> None:
    inventory = Inventory(bpe.source)  # its pieces cut a word in more ways; the probabilities are made up
    inventory.scores = np.random.default_rng(1).uniform(-4, -1, len(inventory.texts))
    scores = dict(zip(inventory.texts, inventory.scores, strict=True))
    weights = {cut: math.exp(alpha * sum(scores[piece] for piece in cut)) for cut in all_cuts(f"▁{WORD}", scores)}
    assert len(weights) > 100
    words = inventory.words([WORD] * DRAWS)
    tokens, lengths = inventory.tokens(words, UnigramSampler(inventory, alpha).cut(words, np.random.default_rng(1)))
    rows = np.split(tokens, np.cumsum(lengths)[:-1])
    found = Counter(tuple(bpe.source.vocabulary[token] for token in row) for row in rows)
    assert found.keys() <= weights.keys()
    for cut, weight in weights.items():
        chance = weight / sum(weights.values())
        assert abs(found[cut] - DRAWS * chance) < 5 * math.sqrt(DRAWS * chance) + 1


def test_with_a_high_alpha_only_the_likeliest_cut_is_drawn(
    unigram: Tokenizer, text: Callable[[int, int], list[str]]
) -> None:
    inventory = Inventory(unigram.source)
    lines = [*text(7, 100), "ab ü字字b  a", "字", " a"]
    words = inventory.words(lines)
    tokens, lengths = inventory.tokens(words, UnigramSampler(inventory, 1e6).cut(words, np.random.default_rng(1)))
    assert [row.tolist() for row in np.split(tokens, np.cumsum(lengths)[:-1])] == unigram.source.encode(lines)
