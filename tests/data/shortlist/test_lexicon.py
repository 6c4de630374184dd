"""IBM model 1, and the shortlists that it gives."""

from collections import defaultdict

import numpy as np
import pytest

from nmt_cli.data.arrays import RaggedArray
from nmt_cli.data.shortlist import lexicon
from nmt_cli.data.shortlist.lexicon import make_shortlist, train_lexicon
from nmt_cli.data.tokenizer import Tokenizer
from nmt_cli.recipe.data import TokenizerSettings

SOURCES = [[0, 1], [0, 2], [], [1], [2, 2, 0], [3]]
TARGETS = [[0, 1], [0, 2, 3], [1], [1, 1], [2, 0], []]
SIZE = 4


def ragged(rows: list[list[int]]) -> RaggedArray:
    return RaggedArray.of_lengths(np.array([len(row) for row in rows]), np.array([i for row in rows for i in row]))


def oracle(iterations: int) -> dict[tuple[int, int], float]:
    """The textbook's loops, over probabilities in a dictionary; source `SIZE` is the empty token."""
    probabilities = defaultdict[tuple[int, int], float](lambda: 1.0)
    for _ in range(iterations):
        counts, totals = defaultdict[tuple[int, int], float](float), defaultdict[int, float](float)
        for source, target in zip(SOURCES, TARGETS, strict=True):
            for token in target:
                total = sum(probabilities[each, token] for each in [*source, SIZE])
                for each in [*source, SIZE]:
                    counts[each, token] += probabilities[each, token] / total
                    totals[each] += probabilities[each, token] / total
        probabilities.update({pair: count / totals[pair[0]] for pair, count in counts.items()})
    return dict(probabilities)


@pytest.mark.parametrize("block", [1, 5, 1000])
def test_probabilities_equal_those_of_the_textbook(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "_BLOCK", block)

    found = train_lexicon(ragged(SOURCES), ragged(TARGETS), SIZE, SIZE)

    pairs = zip(found.sources.tolist(), found.targets.tolist(), strict=True)
    expected = {pair: value for pair, value in oracle(lexicon._ITERATIONS).items() if value > 0}
    assert dict(zip(pairs, found.probabilities.tolist(), strict=True)) == pytest.approx(expected)


def test_best_translations_are_the_most_likely_ones() -> None:
    found = train_lexicon(ragged(SOURCES), ragged(TARGETS), SIZE, SIZE)

    one, likely = found.best(1, 0.0, SIZE), found.best(9, 0.3, SIZE)

    assert [one[row].tolist() for row in range(SIZE)] == [[0], [1], [2], []]
    probabilities = oracle(lexicon._ITERATIONS)
    for row in range(SIZE):
        expected = {target for (source, target), value in probabilities.items() if source == row and value >= 0.3}
        assert set(likely[row].tolist()) == expected


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    settings = TokenizerSettings.model_validate({"algorithm": "word", "byte_fallback": False})
    return Tokenizer.train(settings, ["ab cd ef gh"] * 9, ["ab cd ef gh"] * 9, seed=1)


def test_shortlist_has_translations_copies_and_frequent_tokens(tokenizer: Tokenizer) -> None:
    rows = tokenizer.encode_source(["ab ab ab", "cd"]), tokenizer.encode_target(["ef ef ef", "gh"])
    shortlist = make_shortlist(ragged(rows[0]), ragged(rows[1]), tokenizer, 50, 0.1, frequent=1)

    (source,), (copy,), (frequent,) = rows[0][1:], tokenizer.encode_target(["cd"]), rows[1][:1]
    tokens = set(shortlist.target_tokens([source], [0]).tolist())

    assert tokens == {0, frequent[0], *copy, *rows[1][1]}
    assert set(shortlist.target_tokens([], []).tolist()) == {frequent[0]}
