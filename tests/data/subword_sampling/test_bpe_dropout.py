"""Merges are dropped as in the paper: at each step, among all possible ones."""

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from nmt_cli.data.subword_sampling.bpe_dropout import BpeDropout
from nmt_cli.data.subword_sampling.piece_table import PieceTable, WordwiseSampler
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.data.tokenizing.segmenter import PieceKind

DRAWS = 20_000


def probabilities(segmentation: tuple[str, ...], ranks: dict[str, int], dropout: float) -> Counter[tuple[str, ...]]:
    """The probability of each end of the merging that begins at `segmentation`, from the algorithm as published."""
    merges = sorted(
        (ranks[one + other], position)
        for position, (one, other) in enumerate(pairwise(segmentation))
        if one + other in ranks
    )
    found: Counter[tuple[str, ...]] = Counter()
    left = 1.0
    for _, position in merges:  # this one is made if all better ones were left out, and it was not
        merged = (
            *segmentation[:position],
            segmentation[position] + segmentation[position + 1],
            *segmentation[position + 2 :],
        )
        for end, probability in probabilities(merged, ranks, dropout).items():
            found[end] += left * (1 - dropout) * probability
        left *= dropout
    found[segmentation] += left
    return found


@pytest.mark.parametrize("dropout", [0.1, 0.6])
def test_segmentations_have_probabilities_of_the_published_algorithm(bpe: Tokenizer, dropout: float) -> None:
    word = "stafradi"
    ranks = {piece.text: -int(piece.score) for piece in bpe.source.segmenter.pieces if piece.kind == PieceKind.NORMAL}
    expected = probabilities(tuple(f"▁{word}"), ranks, dropout)
    assert len(expected) > 8
    assert sum(expected.values()) == pytest.approx(1)
    table = PieceTable(bpe.source.segmenter)
    sampler = WordwiseSampler(table, BpeDropout(table, dropout))
    pieces, lengths = sampler.encode([word] * DRAWS, np.random.default_rng(1))
    rows = np.split(pieces, np.cumsum(lengths)[:-1])
    found = Counter(tuple(bpe.source.entries[bpe.source.piece_ids[piece]] for piece in row) for row in rows)
    assert found.keys() <= expected.keys()
    for segmentation, probability in expected.items():
        assert abs(found[segmentation] - DRAWS * probability) < 5 * math.sqrt(DRAWS * probability) + 1


def test_without_dropout_segmentation_is_that_of_sentencepiece(
    bpe: Tokenizer, text: Callable[[int, int], list[str]]
) -> None:
    table = PieceTable(bpe.source.segmenter)
    lines = [*text(7, 100), "ab ü字字b  a", "字", " a"]
    sampler = WordwiseSampler(table, BpeDropout(table, 1e-12))
    pieces, lengths = sampler.encode(lines, np.random.default_rng(1))
    assert [
        bpe.source.piece_ids[row].tolist() for row in np.split(pieces, np.cumsum(lengths)[:-1])
    ] == bpe.source.encode(lines)


def test_full_dropout_gives_characters(bpe: Tokenizer) -> None:
    table = PieceTable(bpe.source.segmenter)
    sampler = WordwiseSampler(table, BpeDropout(table, 1.0))
    pieces, _ = sampler.encode(["sta gu"], np.random.default_rng(1))
    assert [bpe.source.entries[bpe.source.piece_ids[piece]] for piece in pieces] == ["▁", "s", "t", "a", "▁", "g", "u"]
