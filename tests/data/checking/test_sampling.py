"""All pairs are counted; what is kept is the beginning and stretches of the rest."""

import itertools

import pytest

from nmt_cli.data.checking.sampling import sample, some


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 20_000])
def test_a_small_corpus_is_kept_whole(count: int) -> None:
    pairs = [(str(number), str(-number)) for number in range(count)]
    kept = sample("x", ("a", "b"), iter(pairs))
    assert kept.pairs == pairs
    assert kept.read == count
    assert kept.is_whole


@pytest.mark.parametrize("count", [20_001, 50_000, 123_457])
def test_of_a_large_one_stretches_are_kept_evenly_to_its_end(count: int) -> None:
    kept = sample("x", ("a", "b"), ((str(number), "") for number in range(1, count + 1)))
    firsts = [stretch.first for stretch in kept.stretches]
    assert kept.read == count
    assert not kept.is_whole
    assert 50 <= len(firsts) <= 101
    assert firsts[0] == 1
    steps = {later - earlier for earlier, later in itertools.pairwise(firsts)}
    assert len(steps) == 1
    assert count - firsts[-1] <= steps.pop()
    for stretch in kept.stretches:
        assert [source for source, _ in stretch.pairs] == [
            str(stretch.first + place) for place in range(len(stretch.pairs))
        ]


def test_some_lines_are_spread_evenly() -> None:
    lines = list(map(str, range(10)))
    assert list(some(lines, 20)) == lines
    assert list(some(lines, 5)) == ["0", "2", "4", "6", "8"]
    assert list(some([], 5)) == []
