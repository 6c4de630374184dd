"""All pairs are counted; excerpts from the whole corpus are kept."""

import itertools

import pytest

from nmt_cli.data.checking.sampling import sample_corpus


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 20_000])
def test_small_corpus_is_kept_completely(count: int) -> None:
    pairs = [(str(number), str(-number)) for number in range(count)]
    kept = sample_corpus("x", ("a", "b"), iter(pairs))
    assert kept.pairs == pairs
    assert kept.num_pairs == count
    assert kept.is_complete


@pytest.mark.parametrize("count", [20_001, 50_000, 123_457])
def test_excerpts_of_large_corpus_are_evenly_spread(count: int) -> None:
    kept = sample_corpus("x", ("a", "b"), ((str(number), "") for number in range(1, count + 1)))
    firsts = [excerpt.first for excerpt in kept.excerpts]
    assert kept.num_pairs == count
    assert not kept.is_complete
    assert 50 <= len(firsts) <= 101
    assert firsts[0] == 1
    strides = {later - earlier for earlier, later in itertools.pairwise(firsts)}
    assert len(strides) == 1
    assert count - firsts[-1] <= strides.pop()
    for excerpt in kept.excerpts:
        assert [source for source, _ in excerpt.pairs] == [str(excerpt.first + i) for i in range(len(excerpt.pairs))]
