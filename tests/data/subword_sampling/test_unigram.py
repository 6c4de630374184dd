"""Segmentations have the probabilities of the unigram model, flattened by alpha."""

import math
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from nmt_cli.data.subword_sampling.piece_table import PieceTable, WordwiseSampler
from nmt_cli.data.subword_sampling.unigram import UnigramSampler
from nmt_cli.data.tokenizer import Tokenizer

DRAWS = 20_000
WORD = "menstamenklo"


def all_segmentations(word: str, scores: dict[str, float]) -> Iterator[tuple[str, ...]]:
    """Each way to write a word with pieces, one after another."""
    if not word:
        yield ()
    for end in range(1, len(word) + 1):
        if word[:end] in scores:
            yield from ((word[:end], *rest) for rest in all_segmentations(word[end:], scores))


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_segmentations_have_probabilities_of_the_model(bpe: Tokenizer, alpha: float) -> None:
    table = PieceTable(bpe.source.segmenter)  # its words have more segmentations; the probabilities are made up
    table.scores = np.random.default_rng(1).uniform(-4, -1, len(table.texts))
    scores = dict(zip(table.texts, table.scores, strict=True))
    weights = {
        segmentation: math.exp(alpha * sum(scores[piece] for piece in segmentation))
        for segmentation in all_segmentations(f"▁{WORD}", scores)
    }
    assert len(weights) > 100
    sampler = WordwiseSampler(table, UnigramSampler(table, alpha))
    pieces, lengths = sampler.encode([WORD] * DRAWS, np.random.default_rng(1))
    rows = np.split(pieces, np.cumsum(lengths)[:-1])
    found = Counter(tuple(bpe.source.entries[bpe.source.piece_ids[piece]] for piece in row) for row in rows)
    assert found.keys() <= weights.keys()
    for segmentation, weight in weights.items():
        probability = weight / sum(weights.values())
        assert abs(found[segmentation] - DRAWS * probability) < 5 * math.sqrt(DRAWS * probability) + 1


def test_high_alpha_gives_most_probable_segmentation(unigram: Tokenizer, text: Callable[[int, int], list[str]]) -> None:
    table = PieceTable(unigram.source.segmenter)
    lines = [*text(7, 100), "ab ü字字b  a", "字", " a"]
    sampler = WordwiseSampler(table, UnigramSampler(table, 1e6))
    pieces, lengths = sampler.encode(lines, np.random.default_rng(1))
    assert [
        unigram.source.piece_ids[row].tolist() for row in np.split(pieces, np.cumsum(lengths)[:-1])
    ] == unigram.source.encode(lines)
