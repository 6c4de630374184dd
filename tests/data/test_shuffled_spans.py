"""Each pass contains every pair once, in an order of its own, however the stream is read."""

import numpy as np
import pytest

from nmt_cli.data.blocks import shuffled_spans
from nmt_cli.data.token_corpus import span_indices


def stream(size: int, begin: int, end: int, seed: int = 1) -> list[int]:
    found: list[int] = span_indices(shuffled_spans(size, begin, end, [seed])).tolist()
    return found


@pytest.mark.parametrize("size", [1, 2, 63, 64, 100, 1000, 70_000, 66_561])
def test_each_pass_contains_every_pair_once(size: int) -> None:
    for number in range(3):
        assert sorted(stream(size, number * size, (number + 1) * size)) == list(range(size))


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
@pytest.mark.parametrize("step", [1, 3, 64, 1001])
def test_stream_does_not_depend_on_how_it_is_read(size: int, step: int) -> None:
    end = min(3 * size, 200 * step)
    whole = stream(size, 0, end)
    cut = [pair for begin in range(0, end, step) for pair in stream(size, begin, min(begin + step, end))]
    assert cut == whole


def test_passes_and_seeds_have_different_orders() -> None:
    size = 1000
    orders = {tuple(stream(size, n * size, (n + 1) * size, seed)) for n in range(3) for seed in (1, 2)}
    assert len(orders) == 6


def test_large_corpus_is_read_in_spans_of_a_thousand_pairs() -> None:
    spans = shuffled_spans(1_000_000, 5_000, 505_000, [1])
    assert len(spans) < 500_000 / 1024 + 3
    assert (np.diff(spans) <= 1024).all()


def test_small_corpus_is_shuffled_well() -> None:
    halves = {frozenset(stream(40, n * 40, n * 40 + 20)) for n in range(20)}
    assert len(halves) == 20
