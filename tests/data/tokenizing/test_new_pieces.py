"""Pairs are merged in the order that a naive implementation finds."""

import random
from collections import Counter
from itertools import pairwise

from nmt_cli.data.tokenizing.new_pieces import PairMerger

ALPHABET = ["a", "b", "c", "-"]
FITS = [True, True, True, False]


def slowly(words: list[tuple[list[int], int]], number: int) -> list[str]:
    """New pieces, found by counting all pairs again after each merge."""
    rows = [([ALPHABET[i] for i in row], count) for row, count in words]
    order = {text: number for number, text in enumerate(ALPHABET)}
    new: list[str] = []
    while len(new) < number:
        counts: Counter[tuple[str, str]] = Counter()
        for row, count in rows:
            for pair in pairwise(row):
                if "-" not in pair and len("".join(pair)) <= 5:
                    counts[pair] += count
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], order[pair[0]], order[pair[1]]))
        if counts[best] < 2:
            break
        if "".join(best) not in order:
            new.append("".join(best))
            order[new[-1]] = len(order)
        rows = [(merged(row, best), count) for row, count in rows]
    return new


def merged(row: list[str], pair: tuple[str, str]) -> list[str]:
    found: list[str] = []
    while row:
        size = 2 if tuple(row[:2]) == pair else 1
        found.append("".join(row[:size]))
        row = row[size:]
    return found


def test_pair_merger_equals_naive_implementation() -> None:
    for seed in range(30):
        generator = random.Random(seed)
        words = [
            (generator.choices(range(4), [5, 3, 2, 1], k=generator.randint(1, 9)), generator.randint(1, 9))
            for _ in range(30)
        ]
        texts = list(ALPHABET)
        merger = PairMerger(texts, FITS, [(list(row), count) for row, count in words], 5)
        found = 0
        while found < 20 and (pair := merger.merge_next()) is not None:
            found += 1
            assert texts[-1] == texts[pair[0]] + texts[pair[1]]
        assert texts[4:] == slowly(words, 20)


def test_pair_merger_skips_existing_pieces() -> None:
    texts = ["a", "b", "ab"]
    assert PairMerger(texts, [True] * 3, [([0, 1], 9)], 5).merge_next() is None
